"""The append-only event store of one study: one SQLite file, one writer, any number of readers at any time.

Each batch of events is one transaction, which is committed before anyone acts on it, so killing any process loses no
decision. Only the driver writes, and a lock keeps a second driver out (`archsearch.studies.locking`). Rows are chained
by a digest, so that a damaged or edited file is noticed when it is read.
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

APPLICATION_ID = 0x41524348  # "ARCH": what makes an SQLite file ours
FORMAT = 4
FREE_DISK_BYTES = 64 * 2**20  # a study is not started with less free disk space

_SIDE_FILES = ("-wal", "-shm", "-journal")


class StoreExistsError(StoreError):
    """A new store was to be created where there is one already.

    Attributes:
        path: The existing store.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} exists already")
        self.path = path


class Store:
    """An open store. Use `create` or `open` to get one, in a `with` block.

    Whatever is wrong with the file, its folder or its disk is a StoreError that says what to do.

    Attributes:
        path: The file, as it was given.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: StoreLock | None) -> None:
        self.path = path
        self._db = connection
        self._lock = lock
        self._check = self._last_check()

    @classmethod
    def create(cls, path: str | Path, study: StudyRecord, meta: Mapping[str, Any]) -> Store:
        """Create a store for a study, and open it for writing.

        Args:
            path: The file, which must not exist. It appears under this name whole or not at all.
            study: The study's record.
            meta: What is known of its provenance, as JSON: spec, versions of packages, hardware.

        Raises:
            StoreExistsError: There is a store of this name.
            StoreError: The file cannot be made, or another driver holds the lock.
        """
        path = Path(path)
        _check_folder(path)
        _check_absent(path)
        lock = _lock(path)
        try:
            _check_absent(path)  # another driver may have made it meanwhile
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
            write: Open it as its only driver. Reading is possible at any time, also while a driver writes.

        Raises:
            StoreError: There is no such file, it is not a store, or another driver holds the lock.
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
        """Append all of the events, or none of them. They are on disk when this returns."""
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
        """Add to `meta` what was learnt since `create`. Entries that exist are never changed."""
        with _explained(self.path), self._db:
            self._db.execute("INSERT INTO meta VALUES (?, ?)", (key, json.dumps(value, ensure_ascii=False)))

    def events(self, after: int = 0) -> Iterator[Event]:
        """The events in order.

        Args:
            after: Leave out the events up to this number, counted from 1.

        Raises:
            StoreError: While iterating, at the first event that does not fit the chain of digests.
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
                        f"{self.path} is damaged: event {seq} does not fit its checksum; restore a copy "
                        "(`archsearch copy` makes one at any time)"
                    )
                try:
                    yield decode(kind, trial, at, body)
                except (ValueError, KeyError) as error:
                    raise StoreError(
                        f"{self.path}: event {seq} cannot be read ({error}); it was written by another version"
                    ) from error

    def digest(self, seq: int) -> str | None:
        """The digest of all events up to number `seq`; None where there are fewer."""
        if seq == 0:
            return ""
        with _explained(self.path):
            row = self._db.execute('SELECT "check" FROM events WHERE seq = ?', (seq,)).fetchone()
        return row[0] if row else None

    def history(self) -> History:
        """The fold of all events."""
        return History.from_events(self.study, self.events())

    @property
    def study(self) -> StudyRecord:
        return StudyRecord.from_json(self.meta["study"])

    @property
    def meta(self) -> dict[str, Any]:
        """What is known of the study's provenance: format, study, spec, versions, hardware, the data's fingerprint."""
        with _explained(self.path):
            return {key: json.loads(value) for key, value in self._db.execute("SELECT key, value FROM meta")}

    def log(self, trial: int) -> str:
        """What the trial printed, over all its attempts; empty for a trial that does not exist."""
        with _explained(self.path):
            rows = self._db.execute(
                "SELECT body FROM events WHERE trial = ? AND kind = 'logged' ORDER BY seq", (trial,)
            )
            # Not json_extract: SQLite's ends at a NUL, and refuses a lone surrogate.
            return "".join(json.loads(body)["text"] for (body,) in rows)

    @property
    def empty(self) -> bool:
        """Whether no event was ever appended."""
        return not self._check

    def discard(self) -> None:
        """Delete an empty store. It must be open for writing, and still has to be closed."""
        if not self.empty or self._lock is None:
            raise StoreError(f"{self.path} holds events or is not ours to delete; nothing was deleted")
        self.path.unlink()

    def copy(self, destination: str | Path) -> None:
        """Copy the store as it is at this moment, also while a driver writes, with the files beside it.

        A checkpoint that is replaced meanwhile may be missing in the copy; its trial then starts again.

        Raises:
            StoreError: The destination exists already, or cannot be written.
        """
        destination = Path(destination)
        if destination.exists():
            raise StoreError(f"{destination} exists already; name another file")
        _check_folder(destination)
        with _explained(destination), closing(sqlite3.connect(destination)) as target:
            self._db.backup(target)
            if files_beside(self.path).is_dir():
                shutil.copytree(files_beside(self.path), files_beside(destination), ignore=_drafts)

    def close(self) -> None:
        """Close the store, and give the lock back."""
        if self._lock is not None:
            # Leave one plain file, which can be read in a read-only folder too. A reader at work keeps the WAL for now.
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
    """The folder for what belongs to a store and is too large for it, such as checkpoints. It may not exist."""
    return store.absolute().with_name(f"{store.name}.files")


def _drafts(folder: str, names: list[str]) -> list[str]:
    """What is being written at this moment."""
    return [name for name in names if name.endswith(".new")]


def _chain(check: str, kind: str, trial: int | None, at: float, body: str) -> str:
    return blake2b(f"{check}|{kind}|{trial}|{at!r}|{body}".encode(), digest_size=8).hexdigest()


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    with _explained(path):
        # The timeout is for someone's sqlite3 shell that holds the file; drivers exclude each other by the lock.
        # A Session may be asked from several threads, one at a time.
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
            # A driver was killed while it opened or closed the store. SQLite must write to recover the file.
            connection = sqlite3.connect(f"file:{_quoted(path)}?mode=rw", uri=True, timeout=30)
            connection.execute("PRAGMA query_only = ON")
        return connection


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _write_new(path: Path, meta: Mapping[str, Any]) -> None:
    """The file appears under its name whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)  # process ids are reused, in containers at once
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
    """What a killed driver left of a store that was then deleted: SQLite would play its events into a new file."""
    for suffix in _SIDE_FILES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _check_format(path: Path) -> None:
    if held_here(path):
        # Closing a file gives back all locks that the process has on it (POSIX), those of its driver's SQLite too.
        return
    # Read from the header: SQLite might have to recover the file first, and would write to a file that is not ours.
    with _explained(path), path.open("rb") as file:
        header = file.read(100)
    if header and not header.startswith(b"SQLite format 3\0"):
        raise StoreError(f"{path} is no archsearch store, or is damaged; name the .db file of a run")
    application_id, version = (int.from_bytes(header[at : at + 4], "big") for at in (68, 60))
    if application_id != APPLICATION_ID:
        raise StoreError(f"{path} is an SQLite file, but no archsearch store; name the .db file that a run made")
    if version < FORMAT:
        raise StoreError(
            f"{path} has store format {version}, and this archsearch reads {FORMAT} alone; run the study anew"
        )
    if version > FORMAT:
        raise StoreError(
            f"{path} has store format {version}, this archsearch reads up to {FORMAT}; upgrade it: "
            "pip install -U archsearch"
        )


def _check_absent(path: Path) -> None:
    if not path.exists():
        return
    try:
        _check_format(path)
    except StoreError as error:
        raise StoreError(f"{path} exists already, and is no store; name another file") from error
    raise StoreExistsError(path)


def _check_folder(path: Path) -> None:
    folder = path.absolute().parent
    with _explained(path):
        found = folder.is_dir()
    if not found:
        raise StoreError(f"the folder {folder} of {path.name} does not exist; make it first: mkdir -p {folder}")
    if not os.access(folder, os.W_OK):
        raise StoreError(f"the folder {folder} is not writable; name a file elsewhere")
    free = shutil.disk_usage(folder).free
    if free < FREE_DISK_BYTES:
        raise StoreError(
            f"the disk of {folder} has {file_size(free)} free, and a study wants {file_size(FREE_DISK_BYTES)}; "
            "free some, or name a file on another disk"
        )


def _lock(path: Path) -> StoreLock:
    try:
        return StoreLock(path)
    except TimeoutError as error:
        raise StoreError(f"{path} is in use by another driver{_holder(path)}; stop that one first") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be locked: {error}") from error


def _holder(path: Path) -> str:
    """Who holds the lock, as the latest session in the store says; empty when none is open or can be read."""
    try:
        with closing(sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True)) as db:
            kind, at, body = db.execute(
                "SELECT kind, at, body FROM events WHERE kind IN ('session_started', 'session_ended') "
                "ORDER BY seq DESC LIMIT 1"
            ).fetchone()
    except (sqlite3.Error, TypeError):
        return ""
    opened = decode(kind, 0, at, body)
    if not isinstance(opened, SessionStarted):
        return ""
    here = ", this very process: close what has it open" if opened.pid == os.getpid() else ""
    return f" (process {opened.pid} on {opened.host}{here})"


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """SQLite's and the system's errors as ours, with what to do."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        if "not a database" in text or "malformed" in text:
            raise StoreError(
                f"{path} is no archsearch store, or is damaged ({text}); name the .db file of a run"
            ) from error
        if "full" in text:
            raise StoreError(
                f"no room left for {path} ({text}); everything decided so far is kept: free some disk "
                "space, then resume the study"
            ) from error
        raise StoreError(f"{path}: {text}") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be used: {error.strerror or error}; name a file elsewhere") from error
