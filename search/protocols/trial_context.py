"""TrialContext: what an objective gets, with which it reports and saves its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from archsearch.spaces import SpecError
from archsearch.spaces.errors import nearest


class CheckpointWriter:
    """Saves the state of a trial; see `TrialContext.save`. This base class saves nothing."""

    @property
    def due(self) -> bool:
        """Whether a state saved now would be kept."""
        return False

    def save(self, state: object) -> None:
        """Save the state with the next report."""


class TrialStopped(BaseException):
    """Raised by `trial.report` in an objective whose trial is over: pruned, out of budget, or its session has ended.

    It is not an `Exception`, so that `except Exception` in a training loop does not catch it. Do not catch it: the
    trial is recorded as finished or pruned, not as failed.
    """


class Reporter:
    """Receives the metrics of `trial.report`. This base class is for objectives that yield their metrics."""

    @property
    def stopped(self) -> bool:
        """Whether the trial is over."""
        return False

    def report(self, metrics: Mapping[str, float] | float) -> bool:
        """Deliver a report and wait for the decision. Returns whether the trial should continue."""
        raise SpecError("trial.report is for an objective that is a plain function; a generator yields its metrics")


def _print(line: str) -> None:
    """Not `print` itself, which Ray replaces, so that a trial could not be pickled."""
    print(line)


@dataclass(frozen=True, slots=True)
class TrialContext:
    """The argument of an objective: `def train(trial): ... trial.config["lr"] ... yield {"val_loss": loss}`.

    An objective yields its metrics, or reports them with `trial.report`, or returns them once at its end.

    To let a trial continue where it stopped, save its state before a report. A trial that is resumed starts after the
    report that followed the last saved state:

        start = 0
        if trial.restored:
            start = trial.restored["epoch"]
            model.load_state_dict(trial.restored["model"])
            optimizer.load_state_dict(trial.restored["optimizer"])
        for epoch in range(start, trial.budget):
            ...
            if trial.save_due:
                trial.save({"epoch": epoch + 1, "model": model.state_dict(), "optimizer": optimizer.state_dict()})
            yield {"val_loss": loss}

    Attributes:
        number: The number of the trial, from 0.
        attempt: The number of times that the trial was started, this time included.
        config: The values of the active parameters, a plain dict.
        budget: The number of reports of a full trial; None if there is no limit.
        seed: The seed of this run, derived from the study's seed and the number of the trial.
        device: The device to train on, as torch names it: "cpu", "cuda:0".
        log: A function that stores a line of text with the trial, as `print` does.
        shared: The return value of `Study(shared=...)`.
        restored: The state saved last, if the trial continues after a pause or the death of its worker; None if it
            starts from scratch.
        checkpoint_writer: Used by `save`.
        reporter: Used by `report`.
    """

    number: int
    attempt: int
    config: dict[str, Any]
    budget: int | None
    seed: int
    device: str = "cpu"
    log: Callable[[str], None] = field(default=_print, repr=False)
    shared: Any = field(default=None, repr=False)
    restored: Any = field(default=None, repr=False)
    checkpoint_writer: CheckpointWriter = field(default_factory=CheckpointWriter, repr=False, compare=False)
    reporter: Reporter = field(default_factory=Reporter, repr=False, compare=False)

    @property
    def save_due(self) -> bool:
        """Whether a state saved now would be kept; see `Study(checkpoint_every=...)`."""
        return self.checkpoint_writer.due

    def save(self, state: object) -> None:
        """Save the state of the trial; call it just before the report that it belongs to. No effect unless `save_due`.

        Args:
            state: Anything that can be pickled: tensors, state dicts, plain values. Include the states of the random
                generators in use if a resumed trial must give exactly the same results.

        Raises:
            SpecError: The state cannot be pickled.
        """
        self.checkpoint_writer.save(state)

    def report(self, metrics: Mapping[str, float] | float, *, raise_on_stop: bool = False) -> bool:
        """Report the metrics after a unit of budget, such as an epoch: for callbacks of Lightning, Keras and the like.

        For objectives that are plain functions. Metrics that such a function returns are added to its last report. The
        call waits for the pruner's decision. It may be made in any thread.

        Args:
            metrics: The metrics by name, finite numbers; in a study with one metric, the number alone is enough.
            raise_on_stop: Raise an exception instead of returning False, for training loops that cannot be stopped
                otherwise.

        Returns:
            Whether to continue. After False, the trial is over and the objective has 30 seconds to return.

        Raises:
            TrialStopped: The trial is over, and `raise_on_stop` is true or an earlier report returned False.
            SpecError: The objective is a generator function, which must yield its metrics instead.
        """
        going = self.reporter.report(metrics)
        if raise_on_stop and not going:
            raise TrialStopped(f"trial {self.number} is over")
        return going

    if not TYPE_CHECKING:  # for a type checker, these attributes do not exist

        def __getattr__(self, name: str) -> NoReturn:
            """Hints for attributes that other libraries have, and for misspelled ones."""
            raise AttributeError(_hint(self, name), name=name, obj=self)

        def __getitem__(self, name: object) -> NoReturn:
            raise TypeError(f"a trial has no items; {_IN_CONFIG}" + f": trial.config[{name!r}]" * isinstance(name, str))

    @property
    def should_stop(self) -> bool:
        """Whether the trial is over: the pruner stopped it, its budget is used up, or the session is ending."""
        return self.reporter.stopped


_IN_CONFIG = "parameters are declared in the space, and their values are in trial.config"


def _hint(trial: TrialContext, name: str) -> str:
    """What to use instead of an attribute that a trial does not have."""
    text = f"a trial has no attribute '{name}'"
    if name.startswith("__"):  # probed by copy, pickle and the like, before the fields have values
        return text
    if name.startswith("suggest") or name in ("params", "hyperparameters"):
        return f"{text}; {_IN_CONFIG}"
    if name in ("should_prune", "should_stop_training"):
        return f"{text}; use trial.should_stop"
    if name in ("set_user_attr", "user_attrs"):
        return f"{text}; report a number as a further metric, or a text with trial.log(...)"
    if name in trial.config:
        return f"{text}; {_IN_CONFIG}: trial.config['{name}']"
    near = nearest(name, [each for each in dir(type(trial)) if not each.startswith("_")])
    return text if near is None else f"{text}; did you mean '{near}'?"
