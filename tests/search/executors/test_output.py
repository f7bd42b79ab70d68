"""What trials print and log, in this process: the streams are text streams like Python's, and all is kept."""

from __future__ import annotations

import errno
import faulthandler
import io
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from tqdm import tqdm

from archsearch.search.executors.output import LOG_LIMIT_BYTES, OutputCapture, OutputFile, remaining_output, unrecorded
from archsearch.search.executors.worker import Worker
from archsearch.search.protocols import Job
from archsearch.studies.records import Logged, Reported


def job(number: int = 0) -> Job:
    return Job(number, 1, {}, None, 5, metrics=("loss",))


def log_of(body: Callable[[], object], worker: Worker | None = None) -> str:
    """The log of a trial that calls `body`, which must not fail."""

    def objective(trial: Any) -> float:
        body()
        return 0.0

    events = (worker or Worker(objective, "cpu")).advance(job(), stop=False)
    assert any(isinstance(event, Reported) for event in events), events
    return "".join(event.text for event in events if isinstance(event, Logged))


@pytest.mark.parametrize(
    ("body", "log"),
    [
        (lambda: click.echo("clicked"), "clicked\n"),
        (lambda: click.echo("to stderr", err=True), "to stderr\n"),
        (lambda: click.echo(b"as bytes"), "as bytes\n"),
        (lambda: sys.stdout.buffer.write("bytes é\n".encode()), "bytes é\n"),
        (lambda: [sys.stdout.buffer.write(byte.to_bytes()) for byte in "é".encode()], "é"),
        (lambda: sys.stdout.writelines(["a", "b"]), "ab"),
        (lambda: print("\ud800", "é"), "\ud800 é\n"),
        (lambda: print(sys.stderr.name, sys.stderr.mode, sys.stdout.buffer.mode), "<stderr> w wb\n"),
        (lambda: print(sys.stdout.encoding, sys.stdout.errors, sys.stdout.isatty()), "utf-8 backslashreplace False\n"),
        (lambda: (sys.stdout.reconfigure(line_buffering=True, errors="replace"), print("re")), "re\n"),
        (lambda: print(*(isinstance(sys.stdout, io.TextIOBase), sys.stdout.writable())), "True True\n"),
        (lambda: print(isinstance(sys.stdout.fileno(), int), sys.stdout.readable()), "True False\n"),
        (lambda: (os.get_terminal_size if sys.stdout.isatty() else print)("log"), "log\n"),
        (lambda: sys.__stdout__ is sys.stdout or print("not Python's own"), "not Python's own\n"),
    ],
)
def test_the_streams_of_a_trial_are_true_text_streams(body: Callable[[], object], log: str) -> None:
    assert log_of(body) == log


def test_text_and_bytes_are_not_mixed_up() -> None:
    def body() -> None:
        for wrong in (lambda: sys.stdout.write(b""), lambda: sys.stdout.buffer.write("")):
            with pytest.raises(TypeError):
                wrong()

    assert log_of(body) == ""


def test_tqdm_draws_into_the_log() -> None:
    log = log_of(lambda: [None for _ in tqdm(range(3))])
    assert "3/3" in log


def test_the_streams_can_be_given_to_child_processes_and_to_faulthandler() -> None:
    """In this process, their descriptors are the terminal's."""

    def body() -> None:
        done = subprocess.run(
            [sys.executable, "-c", "print('child')"], stdout=sys.stdout, stderr=sys.stderr, check=True
        )
        print("exit status", done.returncode)
        faulthandler.dump_traceback(sys.stderr)

    enabled = faulthandler.is_enabled()
    assert log_of(body) == "exit status 0\n"
    assert faulthandler.is_enabled() == enabled


@pytest.mark.parametrize("harm", [lambda: sys.stdout.close(), lambda: sys.stdout.detach()])
def test_a_trial_that_closes_its_stream_harms_no_other(harm: Callable[[], object]) -> None:
    assert log_of(harm) == ""
    assert log_of(lambda: print("next")) == "next\n"
    print("the engine's own is still open")


def own_logger(name: str) -> logging.Logger:
    logger = logging.getLogger(name)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    return logger


@pytest.mark.parametrize("stream", ["stdout", "stderr", "__stderr__"])
def test_a_logging_handler_made_before_the_trial_logs_into_it(stream: str, capsys: Any) -> None:
    before = getattr(sys, stream)
    handler, logger = logging.StreamHandler(before), own_logger("made.before")
    logger.addHandler(handler)
    try:
        assert log_of(lambda: logger.info("in the trial")) == "in the trial\n"
        assert handler.stream is before
        logger.info("after the trial")
    finally:
        logger.removeHandler(handler)
    printed = capsys.readouterr()
    assert "in the trial" not in printed.out + printed.err


def test_a_logging_handler_made_in_a_trial_logs_into_later_ones_of_any_worker(capsys: Any) -> None:
    logger = own_logger("made.in.trial")
    assert log_of(lambda: logger.addHandler(logging.StreamHandler())) == ""
    try:
        assert log_of(lambda: logger.info("in another")) == "in another\n"
        logger.info("outside")
    finally:
        logger.handlers.clear()
    assert capsys.readouterr().err == "outside\n"


def test_a_handler_that_the_trial_gives_another_stream_keeps_it() -> None:
    handler, mine = logging.StreamHandler(sys.stderr), io.StringIO()
    log_of(lambda: handler.setStream(mine))
    assert handler.stream is mine


def test_a_study_within_a_trial_keeps_its_own_output() -> None:
    def outer() -> None:
        print("before")
        assert log_of(lambda: print("inner")) == "inner\n"
        print("after")

    assert log_of(outer) == "before\nafter\n"


def test_other_threads_may_print_past_the_trial(capsys: Any) -> None:
    """As observers do."""

    def observe() -> None:
        unrecorded.set(True)
        print("observed", flush=True)
        sys.stdout.buffer.write(b"bytes\n")

    def body() -> None:
        thread = threading.Thread(target=observe)
        thread.start()
        thread.join()

    assert log_of(body) == ""
    assert capsys.readouterr().out == "observed\nbytes\n"


def test_a_forked_child_prints_to_the_terminal_what_would_be_lost(capfd: Any) -> None:
    def body() -> None:
        child = os.fork()
        if child == 0:
            print("forked", flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        print("parent")

    assert log_of(body) == "parent\n"
    assert capfd.readouterr().out == "forked\n"


@pytest.fixture
def file(tmp_path: Path) -> OutputFile:
    return OutputFile(tmp_path / "worker.out")


def test_output_in_a_file_is_what_is_left_of_a_dead_worker(tmp_path: Path, file: OutputFile) -> None:
    path, capture = tmp_path / "worker.out", OutputCapture(file)
    assert remaining_output(path) == (None, "")
    capture.rewind(3)
    capture.write("taken é\n")
    assert capture.take() == "taken é\n"
    capture.write("not taken\n")
    assert remaining_output(path) == (3, "not taken\n")
    capture.rewind(4)
    assert remaining_output(path)[0] == 4
    assert remaining_output(tmp_path / "elsewhere.out") == (None, "")


def test_a_full_disk_stops_the_copy_and_not_the_trial(file: OutputFile, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = OutputCapture(file)
    capture.rewind(0)
    capture.write("before\n")
    real_write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if descriptor == file._descriptor:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    worker = Worker(lambda trial: print("after") or 0.0, "cpu", capture=capture)
    (logged, *_) = worker.advance(job(), stop=False)
    assert isinstance(logged, Logged)
    assert logged.text == "after\n"


def test_the_limit_holds_in_a_file_too_for_each_attempt(file: OutputFile) -> None:
    capture = OutputCapture(file)
    for trial in (0, 1):
        capture.rewind(trial)
        for _ in range(3):
            capture.write("é" * (LOG_LIMIT_BYTES // 4))
            os.write(file._descriptor, b"C code\n")
        text = capture.take() + capture.take()
        assert LOG_LIMIT_BYTES - 10 < len(text.encode()) < LOG_LIMIT_BYTES + 100
        assert text.endswith("[output truncated after 1,048,576 bytes]\n")
        assert text.count("C code") in (1, 2)
        capture.write("more")
        assert capture.take() == ""


def test_the_file_does_not_grow_for_ever(tmp_path: Path, file: OutputFile) -> None:
    capture = OutputCapture(file)
    for trial in range(12):
        capture.rewind(trial)
        capture.write("x" * (LOG_LIMIT_BYTES // 2))
        assert len(capture.take()) == LOG_LIMIT_BYTES // 2
    assert (tmp_path / "worker.out").stat().st_size < 5 * LOG_LIMIT_BYTES
    capture.write("and on")
    assert remaining_output(tmp_path / "worker.out") == (11, "and on")


def test_late_output_of_a_child_belongs_to_the_trial_that_started_it(file: OutputFile) -> None:
    def objective(trial: Any) -> Iterator[float]:
        print("trial", trial.number)
        yield 0.0

    worker = Worker(objective, "cpu", capture=OutputCapture(file))
    worker.advance(job(0), stop=False)
    worker.advance(None, stop=False)
    os.write(file._descriptor, b"late\n")
    events = [event for event in worker.advance(job(1), stop=False) if isinstance(event, Logged)]
    assert [(event.trial, event.text) for event in events] == [(0, "late\n"), (1, "trial 1\n")]
