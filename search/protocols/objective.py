"""Objective: trains one trial."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from archsearch.search.protocols.trial_context import TrialContext
from archsearch.spaces import Config, Space
from archsearch.studies.records import Metrics

if TYPE_CHECKING:
    from archsearch.spaces.networks.costs import Costs


class Objective(ABC):
    """Trains one trial, and yields its metrics after each unit of budget. A base for objectives with data of their own.

    A function will do where there is none; see `Study(objective=...)`. Only `__call__` must be written here, and every
    other method may be left out. An objective is sent to the workers, so it must pickle, or be made in a spec file.

    Attributes:
        space: The objective's own space, so that the study need not name one.
        needs_budget: True refuses a study without a budget.
        optional_metrics: Names that it would report too, if its argument `metrics` named them.
    """

    space: Space | None = None
    needs_budget: ClassVar[bool] = False
    optional_metrics: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def __call__(self, trial: TrialContext, /) -> Iterator[Metrics | float] | Metrics | float | None:
        """Train one trial.

        Returns:
            An iterator of metrics, as a generator function makes one; or, once it is done, the metrics, unless it has
            reported them with `trial.report`. In a study with one metric, a plain number will do.
        """

    def prepare(self) -> Any:
        """Load and check the data. Called once by the driver, before any worker starts.

        Returns:
            The data, `shared` below. It is sent to each worker once; on Ray its numpy arrays are mapped, not copied.
        """
        return None

    def attach(self, shared: Any) -> None:
        """Take the data for all coming trials in this process. Called once on each worker; arrays are read-only."""

    def release(self) -> None:
        """Remove what `prepare` has left on disk. Called by the driver when the session ends, in whatever way."""

    def known_metrics(self) -> Sequence[str] | None:
        """The names that it may report, as far as is known before `prepare`. None: not known.

        A study about another metric is refused where it is declared, before any data is read.
        """
        return None

    def metrics_of(self, shared: Any) -> Sequence[str] | None:
        """The names that it reports, so that a misspelt goal is found before the first trial. None: not known."""
        return None

    def check_budget(self, budget: int | None, shared: Any) -> None:
        """Raise SpecError for a budget that trials cannot have. Called before any worker starts."""

    def fingerprint_of(self, shared: Any) -> str | None:
        """A digest of the data, kept in the store: a resume on other data is refused. None: not known."""
        return None

    def summary_of(self, shared: Any) -> str | None:
        """One line on the data and how it was cleaned, for `archsearch check`."""
        return None

    def rehearse(self, config: Config, shared: Any) -> None:
        """Build what the config says, try it on a few samples, and raise what its trial would.

        Called for a few configs before any worker starts; what raises is told as a warning.
        """

    def costs(self, config: Config, shared: Any) -> Costs | None:
        """The `parameters`, `flops` and `memory_bytes` of a trial, found without training. None: it cannot tell.

        Raises for a config that cannot be built. `archsearch check` asks about a thousand configs.
        """
        return None

    def stack_key(self, config: Config) -> Hashable | None:
        """Trials with equal keys, budgets and devices can train as one program. None: the trial trains alone."""
        return None

    def run_stack(self, trials: Sequence[TrialContext], /) -> Iterator[Sequence[Any]]:
        """Train trials whose `stack_key` is equal as one program: for each step, the metrics of each trial."""
        raise NotImplementedError(f"{type(self).__name__} trains each trial alone")
