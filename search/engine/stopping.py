"""How a session ends: by the limits of its study, or because something broke."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from archsearch.spaces import ArchsearchError, ExecutionError
from archsearch.studies.history import History
from archsearch.studies.records import SessionStarted

OUT_OF_TIME = "the time is used up"
OUT_OF_GPU_TIME = "the GPU time is used up"
TARGET_REACHED = "the target is reached"
OUT_OF_PATIENCE = "no better trial among the last"  # and how many

# What a study whose end begins so may go on with.
_FURTHER = {
    OUT_OF_TIME: "--timeout TIME",
    OUT_OF_GPU_TIME: "--gpu-hours HOURS",
    TARGET_REACHED: "--target VALUE",
    OUT_OF_PATIENCE: "--patience TRIALS",
}


def further(reason: str) -> str | None:
    """The option that lets a study go on that ended for this reason; None where it had come to no limit."""
    return next((option for end, option in _FURTHER.items() if reason.startswith(end)), None)


@dataclass(eq=False)  # not frozen: a `with` block that it leaves by sets its traceback
class Stopped(Exception):  # noqa: N818 - no error: how the loop leaves its depths
    """The session ends here, for this reason; `error` is raised once everything is recorded."""

    reason: str
    error: Exception | None = None


@contextmanager
def blaming(what: str, who: object) -> Iterator[None]:
    """An exception of a plug-in ends the session in good order, with its name."""
    try:
        yield
    except Exception as error:
        text = f"the {what} {who!r} failed: {error if isinstance(error, ArchsearchError) else repr(error)}"
        raise Stopped(text, ExecutionError(text)) from error


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends a study, beside its number of trials: see `Study`. All are totals over its sessions."""

    session: SessionStarted
    gpus: float  # of each trial

    def reached(self, history: History, now: float) -> str | None:
        """Why the study ends at this time; None while it may go on."""
        if self._time_left_s(history, now) == 0:
            return OUT_OF_TIME
        if self._gpu_time_left_s(history, now) == 0:
            return OUT_OF_GPU_TIME
        target, best = self.session.target, history.best
        if target is not None and best is not None:
            goal, value = history.study.goal, history.value(best)
            if value is not None and not goal.better(target, value):
                return TARGET_REACHED
        if self.session.patience is not None and history.unimproved >= self.session.patience:
            return f"{OUT_OF_PATIENCE} {self.session.patience}"
        return None

    def wait_s(self, history: History, now: float) -> float | None:
        """How long to wait for news before a time is used up; None: for ever."""
        times = (self._time_left_s(history, now), self._gpu_time_left_s(history, now))
        return min((time for time in times if time is not None), default=None)

    def _time_left_s(self, history: History, now: float) -> float | None:
        if self.session.timeout_s is None:
            return None
        return max(0.0, self.session.timeout_s - (history.worked_s + now - self.session.at))

    def _gpu_time_left_s(self, history: History, now: float) -> float | None:
        """At the pace of what runs now."""
        if self.session.gpu_hours is None:
            return None
        running = len(history.open_trials("running"))
        trained_s = history.trained_s + running * max(0.0, now - history.last_at)
        return max(0.0, self.session.gpu_hours * 3600 / self.gpus - trained_s) / max(1, running)
