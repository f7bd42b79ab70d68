"""The store: nothing that was appended is lost, nothing is changed unseen, and every refusal says what to do."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
import warnings
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import archsearch.studies.store
from archsearch import StoreError
from archsearch.studies.codec import encode
from archsearch.studies.history import History
from archsearch.studies.records import (
    Ended,
    Event,
    Failed,
    Finished,
    Logged,
    Proposal,
    Proposed,
    Report,
    Reported,
    SessionEnded,
    SessionStarted,
    Started,
    StudyRecord,
)
from archsearch.studies.stopping_criteria import StoppingCriteria
from archsearch.studies.store import FORMAT, Store

META = {"spec": "größe = 1\n", "seed": 3, "versions": {"torch": "2.13.0"}, "commit": None}


def finished(number: int, loss: float = 1.0) -> list[Event]:
    return [
        Proposed(1.0, number, Proposal({"a": 0.5, "b": 1}, 3), 0),
        Started(1.0, number, 1, "w"),
        Reported(2.0, number, Report(1, {"loss": loss}, 0.5)),
        Ended(3.0, number, Finished()),
    ]


EVENTS = [
    SessionStarted(0.5, StoppingCriteria(trials=10), 2, "inline", "host-a", 4711),
    *finished(0),
    *finished(1, 0.25),
    Logged(4.0, 1, "hé\n"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a study #1?50%.db"


@pytest.fixture
def store(path: Path, small_study: StudyRecord) -> Iterator[Store]:
    with Store.create(path, small_study, META) as store:
        yield store


@pytest.fixture
def left(path: Path, small_study: StudyRecord) -> Path:
    """The path of a closed store that holds EVENTS."""
    with Store.create(path, small_study, META) as store:
        store.append(EVENTS)
    return path


def edit(path: Path, *statements: str) -> None:
    """Changes the file behind our back."""
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


# What was written is there.


def test_events_come_back_in_order_also_after_reopening(store: Store, path: Path, small_study: StudyRecord) -> None:
    assert list(store.events()) == []
    assert store.history() == History(small_study)
    store.append(EVENTS[:1])
    store.append(EVENTS[1:5])
    store.append([])
    assert list(store.events()) == EVENTS[:5]
    store.close()
    with Store.open(path, write=True) as again:
        again.append(EVENTS[5:])
        assert again.history() == History.from_events(small_study, EVENTS)
    with Store.open(path) as reader:
        assert list(reader.events()) == EVENTS
        assert reader.study == small_study
        assert reader.meta == {**META, "study": small_study.to_json()}


def test_after_closing_one_plain_file_is_left(left: Path) -> None:
    assert {p.name for p in left.parent.iterdir()} == {left.name}


def test_log_joins_what_a_trial_printed(store: Store) -> None:
    texts = ["epoch 1\n", 'a "quote" \\ \x00 and \udc80 é 🎈\n', ""]
    store.append(
        [*finished(0), Logged(5.0, 0, texts[0]), Logged(5.0, 1, "another's"), *(Logged(5.0, 0, t) for t in texts[1:])]
    )
    assert store.log(0) == "".join(texts)
    assert store.log(7) == ""


def test_times_may_be_whole_numbers(store: Store) -> None:
    store.append([SessionEnded(5, "a clock of whole seconds")])
    assert [event.at for event in store.events()] == [5]


def test_a_batch_is_all_or_nothing(store: Store) -> None:
    store.append(EVENTS[:1])
    bad = Reported(2.0, 0, Report(2, {"loss": float("nan")}, 0.5))
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.append([*EVENTS[1:3], bad])
    with pytest.raises(StoreError, match="NOT NULL"):
        store.append([*EVENTS[1:3], SessionEnded(float("nan"), "SQLite keeps NaN as NULL")])
    assert list(store.events()) == EVENTS[:1]
    store.append(EVENTS[1:])
    assert list(store.events()) == EVENTS


def test_a_reader_cannot_append(left: Path) -> None:
    with Store.open(left) as reader, pytest.raises(StoreError, match="readonly"):
        reader.append([SessionEnded(9.0, "x")])


# Nothing is changed unseen.


@pytest.mark.parametrize(
    "statement", ["UPDATE events SET at = 0", "DELETE FROM events", "DELETE FROM events WHERE seq = 10"]
)
def test_sql_cannot_change_events(left: Path, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="events are append-only"):
        edit(left, statement)


DROP = ("DROP TRIGGER events_keep", "DROP TRIGGER events_stay")


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("""UPDATE events SET body = replace(body, '0.25', '0.15') WHERE seq = 8""", 8),
        ("""UPDATE events SET trial = 1 WHERE seq = 4""", 4),
        ("""UPDATE events SET at = at + 1 WHERE seq = 3""", 3),
        ("""UPDATE events SET kind = 'paused' WHERE seq = 5""", 5),
        ("""UPDATE events SET "check" = 'x' WHERE seq = 1""", 1),
        ("""DELETE FROM events WHERE seq = 1""", 2),
        ("""DELETE FROM events WHERE seq = 6""", 7),
        ("""UPDATE events SET seq = 99 WHERE seq = 10""", 99),
        ("""INSERT INTO events SELECT 11, kind, trial, at, body, "check" FROM events WHERE seq = 10""", 11),
    ],
)
def test_a_changed_event_is_noticed_where_it_is(left: Path, statement: str, place: int) -> None:
    edit(left, *DROP, statement)
    with Store.open(left) as store:
        seen: list[Event] = []
        with pytest.raises(StoreError, match=f"is damaged: event {place} does not match its checksum; restore a copy"):
            read_into(seen, store)
        assert seen == EVENTS[: len(seen)]
        assert len(seen) >= min(place, len(EVENTS)) - 2
        with pytest.raises(StoreError, match="is damaged"):
            store.history()


def read_into(seen: list[Event], store: Store) -> None:
    for event in store.events():
        seen.append(event)


@pytest.mark.parametrize(("kind", "body"), [("moved", "{}"), ("paused", "not json"), ("extended", "{}")])
def test_an_event_of_another_version_says_so(left: Path, monkeypatch: pytest.MonkeyPatch, kind: str, body: str) -> None:
    monkeypatch.setattr(archsearch.studies.store, "encode", lambda event: (kind, 1, 9.0, body))
    with Store.open(left, write=True) as store:
        store.append([SessionEnded(9.0, "x")])
        with pytest.raises(StoreError, match=r"event 11 cannot be read .*; it was written by another version"):
            list(store.events())


def test_damaged_pages_are_explained(left: Path) -> None:
    with left.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (left.stat().st_size - 4096))
    with pytest.raises(StoreError, match="is damaged"), Store.open(left) as store:
        list(store.events())


# What is refused, and what it says.


def test_an_existing_file_is_not_overwritten(left: Path, small_study: StudyRecord) -> None:
    with pytest.raises(StoreError, match=r"already exists"):
        Store.create(left, small_study, META)
    with Store.open(left, write=True) as store:  # and the refusal kept no lock
        assert list(store.events()) == EVENTS


def as_text(path: Path) -> None:
    path.write_text("lr,loss\n" * 1000)


def as_short_text(path: Path) -> None:
    path.write_text("hello\n")


def as_nothing(path: Path) -> None:
    path.touch()


def as_another_database(path: Path) -> None:
    edit(path, "CREATE TABLE trials (number)")


def as_newer(path: Path) -> None:
    edit(
        path,
        f"PRAGMA application_id = {archsearch.studies.store.APPLICATION_ID}",
        f"PRAGMA user_version = {FORMAT + 1}",
    )


def as_older(path: Path) -> None:
    edit(
        path,
        f"PRAGMA application_id = {archsearch.studies.store.APPLICATION_ID}",
        f"PRAGMA user_version = {FORMAT - 1}",
    )


def as_folder(path: Path) -> None:
    path.mkdir()


def as_missing(path: Path) -> None:
    pass


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (as_text, r"is not an archsearch store, or is damaged; give the \.db file of a run"),
        (as_short_text, r"is not an archsearch store, or is damaged"),
        (as_nothing, r"not an archsearch store; give the \.db file"),
        (as_another_database, r"is an SQLite file but not an archsearch store; give the \.db file"),
        (
            as_newer,
            rf"has store format {FORMAT + 1}, and this version of archsearch reads format {FORMAT} only; upgrade",
        ),
        (
            as_older,
            rf"has store format {FORMAT - 1}, .* reads format {FORMAT} only; run the study again",
        ),
        (as_folder, r"it is a folder; `archsearch list FOLDER`"),
        (as_missing, r"it does not exist; `archsearch list FOLDER`"),
    ],
)
def test_what_is_no_store_is_left_alone(path: Path, prepare: Callable[[Path], None], says: str, write: bool) -> None:
    prepare(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=says):
        Store.open(path, write=write)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert {p.name for p in path.parent.iterdir()} <= {path.name}


def test_a_folder_that_is_not_there(tmp_path: Path, small_study: StudyRecord) -> None:
    with pytest.raises(StoreError, match=r"the folder .*/runs/july of a\.db does not exist; create it first: mkdir -p"):
        Store.create(tmp_path / "runs" / "july" / "a.db", small_study, META)


def as_nobody(act: Callable[[], None]) -> str:
    """What StoreError `act` raises, for a user without root's rights."""
    if os.geteuid() != 0:
        with pytest.raises(StoreError) as caught:
            act()
        return str(caught.value)
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: this child starts none
        child = os.fork()
    if child == 0:
        try:
            os.setresuid(65534, 65534, 65534)
            act()
            text = "nothing was raised"
        except StoreError as error:
            text = str(error)
        except BaseException as error:  # noqa: BLE001 - told to the parent
            text = f"not ours: {error!r}"
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that others can reach, unlike pytest's own."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.skipif(os.name != "posix", reason="folder rights are POSIX's")
def test_a_folder_that_cannot_be_written(outside: Path, small_study: StudyRecord) -> None:
    with Store.create(outside / "a.db", small_study, META) as store:
        store.append(EVENTS)
    outside.chmod(0o555)
    says = "is not writable; choose a file in another folder"
    assert says in as_nobody(lambda: Store.create(outside / "b.db", small_study, META).close())
    assert says in as_nobody(lambda: Store.open(outside / "a.db", write=True).close())

    def only_read() -> None:
        with Store.open(outside / "a.db") as store:
            raise StoreError(f"read {len(list(store.events()))} events")

    assert as_nobody(only_read) == f"read {len(EVENTS)} events"
    outside.chmod(0o000)
    says = "cannot be used: Permission denied; choose another file"
    assert says in as_nobody(lambda: Store.open(outside / "a.db").close())
    assert says in as_nobody(lambda: Store.create(outside / "in" / "a.db", small_study, META).close())


def test_a_disk_that_is_nearly_full_is_refused_at_the_start(
    path: Path, small_study: StudyRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")(10**12, 10**12 - 2**20, 2**20)
    monkeypatch.setattr(archsearch.studies.store.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(StoreError, match=r"has 1 MiB free, and a study needs 64 MiB; free some space, or choose"):
        Store.create(path, small_study, META)
    assert not path.exists()


def test_a_full_disk_keeps_what_was_there(store: Store, path: Path) -> None:
    store.append(EVENTS)
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    long, kept = [Logged(5.0, 0, "x" * 1000)] * 3, list(EVENTS)

    def fill() -> None:
        for _ in range(100):
            store.append(long)
            kept.extend(long)

    with pytest.raises(StoreError, match=r"no disk space left for .*are stored: free some disk space") as full:
        fill()
    assert str(full.value).endswith("then resume the study")
    assert list(store.events()) == kept
    with Store.open(path) as reader:
        assert list(reader.events()) == kept
    store._db.execute(f"PRAGMA max_page_count = {pages + 100}")
    store.append(long)
    assert list(store.events()) == kept + long


def test_a_store_that_cannot_be_made_leaves_nothing(
    path: Path, small_study: StudyRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TypeError):
        Store.create(path, small_study, {"spec": object()})
    assert list(path.parent.iterdir()) == []
    Store.create(path, small_study, META).close()


# One driver, any number of readers.

DRIVER = """
    import os, sys
    from pathlib import Path
    from archsearch import Float, Space
    from archsearch.studies.records import Goal, Logged, SessionStarted, StudyRecord
    from archsearch.studies.stopping_criteria import StoppingCriteria
    from archsearch.studies.store import Store

    study = StudyRecord("small", Space(a=Float(0, 1)), (Goal("loss", False),), 9, 3, "Random()", "Never()")
    store = Store.create(sys.argv[1], study, {})
"""
HOLD = """
    store.append([SessionStarted(1.0, StoppingCriteria(trials=10), 2, "inline", "host-b", os.getpid())])
    print("ready", flush=True)
    sys.stdin.read()
    store.close()
"""
APPEND = """
    number = 0
    while True:
        store.append([Logged(float(number + i), 0, f"{number + i}" + "x" * 300) for i in range(1 + number % 3)])
        number += 1 + number % 3
        print(number, flush=True)
"""


@pytest.fixture
def start(path: Path, command_env: dict[str, str]) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a driver on `path` in a process of its own."""
    running: list[subprocess.Popen[str]] = []

    def start(work: str) -> subprocess.Popen[str]:
        code = textwrap.dedent(DRIVER) + textwrap.dedent(work)
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            env=command_env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_a_second_driver_is_refused_and_told_who_the_first_is(
    start: Callable[[str], subprocess.Popen[str]], path: Path, small_study: StudyRecord
) -> None:
    first = start(HOLD)
    assert first.stdout is not None
    assert first.stdout.readline() == "ready\n"
    says = rf"is in use by another driver \(process {first.pid} on host-b\); stop it first"
    with pytest.raises(StoreError, match=says):
        Store.open(path, write=True)
    with pytest.raises(StoreError, match="already exists"):
        Store.create(path, small_study, META)
    with Store.open(path) as reader, Store.open(path) as another:
        assert len(list(reader.events())) == len(list(another.events())) == 1
    first.communicate("")
    with Store.open(path, write=True) as store:
        store.append([SessionEnded(2.0, "x")])


def test_one_store_has_one_driver_whatever_its_path(
    left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(left)
    monkeypatch.chdir(tmp_path)
    with Store.open(left, write=True):
        for name in (link, Path("elsewhere") / ".." / left.name):
            with pytest.raises(StoreError, match="is in use by another driver"):
                Store.open(name, write=True)
    with Store.open(link, write=True) as store:
        assert len(list(store.events())) == len(EVENTS)
    assert {p.name for p in tmp_path.iterdir()} == {left.name, "elsewhere"}
    assert [p.name for p in link.parent.iterdir()] == ["link.db"]


def test_a_lock_file_that_goes_while_another_driver_opens_it_is_no_lock(
    left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second driver opens the lock file, the first leaves with it, and a third one comes."""
    first, third = Store.open(left, write=True), []
    real = os.open

    def slow(path: Any, *more: Any, **others: Any) -> int:
        opened = real(path, *more, **others)
        if str(path).endswith(".lock") and not third:
            third.append(None)
            first.close()
            third[0] = Store.open(left, write=True)
        return opened

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", slow)
        with pytest.raises(StoreError, match="in use by another driver"):
            Store.open(left, write=True)
    third[0].append([SessionEnded(9.0, "x")])
    third[0].close()
    assert list(left.parent.iterdir()) == [left]


LOCKED = """
    import fcntl, sys
    with open(sys.argv[1], "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)  # where SQLite's readers hold a lock
"""


def test_reading_a_store_that_this_process_drives_takes_no_lock_away(left: Path) -> None:
    """POSIX gives back a process's locks on a file when it closes the file anywhere, SQLite's locks too."""
    with Store.open(left, write=True):
        with Store.open(left) as reader:
            assert list(reader.events()) == EVENTS
        try_it = [sys.executable, "-c", textwrap.dedent(LOCKED), left]
        tried = subprocess.run(try_it, capture_output=True, text=True, check=False)
    assert "BlockingIOError" in tried.stderr


def test_a_driver_that_has_not_begun_is_not_taken_for_the_one_before(left: Path) -> None:
    with Store.open(left, write=True) as store:
        store.append([SessionEnded(9.0, "every trial is done")])
    with Store.open(left, write=True), pytest.raises(StoreError, match="another driver; it is in this process: close"):
        Store.open(left, write=True)


def test_a_reader_sees_what_is_committed_while_a_driver_writes(left: Path) -> None:
    with Store.open(left, write=True) as store, Store.open(left) as reader:
        half = reader.events()
        assert next(half) == EVENTS[0]
        store.append([Logged(5.0, 0, "more")])
        assert list(half) == EVENTS[1:]  # a reading sees one moment
        row = encode(Logged(6.0, 0, "not committed"))
        store._db.execute("INSERT INTO events (kind, trial, at, body, \"check\") VALUES (?, ?, ?, ?, '')", row)
        assert len(list(reader.events())) == len(EVENTS) + 1
        store._db.rollback()
        assert reader.log(0) == "more"


@pytest.mark.parametrize("count", [0, 1, 7, 60])
def test_kill_9_loses_nothing_that_was_appended(
    start: Callable[[str], subprocess.Popen[str]], path: Path, count: int
) -> None:
    driver = start(APPEND)
    assert driver.stdout is not None
    read = [driver.stdout.readline() for _ in range(count)]
    if count == 0:
        while not path.exists():  # as early as there is anything
            time.sleep(0.001)
    driver.send_signal(signal.SIGKILL)
    rest, _ = driver.communicate()
    told = "".join(read) + rest
    returned = int(told.split()[-1]) if told else 0
    with Store.open(path) as reader:
        kept = list(reader.events())
    assert len(kept) >= returned >= count
    assert [e.at for e in kept] == [float(n) for n in range(len(kept))]
    with Store.open(path, write=True) as store:  # the dead driver's lock is gone with it
        assert list(store.events()) == kept
        store.append([SessionEnded(9.0, "x")])
        assert len(list(store.events())) == len(kept) + 1


HALF_WRITTEN = """
    import signal, sqlite3
    store.append([Logged(float(n), 0, "x") for n in range(5)])
    store.close()
    db = sqlite3.connect(sys.argv[1])
    db.execute("PRAGMA cache_size = 1")
    db.execute("BEGIN IMMEDIATE")
    for n in range(300):
        db.execute("INSERT INTO meta VALUES (?, ?)", (f"key {n}", "x" * 500))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("write", [False, True])
def test_a_driver_killed_while_it_opens_or_closes_leaves_a_store_that_opens(
    start: Callable[[str], subprocess.Popen[str]], path: Path, write: bool
) -> None:
    """SQLite then leaves a journal that must be rolled back, which a read-only connection is not allowed to do."""
    start(HALF_WRITTEN).communicate()
    assert path.with_name(f"{path.name}-journal").stat().st_size > 0
    with Store.open(path, write=write) as store:
        assert [event.at for event in store.events()] == [0.0, 1.0, 2.0, 3.0, 4.0]
        assert set(store.meta) == {"study"}
        if not write:
            with pytest.raises(StoreError, match="readonly"):
                store.append([SessionEnded(9.0, "x")])


def test_a_draft_of_a_killed_driver_is_not_in_the_way(path: Path, small_study: StudyRecord) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")  # in a container the next driver has the same number
    edit(draft, "CREATE TABLE meta (key)")
    Store.create(path, small_study, META).close()
    assert not draft.exists()


def test_what_a_killed_driver_left_of_a_deleted_store_does_not_come_back(
    start: Callable[[str], subprocess.Popen[str]], path: Path, small_study: StudyRecord
) -> None:
    driver = start(APPEND)
    assert driver.stdout is not None
    for _ in range(5):
        driver.stdout.readline()
    driver.kill()
    driver.communicate()
    wal = path.with_name(f"{path.name}-wal")
    assert wal.stat().st_size > 0
    path.unlink()
    with Store.create(path, small_study, META) as store:
        assert list(store.events()) == []
        store.append(EVENTS)
    with Store.open(path) as reader:
        assert list(reader.events()) == EVENTS


def test_what_is_noted_later_is_kept_and_nothing_is_changed(store: Store, path: Path) -> None:
    store.append(EVENTS[:1])
    before = store.meta
    store.note("data", "0123456789abcdef")
    for key in ("data", "study"):
        with pytest.raises(StoreError, match="UNIQUE"):
            store.note(key, "other")
    store.append(EVENTS[1:])
    store.close()
    with Store.open(path) as reader:
        assert reader.meta == {**before, "data": "0123456789abcdef"}
        assert list(reader.events()) == EVENTS


# Copies.


def test_a_copy_is_a_store_of_its_own(store: Store, tmp_path: Path) -> None:
    store.append(EVENTS)
    store.copy(tmp_path / "copy.db")
    store.append([SessionEnded(9.0, "after the copy")])
    with Store.open(tmp_path / "copy.db", write=True) as copy:
        assert list(copy.events()) == EVENTS
        assert copy.meta == store.meta
        copy.append([SessionEnded(8.0, "in the copy")])
    assert list(store.events()) == [*EVENTS, SessionEnded(9.0, "after the copy")]


def test_a_copy_overwrites_nothing(store: Store, path: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    for destination in (tmp_path / "thesis.txt", path):
        with pytest.raises(StoreError, match="already exists; choose another file"):
            store.copy(destination)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    with pytest.raises(StoreError, match="does not exist; create it first"):
        store.copy(tmp_path / "missing" / "copy.db")


def test_copies_taken_while_a_driver_writes_are_whole(
    start: Callable[[str], subprocess.Popen[str]], path: Path, tmp_path: Path
) -> None:
    driver = start(APPEND)
    assert driver.stdout is not None
    lengths = []
    for number in range(5):
        for line in itertools.islice(driver.stdout, 10):
            told = int(line)
        with Store.open(path) as reader:
            reader.copy(tmp_path / f"{number}.db")
        with Store.open(tmp_path / f"{number}.db") as copy:
            times = [event.at for event in copy.events()]
        assert len(times) >= told
        assert times == [float(n) for n in range(len(times))]
        lengths.append(len(times))
    assert lengths == sorted(lengths)  # a driver that is held up may have added nothing between two


def test_failed_trials_keep_their_error(store: Store) -> None:
    error = "Traceback…\nValueError: 'é' \x00 \udcff"
    store.append([*finished(0)[:2], Ended(3.0, 0, Failed(error))])
    assert store.history().trials[0].reason == error


def test_everything_is_closed_on_errors(path: Path, small_study: StudyRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(archsearch.studies.store, "_connect", fail)
    with pytest.raises(KeyboardInterrupt) as kept:  # its traceback keeps the lock from the garbage collector
        Store.create(path, small_study, META)
    with pytest.raises(KeyboardInterrupt) as kept_too:
        Store.open(path, write=True)
    monkeypatch.undo()
    with Store.open(path, write=True) as store:
        assert list(store.events()) == []
    assert kept.tb
    assert kept_too.tb
