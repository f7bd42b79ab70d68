"""Files beside a spec that another module of the same name shadows, such as `test.py` or `random.py`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from archsearch.search.engine.spec_module import location, same_file


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A file beside the spec that is not imported, although the spec imports its name.

    Attributes:
        name: The name of the module.
        file: The file beside the spec.
        used: The file of the module that is imported instead, or "built-in".
    """

    name: str
    file: Path
    used: str

    def __str__(self) -> str:
        return f"`{self.name}` is the module {self.used}, not {self.file}; if you mean yours, rename its file"


def shadowed_siblings(text: str, folder: Path) -> Iterator[Shadowed]:
    """The files in the folder of a spec that other modules shadow.

    Args:
        text: The content of the spec.
        folder: Its folder.
    """
    for name in _imported(text):
        files = [folder / f"{name}.py", folder / name / "__init__.py"]
        present = [file for file in files if file.is_file()]
        if present and (used := location(name)) and not any(same_file(used, str(file)) for file in present):
            yield Shadowed(name, present[0], used)


def _imported(text: str) -> list[str]:
    """The top-level names of the modules that the spec imports, except for relative imports."""
    names: dict[str, None] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0]: None for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names[node.module.split(".")[0]] = None
    return list(names)
