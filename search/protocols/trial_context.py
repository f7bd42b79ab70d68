"""TrialContext: what an objective gets, with which it reports and saves its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from archsearch.spaces import SpecError


class CheckpointWriter:
    """Saves the state of a trial; see `TrialContext.save`. This base class saves nothing."""

    @property
    def due(self) -> bool:
        """Would a state saved now be kept?"""
        return False

    def save(self, state: object) -> None:
        """Keep the state with the report that comes next."""


class TrialStopped(BaseException):
    """Raised by `trial.report` in an objective whose trial is over: pruned, out of budget, or its session has ended.

    Not an `Exception`, so that a training loop's `except Exception` does not swallow it. Let it pass through: the trial
    is recorded as what it is, and not as failed.
    """


class Reporter:
    """Receives the metrics of `trial.report`. This base class is for objectives that yield their metrics."""

    @property
    def stopped(self) -> bool:
        """Is the trial over?"""
        return False

    def report(self, metrics: Mapping[str, float] | float) -> bool:
        """Hand one report over, and wait for the decision. Returns whether the trial should go on."""
        raise SpecError("trial.report is for an objective that is a plain function; a generator yields its metrics")


@dataclass(frozen=True, slots=True)
class TrialContext:
    """What an objective is given: `def train(trial): ... trial.config["lr"] ... yield {"val_loss": loss}`.

    An objective either yields its metrics, or reports them with `trial.report`, or returns them once at its end.

    `save` belongs to the next report, and comes before it. What follows that report is done again when the trial goes
    on from there:

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
        number: Of the trial, from 0.
        attempt: How many times the trial was started, this one included.
        config: The active parameters, a plain dict.
        budget: How many reports a full trial makes. None: as many as the objective likes.
        seed: From the study's seed and the trial's number.
        device: Where to train, as torch names it.
        log: Keeps a line with the trial, as `print` does.
        shared: What the function given as `Study(shared=...)` returned.
        restored: The state that was saved last, where the trial goes on because its worker died, or after a pause; None
            where it begins.
        checkpoint_writer: Keeps what `save` is given.
        reporter: Takes what `report` is given.
    """

    number: int
    attempt: int
    config: dict[str, Any]
    budget: int | None
    seed: int
    device: str = "cpu"
    log: Callable[[str], None] = field(default=print, repr=False)
    shared: Any = field(default=None, repr=False)
    restored: Any = field(default=None, repr=False)
    checkpoint_writer: CheckpointWriter = field(default_factory=CheckpointWriter, repr=False, compare=False)
    reporter: Reporter = field(default_factory=Reporter, repr=False, compare=False)

    @property
    def save_due(self) -> bool:
        """Would a state saved now be kept? So that none is put together in vain: see `Study(checkpoint_every=...)`."""
        return self.checkpoint_writer.due

    def save(self, state: object) -> None:
        """Keep the state with the report that comes next: call it before that report. Does nothing while none is due.

        Args:
            state: Whatever pickles, such as tensors, state_dict()s and plain values, with the states of the random
                generators in use, if the trial is to go on as though it had never stopped.

        Raises:
            SpecError: The state does not pickle.
        """
        self.checkpoint_writer.save(state)

    def report(self, metrics: Mapping[str, float] | float, *, raise_on_stop: bool = False) -> bool:
        """Report the metrics after a unit of budget, such as an epoch: for callbacks of Lightning, Keras and the like.

        Only for an objective that is a plain function, which may also return metrics at its end; they join its last
        report. The call waits until the pruner has decided. Any thread may call it.

        Args:
            metrics: Names and finite numbers; in a study with one metric, the number alone will do.
            raise_on_stop: Raise instead of returning False, where the training loop cannot be told to stop.

        Returns:
            Whether to go on. False: the trial is over, and the objective has half a minute to return.

        Raises:
            TrialStopped: The trial is over, and `raise_on_stop` was given or an earlier report returned False already.
            SpecError: The objective is a generator, which yields its metrics instead.
        """
        going = self.reporter.report(metrics)
        if raise_on_stop and not going:
            raise TrialStopped(f"trial {self.number} is over")
        return going

    @property
    def should_stop(self) -> bool:
        """Is the trial over? True once the pruner has stopped it, its budget is used up, or its session ends."""
        return self.reporter.stopped
