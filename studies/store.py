"""The append-only event store of one study: one SQLite file with one writer and any number of concurrent readers.

Each batch of events is one transaction that is committed before the engine acts on it, so no decision is lost if a
process is killed. Only the driver writes; a lock excludes a second driver (`archsearch.studies.locking`). The digest of
each row includes the digest of the previous row, so that a damaged or edited file is detected when it is read.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from hashlib import blake2b
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from archsearch.spaces import StoreError
from archsearch.studies.codec import decode, encode
from archsearch.studies.formatting import file_size
from archsearch.studies.history import History
from archsearch.studies.locking import StoreLock, held_here
from archsearch.studies.records import Event, SessionStarted, StudyRecord

APPLICATION_ID = 0x41524348  # "ARCH": identifies our SQLite files
FORMAT = 4
FREE_DISK_BYTES = 64 * 2**20  # required to start a study

_SIDE_FILES = ("-wal", "-shm", "-journal")


class StoreExistsError(StoreError):
    """A new store cannot be created because the file is an existing store.

    Attributes:
        path: The existing store.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} already exists")
        self.path = path


class Store:
    """An open store. Get one from `create` or `open`, in a `with` block.

    All methods raise StoreError for problems with the file, its folder or its disk.

    Attributes:
        path: The file, as passed to `create` or `open`.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: StoreLock | None) -> None:
        self.path = path
        self._db = connection
        self._lock = lock
        self._check = self._last_check()

    @classmethod
    def create(cls, path: str | Path, study: StudyRecord, meta: Mapping[str, Any]) -> Store:
        """Create a store for a study and open it for writing.

        Args:
            path: The file, which must not exist. It is created atomically.
            study: The record of the study.
            meta: The provenance of the study as JSON data: spec, versions of packages, hardware.

        Raises:
            StoreExistsError: The file is an existing store.
            StoreError: The file cannot be created, or another driver has the lock.
        """
        path = Path(path)
        _check_folder(path)
        _check_absent(path)
        lock = _lock(path)
        try:
            _check_absent(path)  # again, as another driver may have created it in the meantime
            with _explained(path):
                _write_new(path, {**meta, "study": study.to_json()})
            return cls(path, _connect(path, "rw"), lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, path: str | Path, *, write: bool = False) -> Store:
        """Open an existing store.

        Args:
            path: The file.
            write: Open it as its driver, with the lock. Without, it is read-only, also while a driver writes.

        Raises:
            StoreError: The file does not exist, it is not a store, or another driver has the lock.
        """
        path = Path(path)
        with _explained(path):
            found = path.is_file()
        if not found:
            kind = "is a folder" if path.is_dir() else "does not exist"
            raise StoreError(f"no store at {path}: it {kind}; `archsearch list FOLDER` shows the stores of a folder")
        _check_format(path)
        if not write:
            return cls(path, _connect(path, "ro"), None)
        _check_folder(path)
        lock = _lock(path)
        try:
            return cls(path, _connect(path, "rw"), lock)
        except BaseException:
            lock.release()
            raise

    def append(self, events: Sequence[Event]) -> None:
        """Append events in one transaction: all of them or, if an error is raised, none.

        Args:
            events: The events, in order. They are committed when this method returns.

        Raises:
            StoreError: They cannot be written.
            ValueError: An event contains NaN or an infinity.
        """
        check = self._check
        rows = []
        for event in events:
            row = encode(event)
            check = _chain(check, *row)
            rows.append((*row, check))
        with _explained(self.path), self._db:
            self._db.executemany('INSERT INTO events (kind, trial, at, body, "check") VALUES (?, ?, ?, ?, ?)', rows)
        self._check = check

    def note(self, key: str, value: Any) -> None:
        """Add an entry to `meta`.

        Args:
            key: A new key; existing entries cannot be changed.
            value: JSON data.

        Raises:
            StoreError: The key exists, or the entry cannot be written.
        """
        with _explained(self.path), self._db:
            self._db.execute("INSERT INTO meta VALUES (?, ?)", (key, json.dumps(value, ensure_ascii=False)))

    def events(self, after: int = 0) -> Iterator[Event]:
        """Iterate over the events in order.

        Args:
            after: Skip the events up to this number, counted from 1.

        Raises:
            StoreError: During the iteration, at the first event with a wrong digest or of an unknown format.
        """
        check = self.digest(after) or ""
        with _explained(self.path):
            cursor = self._db.execute(
                'SELECT seq, kind, trial, at, body, "check" FROM events WHERE seq > ? ORDER BY seq', (after,)
            )
            for place, (seq, kind, trial, at, body, stored) in enumerate(cursor, start=after + 1):
                check = _chain(check, kind, trial, at, body)
                if check != stored or seq != place:
                    raise StoreError(
                        f"{self.path} is damaged: event {seq} does not match its checksum; restore a copy "
                        "(`archsearch copy` creates one at any time)"
                    )
                try:
                    yield decode(kind, trial, at, body)
                except (ValueError, KeyError) as error:
                    raise StoreError(
                        f"{self.path}: event {seq} cannot be read ({error}); it was written by another "
                        "version of archsearch"
                    ) from error

    def digest(self, seq: int) -> str | None:
        """The digest of the first `seq` events; None if there are fewer."""
        if seq == 0:
            return ""
        with _explained(self.path):
            row = self._db.execute('SELECT "check" FROM events WHERE seq = ?', (seq,)).fetchone()
        return row[0] if row else None

    def history(self) -> History:
        """The history after all events."""
        return History.from_events(self.study, self.events())

    @property
    def study(self) -> StudyRecord:
        """The record of the study."""
        return StudyRecord.from_json(self.meta["study"])

    @property
    def meta(self) -> dict[str, Any]:
        """The record and the provenance of the study: spec, versions, hardware, fingerprint of the data and so on."""
        with _explained(self.path):
            return {key: json.loads(value) for key, value in self._db.execute("SELECT key, value FROM meta")}

    def log(self, trial: int) -> str:
        """The output of a trial, over all of its attempts; empty if the trial does not exist."""
        with _explained(self.path):
            rows = self._db.execute(
                "SELECT body FROM events WHERE trial = ? AND kind = 'logged' ORDER BY seq", (trial,)
            )
            # Not json_extract: SQLite's version stops at a NUL and rejects lone surrogates.
            return "".join(json.loads(body)["text"] for (body,) in rows)

    @property
    def empty(self) -> bool:
        """Whether the store has no events."""
        return not self._check

    def discard(self) -> None:
        """Delete an empty store that is open for writing. It still has to be closed.

        Raises:
            StoreError: The store has events or is open for reading only.
        """
        if not self.empty or self._lock is None:
            reason = "is open for reading only" if self._lock is None else "contains events"
            raise StoreError(f"{self.path} {reason}, so it was not deleted")
        self.path.unlink()

    def copy(self, destination: str | Path) -> None:
        """Copy the current state of the store and the files that belong to it, also while a driver writes.

        A checkpoint that is replaced during the copy may be missing in it; its trial then starts from scratch.

        Args:
            destination: The file to create.

        Raises:
            StoreError: The destination already exists or cannot be written.
        """
        destination = Path(destination)
        if destination.exists():
            raise StoreError(f"{destination} already exists; choose another file")
        _check_folder(destination)
        with _explained(destination), closing(sqlite3.connect(destination)) as target:
            self._db.backup(target)
            if files_beside(self.path).is_dir():
                shutil.copytree(files_beside(self.path), files_beside(destination), ignore=_drafts)

    def close(self) -> None:
        """Close the store and release the lock."""
        if self._lock is not None:
            # Without a WAL, the store is one file that can also be read in a read-only folder. This fails while another
            # process reads the store, which does no harm.
            with suppress(sqlite3.OperationalError):
                self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _last_check(self) -> str:
        with _explained(self.path):
            row = self._db.execute('SELECT "check" FROM events ORDER BY seq DESC LIMIT 1').fetchone()
        return row[0] if row else ""


def files_beside(store: Path) -> Path:
    """The folder for files of a store that are too large for the database, such as checkpoints. It may not exist."""
    return store.absolute().with_name(f"{store.name}.files")


def _drafts(folder: str, names: list[str]) -> list[str]:
    """The files that are being written at the moment."""
    return [name for name in names if name.endswith(".new")]


def _chain(check: str, kind: str, trial: int | None, at: float, body: str) -> str:
    return blake2b(f"{check}|{kind}|{trial}|{at!r}|{body}".encode(), digest_size=8).hexdigest()


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    with _explained(path):
        # The timeout is for other programs, such as the sqlite3 shell; drivers exclude each other by the lock.
        # check_same_thread: a Session may be used by several threads, one at a time.
        connection = sqlite3.connect(
            f"file:{_quoted(path)}?mode={mode}", uri=True, timeout=30, check_same_thread=mode != "rw"
        )
        if mode == "rw":
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            return connection
        try:
            connection.execute("PRAGMA schema_version")
        except sqlite3.OperationalError as error:
            connection.close()
            if "readonly" not in str(error):
                raise
            # A driver was killed while it opened or closed the store, and SQLite must write to recover the file.
            connection = sqlite3.connect(f"file:{_quoted(path)}?mode=rw", uri=True, timeout=30)
            connection.execute("PRAGMA query_only = ON")
        return connection


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _write_new(path: Path, meta: Mapping[str, Any]) -> None:
    """Create the file atomically."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)  # process IDs are reused, in containers often
    _drop_side_files(draft)
    _drop_side_files(path)
    try:
        with closing(sqlite3.connect(draft)) as db:
            schema = resources.files("archsearch.studies").joinpath("schema.sql").read_text(encoding="utf-8")
            db.executescript(f"BEGIN; {schema} COMMIT;")
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {FORMAT}")
            with db:
                rows = [(key, json.dumps(value, ensure_ascii=False)) for key, value in meta.items()]
                db.executemany("INSERT INTO meta VALUES (?, ?)", rows)
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)


def _drop_side_files(path: Path) -> None:
    """Delete the side files of a deleted store, or SQLite would apply its events to the new file."""
    for suffix in _SIDE_FILES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _check_format(path: Path) -> None:
    if held_here(path):
        # By POSIX, closing a file releases all locks of this process on it, including those of SQLite.
        return
    # Read the header without SQLite, which might recover the file first, and so write to a file that is not ours.
    with _explained(path), path.open("rb") as file:
        header = file.read(100)
    if header and not header.startswith(b"SQLite format 3\0"):
        if path.suffix == ".py":
            raise StoreError(f"{path} is a spec, not a store; run it with: archsearch run {path}")
        raise StoreError(f"{path} is not an archsearch store, or is damaged; give the .db file of a run")
    application_id, version = (int.from_bytes(header[at : at + 4], "big") for at in (68, 60))
    if application_id != APPLICATION_ID:
        raise StoreError(f"{path} is an SQLite file but not an archsearch store; give the .db file of a run")
    if version < FORMAT:
        raise StoreError(
            f"{path} has store format {version}, and this version of archsearch reads format {FORMAT} only; run the "
            "study again with a new store"
        )
    if version > FORMAT:
        raise StoreError(
            f"{path} has store format {version}, and this version of archsearch reads format {FORMAT} only; upgrade "
            "archsearch: pip install -U archsearch"
        )


def _check_absent(path: Path) -> None:
    if not path.exists():
        return
    try:
        _check_format(path)
    except StoreError as error:
        raise StoreError(f"{path} already exists and is not a store; choose another file") from error
    raise StoreExistsError(path)


def _check_folder(path: Path) -> None:
    folder = path.absolute().parent
    with _explained(path):
        found = folder.is_dir()
    if not found:
        raise StoreError(f"the folder {folder} of {path.name} does not exist; create it first: mkdir -p {folder}")
    if not os.access(folder, os.W_OK):
        raise StoreError(f"the folder {folder} is not writable; choose a file in another folder")
    free = shutil.disk_usage(folder).free
    if free < FREE_DISK_BYTES:
        raise StoreError(
            f"the disk of {folder} has {file_size(free)} free, and a study needs {file_size(FREE_DISK_BYTES)}; "
            "free some space, or choose a file on another disk"
        )


def _lock(path: Path) -> StoreLock:
    try:
        return StoreLock(path)
    except TimeoutError as error:
        fix = "it is in this process: close its session first" if held_here(path) else "stop it first"
        raise StoreError(f"{path} is in use by another driver{_holder(path)}; {fix}") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be locked: {error}") from error


def _holder(path: Path) -> str:
    """The driver that has the lock, from the latest session in the store; empty if it cannot be determined."""
    try:
        with closing(sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True)) as db:
            kind, at, body = db.execute(
                "SELECT kind, at, body FROM events WHERE kind IN ('session_started', 'session_ended') "
                "ORDER BY seq DESC LIMIT 1"
            ).fetchone()
    except (sqlite3.Error, TypeError):
        return ""
    session = decode(kind, 0, at, body)
    if not isinstance(session, SessionStarted):
        return ""
    return f" (process {session.pid} on {session.host})"


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns errors of SQLite and the operating system into a StoreError that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        if "not a database" in text or "malformed" in text:
            raise StoreError(
                f"{path} is not an archsearch store, or is damaged ({text}); give the .db file of a run"
            ) from error
        if "full" in text:
            raise StoreError(
                f"no disk space left for {path} ({text}); all earlier events are stored: free some disk space, then "
                "resume the study"
            ) from error
        raise StoreError(f"{path}: {text}") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be used: {error.strerror or error}; choose another file") from error
