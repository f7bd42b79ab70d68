"""What ends a study: its limits as one value, which is declared, checked, recorded, extended and evaluated here.

A new limit is one field of `StoppingCriteria` and its line in `reached`. `Study` and `resume` take it as an argument of
the same name, the command line makes its option from the field.

After the `StoppingCriterion` of Syne Tune (Salinas et al. 2022, "Syne Tune: A Library for Large Scale Hyperparameter
Tuning and Reproducible Research").
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
    """What is known of one of the limits beside its value.

    Attributes:
        argument: Its name in Python, as in `Study(timeout="20m")`.
        check: From (what a person gave, the argument) to the value that is kept; raises ArgumentError.
        type: What the command line reads it as.
        metavar: What stands for its value in the command's help.
        help: A line for the command's help.
        reason: How the reason of a session begins that was ended by it.
    """

    argument: str
    check: Callable[[Any, str], Any]
    type: type
    metavar: str
    help: str
    reason: str

    @property
    def option(self) -> str:
        """The option of the command line: `--gpu-hours`."""
        return f"--{self.argument.replace('_', '-')}"


def _limit(*about: Any) -> Any:
    return field(default=None, metadata={"limit": Limit(*about)})


_count = partial(whole_number, least=1)
_amount = partial(finite_number, positive=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingCriteria:
    """The limits of a study, each a total over all of its sessions. None: there is no such limit.

    Attributes:
        trials: How many trials it has in total.
        timeout_s: Seconds of work in total.
        gpu_hours: Hours that its trials use GPUs, summed over trials and GPUs.
        target: It ends once the best value of the first goal is as good as this.
        patience: It ends once so many trials in a row have ended without one that is better than all before.

    Raises:
        ArgumentError: A limit has the wrong type or an impossible value.
    """

    trials: int | None = _limit(
        "trials", _count, int, "N", "How many configurations, in total over all sessions.", TRIALS_DONE
    )
    timeout_s: float | None = _limit(
        "timeout", duration_s, str, "TIME", "How long to work, in total, e.g. 90s, 20m, 1h30m.", OUT_OF_TIME
    )
    gpu_hours: float | None = _limit(
        "gpu_hours", _amount, float, "HOURS", "The study's GPU hours, in total.", OUT_OF_GPU_TIME
    )
    target: float | None = _limit(
        "target", finite_number, float, "VALUE", "End once the best value is as good as this.", TARGET_REACHED
    )
    patience: int | None = _limit(
        "patience", _count, int, "N", "End once N trials in a row were no better.", OUT_OF_PATIENCE
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            given, limit = getattr(self, each.name), _about(each)
            if given is not None:
                object.__setattr__(self, each.name, limit.check(given, limit.argument))

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> Self:
        """The limits among what a person gave.

        Args:
            arguments: By the names of the arguments in Python, so `timeout`, which may be a text such as "20m". What
                is no limit is ignored.

        Raises:
            ArgumentError: As the class does.
        """
        return cls(**{each.name: arguments.get(_about(each).argument) for each in fields(cls)})

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """What `to_json` made. Raises ValueError for a limit that this version does not know."""
        if strange := body.keys() - {each.name for each in fields(cls)}:
            raise ValueError(f"unknown limit of a study: {', '.join(sorted(strange))}")
        return cls(**body)

    def to_json(self) -> dict[str, Any]:
        """The limits that there are, by the names of the fields."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def overridden(self, by: StoppingCriteria) -> StoppingCriteria:
        """These limits, with each that `by` has in place of its own."""
        return replace(self, **by.to_json())

    @property
    def endless(self) -> bool:
        """Is there nothing that is sure to end the study? A target may never be reached."""
        return self.to_json().keys() <= {"target"}

    def check(self, *, gpus: float, begun: int = 0) -> None:
        """Raises ArgumentError for limits that mean nothing.

        Args:
            gpus: What each trial uses.
            begun: How many trials the study has already.
        """
        if self.gpu_hours is not None and not gpus:
            raise ArgumentError("gpu_hours", "limits trials that use a GPU, and these use none; set a timeout instead")
        if self.trials is not None and self.trials < begun:
            raise ArgumentError(
                "trials",
                f"is the study's total, got {self.trials}, and {begun} have begun already; give at least {begun}",
            )

    def trials_left(self, history: History) -> int | None:
        """How many more trials may begin; None: no end of them."""
        return None if self.trials is None else max(0, self.trials - len(history.trials))

    def reached(self, history: History, now: float, gpus: float) -> str | None:
        """Why the study ends at this time, though trials may still run; None while it may go on.

        The number of trials is no such reason: those that have begun are to end (`trials_left`).

        Args:
            history: The study so far.
            now: Seconds since the epoch, by the clock of the history's events.
            gpus: What each trial uses.
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
        """How long to wait for news before a time is used up, in seconds; None: for ever."""
        times = (self._time_left_s(history, now), self._gpu_time_left_s(history, now, gpus))
        return min((time for time in times if time is not None), default=None)

    def _time_left_s(self, history: History, now: float) -> float | None:
        if self.timeout_s is None:
            return None
        session = history.session_started
        worked_s = history.worked_s + (0.0 if session is None else now - session.at)
        return max(0.0, self.timeout_s - worked_s)

    def _gpu_time_left_s(self, history: History, now: float, gpus: float) -> float | None:
        """If no more trials run than now."""
        if self.gpu_hours is None:
            return None
        running = len(history.open_trials("running"))
        trained_s = history.trained_s + running * max(0.0, now - history.last_at)
        return max(0.0, self.gpu_hours * 3600 / gpus - trained_s) / max(1, running)


def _about(each: Field[Any]) -> Limit:
    limit: Limit = each.metadata["limit"]
    return limit


# By the argument.
LIMITS: Mapping[str, Limit] = {_about(each).argument: _about(each) for each in fields(StoppingCriteria)}


def option_to_resume(reason: str) -> str | None:
    """The option that lets a study go on which a limit has ended, such as `--timeout TIME`; None: no limit ended it.

    Args:
        reason: Of the session's end, as `StoppingCriteria.reached` gave it.
    """
    ended_by = (limit for limit in LIMITS.values() if limit.reason != TRIALS_DONE and reason.startswith(limit.reason))
    return next((f"{limit.option} {limit.metavar}" for limit in ended_by), None)
