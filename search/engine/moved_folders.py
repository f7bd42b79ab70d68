"""The folder of a spec that was renamed or moved after its study started: where its modules are now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_LEVELS = 2  # the folder of the store and the one above, since stores may have a folder of their own, such as runs/


@dataclass(frozen=True, slots=True)
class Moved:
    """A folder that no longer exists.

    Attributes:
        file: The path that the spec file or its folder had.
        folders: The folders from which modules are imported instead.
    """

    file: str
    folders: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file} no longer exists; modules are imported from {' and '.join(self.folders)} instead"


def moved_file(path: Path, store: Path) -> tuple[Path, Moved | None]:
    """Find the spec file of a study again if its folder no longer exists.

    Args:
        path: The file, as an absolute path.
        store: The store of the study, near which it is searched, as well as near the current folder.

    Returns:
        Where the file is now, or its former path if it was not found; and what was moved, None if the folder exists.
    """
    if path.parent.is_dir():
        return path, None
    beside = store.absolute().parent
    for base in (*[beside, *beside.parents][:_LEVELS], Path.cwd()):
        for depth in range(len(path.parts) - 1, 0, -1):
            found = base.joinpath(*path.parts[-depth:])
            if found.is_file():
                return found, Moved(str(path), (str(found.parent),))
    return path, Moved(str(path), _near(store))


def moved_folder(folder: Path, store: Path) -> Moved | None:
    """Where to search for the modules of a folder; None if it exists."""
    return None if folder.is_dir() else Moved(str(folder), _near(store))


def _near(store: Path) -> tuple[str, ...]:
    return tuple(dict.fromkeys((str(store.absolute().parent), str(Path.cwd()))))
