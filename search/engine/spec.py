"""A spec file: a Python file that declares a study, kept as path and text.

Workers and later sessions import it as a module (`archsearch.search.engine.spec_module`) from its stored text.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from archsearch.search.declaration import Declaration
from archsearch.search.engine.moved_folders import Moved, moved_file
from archsearch.search.engine.shadowing import shadowed_siblings
from archsearch.search.engine.spec_errors import with_location
from archsearch.search.engine.spec_module import SpecModule, arguments, module_name, own_scratch, read_text
from archsearch.search.protocols import Objective
from archsearch.spaces import SpecError


@dataclass(frozen=True, slots=True)
class SpecFile:
    """A spec file as it was when the study started, so that later edits do not change a study in progress.

    Attributes:
        path: The absolute path of the file.
        text: Its content.
        module: The name under which it is imported, such as `spec`, or `package.spec`.
        argv: `sys.argv` while it is executed: the file, and the arguments that the user gave for it.
        moved: Where its folder is now, if that is not where it was when the study started.
        scratch: The folder for the files that child processes need; by default one that is deleted when this process
            ends.
    """

    path: str
    text: str
    module: str
    argv: tuple[str, ...]
    moved: Moved | None = None
    scratch: str = field(default="", compare=False, repr=False)

    @classmethod
    def from_path(cls, path: str | Path, args: Sequence[str] = ()) -> SpecFile:
        """Read a spec file.

        Args:
            path: The file.
            args: The arguments for it, which it finds in `sys.argv[1:]`.

        Raises:
            SpecError: There is no such file, or it is not UTF-8 text.
        """
        file = Path(path)
        if not file.is_file():
            kind = "is a folder" if file.is_dir() else "does not exist"
            raise SpecError(f"no spec file at {path}: it {kind}; give a Python file with `study = Study(...)`")
        try:
            text = read_text(file)
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"the spec file {path} cannot be read: {error}; it must be Python text in UTF-8") from error
        absolute = os.path.abspath(file)  # noqa: PTH100 - resolve() would follow links, absolute() leaves ".." in place
        return cls(absolute, text, module_name(Path(absolute)), (str(path), *args))

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> SpecFile:
        """The spec file that `to_json` wrote."""
        path = body["path"]
        return cls(path, body["text"], body.get("module") or module_name(Path(path)), tuple(body.get("argv") or [path]))

    @classmethod
    def from_main(cls, main: ModuleType) -> SpecFile:
        """The spec file that is running as a script, or as `python -m package.spec`."""
        spec = cls.from_path(str(main.__file__))
        name = spec.module if main.__spec__ is None else main.__spec__.name
        return replace(spec, module=name, argv=tuple(sys.argv))

    def load(self) -> Declaration:
        """Import the file and return its `study`.

        Raises:
            SpecError: The file has a syntax error, raises an exception (the message gives its line), or defines no
                `study`.
        """
        names, name = vars(self.execute()), Path(self.path).name
        if "study" not in names and self.binds_study_when_run:
            raise SpecError(
                f"{name} makes its study under if __name__ == '__main__': only; run it with python {name}, or move "
                "study = Study(...) above that line"
            )
        return _study_of(names, name)

    def execute(self) -> ModuleType:
        """Import the file. It is executed at the first call only.

        Raises:
            SpecError: The file has a syntax error or raises an exception.
        """
        name = Path(self.path).name
        try:
            compile(self.text, self.path, "exec", dont_inherit=True)  # without our own __future__
        except (SyntaxError, ValueError) as error:
            where = f"{name}, line {error.lineno}, column {error.offset}" if isinstance(error, SyntaxError) else name
            raise SpecError(f"{where}: {error.args[0]}; fix the syntax") from error
        try:
            return self.as_module.load(self.scratch)
        except (Exception, SystemExit) as error:
            missing = f"; {self.moved}" if self.moved is not None and isinstance(error, ImportError) else ""
            raise SpecError(with_location(error, self.path, self.text) + missing) from error

    @property
    def as_module(self) -> SpecModule:
        """The file as a module that can be imported."""
        path = Path(self.path)
        depth = self.module.count(".") + (path.name == "__init__.py")
        others = () if self.moved is None else self.moved.folders
        folders = dict.fromkeys((str(path.parent), str(path.parents[depth]), *others))
        return SpecModule(self.module, self.path, self.text, self.argv, tuple(folders))

    @property
    def binds_study(self) -> bool:
        """Whether importing the file binds `study`, and not only running it as a script, or calling a function."""
        outside = [node for node in ast.parse(self.text).body if not _is_main_guard(node)]
        return any(_binds_study(node) for node in outside)

    @property
    def binds_study_when_run(self) -> bool:
        """Whether the file binds `study` under `if __name__ == "__main__":`, and so only when it is run as a script."""
        return any(_binds_study(node) for node in ast.parse(self.text).body if _is_main_guard(node))

    def guards(self, line: int) -> bool:
        """Whether the statement at this line is under `if __name__ == "__main__":`."""
        statements = ast.parse(self.text).body
        return any(_is_main_guard(node) and node.lineno <= line <= (node.end_lineno or 0) for node in statements)

    @property
    def folder(self) -> Path | None:
        return Path(self.path).parent

    @property
    def warnings(self) -> list[str]:
        """What the user should know before the study runs or continues."""
        found = [] if self.moved is None else [str(self.moved)]
        if (path := Path(self.path)).is_file() and read_text(path) != self.text:
            found.append(
                f"{self.path} has changed since the study started, which continues with the stored spec; to start anew "
                f"with the changed one: archsearch run {path.name} --store NEW.db"
            )
        return found + [str(shadowed) for shadowed in shadowed_siblings(self.text, path.parent)]

    def arguments(self) -> AbstractContextManager[None]:
        """A context in which `sys.argv` is what the user gave."""
        return arguments(self.argv)

    def objective(self) -> Objective:
        """The objective, on a worker. `sys.argv` remains what the user gave, as trials may read it too."""
        sys.argv = [*self.argv]
        return self.load().trainable

    def with_store(self, store: Path) -> SpecFile:
        """The same, with modules from beside the store or from the current folder if the spec's folder was moved."""
        path, moved = moved_file(Path(self.path), store)
        return self if moved is None else replace(self, path=str(path), moved=moved)

    def to_json(self) -> dict[str, Any]:
        path = self.path if self.moved is None else self.moved.file
        return {"kind": "file", "path": path, "text": self.text, "module": self.module, "argv": [*self.argv]}

    def __reduce__(self) -> tuple[Any, ...]:
        # The workers on this machine use the folder of this process, which is deleted even if they are killed.
        scratch = self.scratch or own_scratch()
        return _received, (self.path, self.text, self.module, self.argv, self.moved, scratch)


def _received(*fields: Any) -> SpecFile:
    """A spec file in another process, which may now import it to read what else was sent."""
    spec = SpecFile(*fields)
    spec.as_module.provide(spec.scratch)
    return spec


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and any(
        isinstance(inner, ast.Name) and inner.id == "__name__" for inner in ast.walk(node.test)
    )


def _binds_study(node: ast.AST) -> bool:
    """Whether a statement assigns to `study` or imports it; what functions and classes do inside does not count."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return False
    if isinstance(node, ast.alias):
        return (node.asname or node.name) in ("study", "*")
    if isinstance(node, ast.Name) and node.id == "study" and isinstance(node.ctx, ast.Store):
        return True
    return any(_binds_study(child) for child in ast.iter_child_nodes(node))


def _study_of(namespace: Mapping[str, Any], name: str) -> Declaration:
    if "study" not in namespace:
        others = [key for key, value in namespace.items() if isinstance(value, Declaration)]
        hint = f"; it has a Study named '{others[0]}'; rename it to study" if others else "; add study = Study(...)"
        raise SpecError(f"{name} defines no `study`{hint}")
    study = namespace["study"]
    if not isinstance(study, Declaration):
        raise SpecError(f"`study` in {name} must be a Study, got a {type(study).__name__}; write study = Study(...)")
    return study
