"""The stopping criteria of a study as one value: declared, checked, stored, overridden and evaluated here.

To add a limit, add a field to `StoppingCriteria` and evaluate it in `reached`. `Study` and `resume` have an argument of
the same name, and the option of the command line is created from the field.

Modelled on the `StoppingCriterion` of Syne Tune (Salinas et al. 2022, "Syne Tune: A Library for Large Scale
Hyperparameter Tuning and Reproducible Research").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from archsearch.spaces.argument_checks import duration_s, finite_number, whole_number
from archsearch.spaces.errors import ArgumentError

if TYPE_CHECKING:
    from archsearch.studies.history import History

TRIALS_DONE = "every trial is done"
OUT_OF_TIME = "the time is used up"
OUT_OF_GPU_TIME = "the GPU time is used up"
TARGET_REACHED = "the target is reached"
OUT_OF_PATIENCE = "no better trial among the last"  # and how many


@dataclass(frozen=True, slots=True)
class Limit:
    """The description of one limit.

    Attributes:
        argument: The name of its argument in Python, as in `Study(timeout="20m")`.
        check: Converts (the user's value, the name of the argument) to the stored value, or raises ArgumentError.
        type: The type of the command-line option.
        metavar: The placeholder of the value in the help of the command.
        help: The help text of the option.
        reason: The beginning of the reason with which a session ends when the limit is reached.
    """

    argument: str
    check: Callable[[Any, str], Any]
    type: type
    metavar: str
    help: str
    reason: str

    @property
    def option(self) -> str:
        """The command-line option, such as `--gpu-hours`."""
        return f"--{self.argument.replace('_', '-')}"


def _limit(*about: Any) -> Any:
    return field(default=None, metadata={"limit": Limit(*about)})


_count = partial(whole_number, least=1)
_amount = partial(finite_number, positive=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingCriteria:
    """The limits of a study, as totals over all of its sessions. None means that there is no such limit.

    Attributes:
        trials: The number of trials.
        timeout_s: The wall-clock time of the sessions, in seconds.
        gpu_hours: The GPU time of the trials in hours, summed over trials and GPUs.
        target: The study ends when the best value of the first goal is at least as good as this.
        patience: The study ends when this many trials in a row have ended without an improvement.

    Raises:
        ArgumentError: A limit has an invalid type or value.
    """

    trials: int | None = _limit(
        "trials", _count, int, "N", "Number of trials, in total over all sessions.", TRIALS_DONE
    )
    timeout_s: float | None = _limit(
        "timeout", duration_s, str, "TIME", "Time limit, in total over all sessions, e.g. 90s, 20m, 1h30m.", OUT_OF_TIME
    )
    gpu_hours: float | None = _limit(
        "gpu_hours", _amount, float, "HOURS", "GPU hours, in total over all sessions.", OUT_OF_GPU_TIME
    )
    target: float | None = _limit(
        "target", finite_number, float, "VALUE", "Stop when the best value is at least as good as this.", TARGET_REACHED
    )
    patience: int | None = _limit(
        "patience", _count, int, "N", "Stop after N trials in a row without an improvement.", OUT_OF_PATIENCE
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            given, limit = getattr(self, each.name), _about(each)
            if given is not None:
                object.__setattr__(self, each.name, limit.check(given, limit.argument))

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> Self:
        """The limits from the arguments of `Study`, `resume` or a command.

        Args:
            arguments: The arguments by their names in Python; `timeout` may be a string such as "20m". Arguments that
                are not limits are ignored.

        Raises:
            ArgumentError: A limit has an invalid type or value.
        """
        return cls(**{each.name: arguments.get(_about(each).argument) for each in fields(cls)})

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """The limits from the data that `to_json` returned.

        Raises:
            ValueError: This version does not know one of the limits.
        """
        if strange := body.keys() - {each.name for each in fields(cls)}:
            raise ValueError(f"unknown limit of a study: {', '.join(sorted(strange))}")
        return cls(**body)

    def to_json(self) -> dict[str, Any]:
        """The limits that are not None, by the names of the fields."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def overridden(self, by: StoppingCriteria) -> StoppingCriteria:
        """These limits, replaced by those of `by` that are not None."""
        return replace(self, **by.to_json())

    @property
    def endless(self) -> bool:
        """Whether the study may never end: it has no limit, or only a target, which it may never reach."""
        return self.to_json().keys() <= {"target"}

    def check(self, *, gpus: float, begun: int = 0) -> None:
        """Check that the limits fit the study.

        Args:
            gpus: The number of GPUs that each trial uses.
            begun: The number of trials that the study already has.

        Raises:
            ArgumentError: There is a limit of GPU hours but trials use no GPU, or the study already has more trials
                than `trials`.
        """
        if self.gpu_hours is not None and not gpus:
            raise ArgumentError("gpu_hours", "has no effect, as the trials use no GPU; set a timeout instead")
        if self.trials is not None and self.trials < begun:
            raise ArgumentError(
                "trials",
                f"must be at least {begun}: it is a total, and the study already has {begun} trials; got {self.trials}",
            )

    def trials_left(self, history: History) -> int | None:
        """The number of trials that may still be proposed; None if it is unlimited."""
        return None if self.trials is None else max(0, self.trials - len(history.trials))

    def reached(self, history: History, now: float, gpus: float) -> str | None:
        """Whether the study must end now, even if trials are running.

        The limit `trials` is not considered here, as running trials may finish; see `trials_left`.

        Args:
            history: The study so far.
            now: The time in seconds since the epoch, by the clock of the events.
            gpus: The number of GPUs that each trial uses.

        Returns:
            The reason, or None if no limit is reached.
        """
        if self._time_left_s(history, now) == 0:
            return OUT_OF_TIME
        if self._gpu_time_left_s(history, now, gpus) == 0:
            return OUT_OF_GPU_TIME
        if self.target is not None and history.best is not None:
            goal, value = history.study.goal, history.value(history.best)
            if value is not None and not goal.better(self.target, value):
                return TARGET_REACHED
        if self.patience is not None and history.unimproved >= self.patience:
            return f"{OUT_OF_PATIENCE} {self.patience}"
        return None

    def wait_s(self, history: History, now: float, gpus: float) -> float | None:
        """The time in seconds until a time limit is reached, if no event happens; None if there is no time limit."""
        times = (self._time_left_s(history, now), self._gpu_time_left_s(history, now, gpus))
        return min((time for time in times if time is not None), default=None)

    def _time_left_s(self, history: History, now: float) -> float | None:
        if self.timeout_s is None:
            return None
        session = history.session_started
        worked_s = history.worked_s + (0.0 if session is None else now - session.at)
        return max(0.0, self.timeout_s - worked_s)

    def _gpu_time_left_s(self, history: History, now: float, gpus: float) -> float | None:
        """The wall-clock time in seconds until the GPU hours are used up by the trials that are running now."""
        if self.gpu_hours is None:
            return None
        running = len(history.open_trials("running"))
        trained_s = history.trained_s + running * max(0.0, now - history.last_at)
        return max(0.0, self.gpu_hours * 3600 / gpus - trained_s) / max(1, running)


def _about(each: Field[Any]) -> Limit:
    limit: Limit = each.metadata["limit"]
    return limit


# By the name of the argument.
LIMITS: Mapping[str, Limit] = {_about(each).argument: _about(each) for each in fields(StoppingCriteria)}


def option_to_resume(reason: str) -> str | None:
    """The option with which to resume a study that a limit has ended, such as `--timeout TIME`.

    Args:
        reason: The reason of the session's end, as returned by `StoppingCriteria.reached`.

    Returns:
        The option with its placeholder, or None if no limit ended the session.
    """
    ended_by = (limit for limit in LIMITS.values() if limit.reason != TRIALS_DONE and reason.startswith(limit.reason))
    return next((f"{limit.option} {limit.metavar}" for limit in ended_by), None)
