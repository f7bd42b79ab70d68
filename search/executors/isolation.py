"""Global settings of Python, NumPy and torch: those of a trial stay with the trial.

A spec or a trial may change settings that apply to its whole process or thread, such as `np.seterr(all="raise")` or
`torch.set_default_dtype(torch.float64)`. Trials see those that the spec has made. Settings that a trial has made are
undone before the next trial on the same worker. The engine, with its strategy and pruner, runs under default settings.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class _Setting:
    """A global setting.

    Attributes:
        read: Returns its value.
        restore: Sets its value.
        default: Returns the value under which the engine runs, given the present value. None: unknown.
        thread: Whether each thread has its own value.
    """

    read: Callable[[], Any]
    restore: Callable[[Any], object]
    default: Callable[[Any], Any]
    thread: bool = False


def _folder() -> str | None:
    try:
        return str(Path.cwd())
    except OSError:  # a trial has deleted it
        return None


def _change_folder(folder: str) -> None:
    with suppress(OSError):  # it no longer exists
        os.chdir(folder)


class _WarningFilters:
    """The warning filters.

    Those of `warnings.catch_warnings` are in a list of their own, and end with it. It may be active in another thread,
    such as the strategy's, so what is in different lists is not compared, and counts as equal.
    """

    __slots__ = ("_filters", "_list")

    def __init__(self, filters: tuple[Any, ...] | None = None) -> None:
        self._list = warnings.filters
        self._filters = tuple(warnings.filters) if filters is None else filters

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _WarningFilters):
            return NotImplemented
        return self._list is not other._list or self._filters == other._filters

    __hash__ = None  # type: ignore[assignment]

    def restore(self) -> None:
        warnings.resetwarnings()  # it also lets Python notice the change
        warnings.filters[:] = self._filters  # type: ignore[index]  # a list, though typed as a Sequence

    def with_those_of_libraries(self, now: _WarningFilters) -> _WarningFilters:
        """With the filters that libraries have probably added while they were imported, which happens only once.

        They are about certain warnings, and raise no errors.
        """
        added = [f for f in now._filters if f not in self._filters and f[0] != "error" and (f[1], f[2], f[3]) != _ANY]
        return _WarningFilters((*added, *self._filters)) if added else self

    def harmless(self) -> _WarningFilters:
        """Without filters that raise warnings as errors, unless `python -W` or PYTHONWARNINGS asks for them."""
        return self if sys.warnoptions else _WarningFilters(tuple(f for f in self._filters if f[0] != "error"))


_FILTERS = "warning filters"
_ANY = (None, Warning, None)  # the message, category and module of a filter for all warnings

_PYTHON = {
    "working folder": _Setting(_folder, _change_folder, lambda now: now),
    _FILTERS: _Setting(_WarningFilters, _WarningFilters.restore, _WarningFilters.harmless),
}


def _numpy_settings(numpy: Any) -> dict[str, _Setting]:
    default = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
    return {
        "NumPy's error handling": _Setting(
            numpy.geterr, lambda value: numpy.seterr(**value), lambda now: default, thread=True
        )
    }


def _torch_settings(torch: Any) -> dict[str, _Setting]:
    cudnn, cpu = torch.backends.cudnn, torch.device("cpu")

    def precision() -> str | None:
        try:
            return str(torch.get_float32_matmul_precision())
        except RuntimeError:  # it is set by torch's newer interface, which has one for each operation
            return None

    # What `torch.get_default_device` returns may also be of a `with torch.device(…)` that spans several reports.
    set_device = getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None)

    def device() -> Any:
        context = getattr(set_device, "device_context", None)
        return cpu if context is None else context.device

    return {
        "torch's gradient mode": _Setting(torch.is_grad_enabled, torch.set_grad_enabled, lambda now: True, thread=True),
        "torch's default dtype": _Setting(torch.get_default_dtype, torch.set_default_dtype, lambda now: torch.float32),
        "torch's default device": _Setting(
            device,
            # None and not "cpu", which would slow down every operation of torch
            lambda value: torch.set_default_device(None if value == cpu else value),
            lambda now: cpu,
            thread=True,
        ),
        "torch's deterministic algorithms": _Setting(
            torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, lambda now: 0
        ),
        "torch.backends.cudnn.deterministic": _Setting(
            lambda: cudnn.deterministic, lambda value: setattr(cudnn, "deterministic", value), lambda now: False
        ),
        "torch.backends.cudnn.benchmark": _Setting(
            lambda: cudnn.benchmark, lambda value: setattr(cudnn, "benchmark", value), lambda now: False
        ),
        "torch's matmul precision": _Setting(precision, torch.set_float32_matmul_precision, lambda now: "highest"),
        "torch's anomaly detection": _Setting(
            torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly, lambda now: False
        ),
        "torch's number of threads": _Setting(
            torch.get_num_threads, torch.set_num_threads, lambda now: now, thread=True
        ),
    }


_LIBRARIES = {"numpy": _numpy_settings, "torch": _torch_settings}
_known: dict[str, _Setting] = dict(_PYTHON)  # of all that is imported by now
_waiting = dict(_LIBRARIES)  # whose library is not imported yet


def _settings() -> dict[str, _Setting]:
    """All settings of what is imported by now."""
    for name in [*_waiting] if _waiting else ():
        module = sys.modules.get(name)
        # While a library is being imported, it does not have all of its functions.
        spec = getattr(module, "__spec__", None)
        if module is not None and not getattr(spec, "_initializing", False):
            _known.update(_waiting.pop(name)(module))
    return _known


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of the global settings, by name."""

    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def current(cls, *, thread_only: bool = False) -> Settings:
        """The present values in this process and thread.

        Args:
            thread_only: Only the settings of which each thread has its own value.
        """
        known = _settings()
        if thread_only:
            return cls({name: each.read() for name, each in known.items() if each.thread})
        return cls({name: each.read() for name, each in known.items()})

    def with_defaults(self) -> Settings:
        """The default values, and these for settings without one."""
        return Settings({name: each.default(self.values.get(name)) for name, each in _settings().items()})

    def completed(self) -> Settings:
        """These values, and the defaults of libraries that were imported since."""
        if len(self.values) == len(_settings()):
            return self
        missing = {name: each.default(None) for name, each in _known.items() if name not in self.values}
        return Settings({**self.values, **missing})

    def updated(self, other: Settings) -> Settings:
        return Settings({**self.values, **other.values})

    def changes_to(self, other: Settings) -> list[str]:
        """The names of the settings that have another value in `other`."""
        if self.values == other.values:
            return []
        theirs = other.values
        return [name for name, value in self.values.items() if value is not None and theirs.get(name, value) != value]

    def restore(self, current: Settings) -> None:
        """Set these values.

        Args:
            current: The present values. Only what differs from them is set.
        """
        for name in self.changes_to(current):
            _known[name].restore(self.values[name])


@contextmanager
def default_settings() -> Iterator[None]:
    """A context, and a decorator, with default settings: for the engine, and for what it calls before trials start."""
    before = Settings.current()
    before.with_defaults().restore(before)
    try:
        yield
    finally:
        before.completed().restore(Settings.current())


def settings_for(objective: object) -> AbstractContextManager[None]:
    """A context for calls of an objective outside a trial: with default settings if its trials have them, too."""
    return default_settings() if getattr(objective, "default_settings", False) else nullcontext()


class TrialSettings:
    """The settings of the trials of a worker. Created when the spec has been loaded, and has made its settings.

    Args:
        defaults: Whether trials start with default settings instead of those of the spec.
    """

    def __init__(self, *, defaults: bool = False) -> None:
        current = Settings.current()
        self._at_start = current.with_defaults() if defaults else current
        self._now = self._at_start  # of the trial
        self._function = Settings()  # of the thread of a function, at its end
        self._modules = len(sys.modules)

    def reset(self) -> list[str]:
        """Undo what the last trial has set.

        Returns:
            The names of the settings that it had changed.
        """
        self._at_start = self._at_start.completed()
        if len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            before, now = (each.values[_FILTERS] for each in (self._at_start, self._now))
            self._at_start = self._at_start.updated(Settings({_FILTERS: before.with_those_of_libraries(now)}))
        changed = self._at_start.changes_to(self._now)
        self._now, self._function = self._at_start, Settings()
        return changed

    @contextmanager
    def active(self) -> Iterator[None]:
        """A context in which the trial runs. On exit, the settings of the process are as before."""
        outside = Settings.current()
        self._now.restore(outside)
        try:
            yield
        finally:
            inside = Settings.current()
            outside.completed().restore(inside)
            self._now = inside.updated(self._function) if self._function.values else inside

    @contextmanager
    def active_in_thread(self) -> Iterator[None]:
        """The same in another thread than the worker's, in which a function runs, for settings of the thread alone."""
        self._now.restore(Settings.current(thread_only=True))
        try:
            yield
        finally:
            self._function = Settings.current(thread_only=True)
