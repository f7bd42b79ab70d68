"""The command's entry: makes sure that `spaces`, `studies` and `search` are archsearch's own, then hands over.

The three import names are generic. A file or another package of such a name that comes first on the path would be
imported instead of ours, and fail in a way that nobody understands; so it is looked for before the first import.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import NoReturn

OURS = ("spaces", "studies", "search")


def shadows(root: Path) -> list[str]:
    """`name at place`, for each of our packages that would not be imported from `root`."""
    found = []
    for name in OURS:
        spec = importlib.util.find_spec(name)
        place = Path(spec.origin).resolve() if spec and spec.origin else None
        if place != root / name / "__init__.py":
            found.append(f"'{name}' at {place or 'no place'}")
    return found


def main() -> NoReturn:
    """The console script `archsearch`."""
    root = Path(__file__).resolve().parent
    if wrong := shadows(root):
        sys.stderr.write(
            f"error: archsearch's packages lie in {root}, but Python would import {', '.join(wrong)}; "
            "rename that file, uninstall that package, or leave its folder out of PYTHONPATH\n"
        )
        sys.exit(2)
    from search.cli import main as command

    command()


if __name__ == "__main__":
    main()
