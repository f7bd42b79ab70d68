"""One driver per store: a lock file beside the database, there only while a driver has the store open.

The lock is on the file that the path leads to, so that two names of one store, through symbolic links, exclude each
other. The operating system gives it back when the process ends, however it ends; a lock file that a killed driver has
left is taken over by the next one, and removed with it.
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
        TimeoutError: another driver holds it, in this process or in another one.
        OSError: the lock file cannot be made.
    """

    def __init__(self, store: Path) -> None:
        self._store = store.resolve()
        # Not of one thread: a Session may be closed by another thread than the one that made it.
        self._lock = FileLock(self._store.with_name(f"{self._store.name}.lock"), thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise TimeoutError(f"{store} is locked") from error
        _held.add(self._store)

    def release(self) -> None:
        """Give the lock back, and remove its file."""
        _held.discard(self._store)
        # While it is still held: who has opened the file meanwhile gets a lock on a file without a name, and filelock
        # (from 3.25 on) refuses that one. On Windows an open file cannot be removed, and filelock does it afterwards.
        with suppress(OSError):
            Path(self._lock.lock_file).unlink()
        self._lock.release()


def held_here(store: Path) -> bool:
    """Whether this process has the store open for writing."""
    return bool(_held) and store.resolve() in _held
