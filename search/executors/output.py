"""The output of trials: what they print or log is kept with the trial, instead of going to the terminal.

While a trial runs, `sys.stdout` and `sys.stderr` are text streams of our own, and so are the streams of `logging`
handlers that were created before. A Ray worker belongs to its trials alone, so there the file descriptors 1 and 2 are
redirected too, and the output of C code and of child processes is kept as well. In the inline executor, these belong
to the user's terminal.
"""

from __future__ import annotations

import codecs
import contextvars
import ctypes
import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

# True in the threads of observers, whose output does not belong to the trial that is running in this process.
unrecorded: contextvars.ContextVar[bool] = contextvars.ContextVar("unrecorded", default=False)

LOG_LIMIT_BYTES = 2**20  # of the output of one attempt, so that a verbose objective does not bloat the store
_FILE_LIMIT_BYTES = 4 * LOG_LIMIT_BYTES  # after which an OutputFile is emptied


class OutputCapture:
    """Records output, up to `LOG_LIMIT_BYTES` for each attempt.

    Args:
        file: The file in which the output is kept until it is taken, so that it survives the death of this process.
            None keeps it in memory.
    """

    def __init__(self, file: OutputFile | None = None) -> None:
        self._file = file
        self._file_is_full = False
        self._parts: list[str] = []
        self._size = 0  # bytes of the parts
        self._left = LOG_LIMIT_BYTES
        self._truncated = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def rewind(self, trial: int) -> None:
        """Start to record an attempt at a trial."""
        self._left, self._truncated = LOG_LIMIT_BYTES, False
        self._decoder.reset()
        if self._file is not None:
            self._file.mark(trial)

    def write(self, text: str) -> None:
        """Add text to the output."""
        data = _utf8(text)
        pending = self._size + (0 if self._file is None else self._file.pending())
        room = max(0, self._left - pending)
        if len(data) > room:
            self._truncated = True
            data = data[:room]
            text = data.decode(errors="ignore")
        if not data:
            return
        if self._file is not None and not self._file_is_full:
            try:
                self._file.append(data)
            except OSError:  # the disk is full
                self._file_is_full = True
            else:
                return
        self._parts.append(text)
        self._size += len(data)

    def take(self) -> str:
        """Return the output since the last call."""
        data = b"" if self._file is None else self._file.take()
        if not data and not self._parts and not self._truncated:
            return ""
        if len(data) > self._left:
            self._truncated = True
            data = data[: self._left]
        text = self._decoder.decode(data) + "".join(self._parts)
        said = self._left < 0
        self._left -= len(data) + self._size
        self._parts.clear()
        self._size = 0
        if self._truncated and not said:
            self._left = -1
            text += f"\n[output truncated after {LOG_LIMIT_BYTES:,} bytes]\n"
        return text

    @contextmanager
    def recording(self) -> Iterator[None]:
        """A context in which the output of this process is recorded."""
        global _current
        outer, (stdout, stderr) = _current, (sys.stdout, sys.stderr)
        ours = _redirected(stdout, stderr)
        sys.stdout, sys.stderr = ours
        pythons = {id(sys.__stdout__): ours[0], id(sys.__stderr__): ours[1]}
        handlers = _redirected_handlers({**pythons, id(stdout): ours[0], id(stderr): ours[1]})
        _current = self
        try:
            yield
        finally:
            _current = outer
            sys.stdout, sys.stderr = stdout, stderr
            for handler, stream, redirected in handlers:
                if handler.stream is redirected:  # unless the trial has given it another one
                    handler.stream = stream


class OutputFile:
    """A file that contains the output of a worker, which the driver can read if the worker dies.

    Args:
        path: The file. Another file beside it contains the trial whose output it is, and how much was taken already.
    """

    def __init__(self, path: Path) -> None:
        # Appending, so that every process that writes into it does so at its end, also after it was emptied.
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC, 0o600)
        self._mark = os.open(_mark_of(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._taken = 0
        self._trial = -1

    def redirect_descriptors(self) -> None:
        """Redirect the standard output and error of this process and its children into the file, for good."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.dup2(self._descriptor, 1)
        os.dup2(self._descriptor, 2)

    def mark(self, trial: int) -> None:
        """Note the trial to which the output belongs from now on."""
        self._trial = trial
        self._write_mark()

    def append(self, data: bytes) -> None:
        """Write all of the data. Raises OSError if the disk is full."""
        while data:
            data = data[os.write(self._descriptor, data) :]

    def pending(self) -> int:
        """The number of bytes that were not taken yet."""
        return os.fstat(self._descriptor).st_size - self._taken

    def take(self) -> bytes:
        """Return the bytes since the last call."""
        _flush_c_stdout()
        for stream in (sys.__stdout__, sys.__stderr__):
            if stream is not None:
                with suppress(OSError, ValueError):  # the disk is full, or the objective has closed it
                    stream.flush()
        size = self.pending()
        if size <= 0:
            return b""
        data = os.pread(self._descriptor, size, self._taken)
        self._taken += len(data)
        if self._taken > _FILE_LIMIT_BYTES:
            os.ftruncate(self._descriptor, 0)
            self._taken = 0
        self._write_mark()
        return data

    def _write_mark(self) -> None:
        with suppress(OSError):  # the disk is full
            os.pwrite(self._mark, f"{self._trial:<20} {self._taken:<20}\n".encode(), 0)


def remaining_output(path: Path) -> tuple[int | None, str]:
    """What is left in the `OutputFile` of a worker that has died.

    Args:
        path: The file.

    Returns:
        The trial that the worker was running or closing, and the output that it had not taken. None and "" if the
        file cannot be read, for example because it is on another machine.
    """
    try:
        trial, taken = map(int, _mark_of(path).read_text(encoding="ascii").split())
        with path.open("rb") as file:
            file.seek(taken)
            text = file.read(LOG_LIMIT_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return None, ""
    return None if trial < 0 else trial, text


def _mark_of(path: Path) -> Path:
    return path.with_suffix(".mark")


_current: OutputCapture | None = None  # of the trial that is running in this process


def _forget_in_child() -> None:
    """In a forked child, such as a worker of a DataLoader, write to the terminal what would be lost in memory."""
    global _current
    if _current is not None and _current._file is None:
        _current = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


class TrialStream(io.TextIOWrapper):
    """`sys.stdout` or `sys.stderr` of a trial: a text stream like those of Python, with a buffer and a descriptor.

    It outlives the trial, whose `logging` handlers may keep it. Outside a trial, and in threads of observers, it writes
    to the stream that it stands for.

    Args:
        name: As Python names it: "<stdout>" or "<stderr>".
        original: The stream that it stands for.
    """

    mode = "w"  # as `sys.stdout` has it

    def __init__(self, name: str, original: TextIO) -> None:
        self.original = original
        super().__init__(_TrialBuffer(name, self), encoding="utf-8", errors="backslashreplace", write_through=True)

    def write(self, text: str) -> int:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if _current is None or unrecorded.get():
            if self.original is not None:
                self.original.write(text)
        else:
            _current.write(text)
        return len(text)

    def flush(self) -> None:
        if (_current is None or unrecorded.get()) and self.original is not None and not self.original.closed:
            self.original.flush()


class _TrialBuffer(io.BufferedIOBase):
    """`sys.stdout.buffer` of a trial: decodes bytes, and writes them to the text stream."""

    mode = "wb"

    def __init__(self, name: str, stream: TrialStream) -> None:
        self.name = name
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        view = memoryview(data)  # raises TypeError for text, as Python's own buffers do
        self._stream.write(self._decoder.decode(view.tobytes()))
        return view.nbytes

    def fileno(self) -> int:
        """The descriptor of the stream that this stands for, for child processes and faulthandler."""
        try:
            return self._stream.original.fileno()
        except (AttributeError, OSError, ValueError):  # in a notebook, it has none
            real = sys.__stdout__ if self.name == "<stdout>" else sys.__stderr__
            if real is None:
                raise io.UnsupportedOperation("fileno") from None
            return real.fileno()


_streams: list[TrialStream] = []


def _redirected(stdout: TextIO, stderr: TextIO) -> tuple[TrialStream, TrialStream]:
    """The two streams of this process's trials, which now stand for these."""
    if not _streams or any(map(_is_closed, _streams)):
        _streams[:] = [TrialStream("<stdout>", stdout), TrialStream("<stderr>", stderr)]
    for stream, original in zip(_streams, (stdout, stderr), strict=True):
        if not isinstance(original, TrialStream):  # a study that runs within a trial of another
            stream.original = original
    return _streams[0], _streams[1]


def _is_closed(stream: TextIO) -> bool:
    """Whether a trial has closed or detached the stream."""
    try:
        return stream.closed
    except ValueError:
        return True


def _redirected_handlers(
    replacement: dict[int, TrialStream],
) -> list[tuple[logging.StreamHandler[Any], TextIO, TrialStream]]:
    """Let `logging` handlers with these streams, such as those created when the spec was loaded, write to ours.

    Args:
        replacement: Our streams by the id of the stream to replace.

    Returns:
        The handlers, their streams before, and their streams now.
    """
    changed: list[tuple[logging.StreamHandler[Any], TextIO, TrialStream]] = []
    for reference in [*logging._handlerList]:  # type: ignore[attr-defined]  # every handler that there is
        handler = reference()
        stream: Any = getattr(handler, "stream", None)
        mine = None if stream is None else replacement.get(id(stream))
        if mine is not None and mine is not stream and isinstance(handler, logging.StreamHandler):
            # Not by setStream, which is slow: torch alone has twenty handlers. They flush after each record.
            handler.stream = mine
            changed.append((handler, stream, mine))
    return changed


def _utf8(text: str) -> bytes:
    """The bytes as the store contains them, with lone surrogates escaped."""
    return text.encode("utf-8", "backslashreplace")


try:
    _libc = ctypes.CDLL(None)
    _c_stdout = ctypes.c_void_p.in_dll(_libc, "__stdoutp" if sys.platform == "darwin" else "stdout")
except (OSError, TypeError, ValueError):  # Windows
    _libc = None  # type: ignore[assignment]


def _flush_c_stdout() -> None:
    """Write what C code has printed, and the C library still holds."""
    if _libc is not None:
        _libc.fflush(_c_stdout)
