"""A lock that allows one driver per store: a lock file next to the database while a driver has the store open.

The path of the store is resolved first, so that the lock also works if the store is opened through symbolic links. The
operating system releases the lock when the process ends, even if it is killed. The next driver reuses the lock file
that a killed driver has left, and removes it in the end.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

# The stores that this process has open for writing.
_held: set[Path] = set()


class StoreLock:
    """The lock of one store, held from construction to `release`.

    Raises:
        TimeoutError: Another driver has the lock, in this process or another one.
        OSError: The lock file cannot be created.
    """

    def __init__(self, store: Path) -> None:
        self._store = store.resolve()
        # thread_local=False, as a Session may be closed by another thread than the one that created it.
        self._lock = FileLock(self._store.with_name(f"{self._store.name}.lock"), thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise TimeoutError(f"{store} is locked") from error
        _held.add(self._store)

    def release(self) -> None:
        """Release the lock and remove its file."""
        _held.discard(self._store)
        # Remove the file before the lock is released. If another process has opened the file by then, it acquires a
        # lock on a deleted file, which filelock detects. Windows cannot remove an open file; there, filelock removes it
        # after the release. On other systems it must not: the file may be that of the next driver (filelock < 4.0).
        with suppress(OSError):
            Path(self._lock.lock_file).unlink()
        self._lock.release()


def held_here(store: Path) -> bool:
    """Whether this process has the store open for writing."""
    return bool(_held) and store.resolve() in _held
