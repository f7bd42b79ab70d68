"""Objective: trains one trial."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from archsearch.search.protocols.trial_context import TrialContext
from archsearch.spaces import Config, Space
from archsearch.spaces.argument_hints import ArgumentHints
from archsearch.studies.records import Metrics

if TYPE_CHECKING:
    from archsearch.spaces.networks.costs import Costs


class Objective(ArgumentHints, ABC):
    """Trains one trial, and yields its metrics after each unit of budget. A base class for objectives with data.

    A plain function is enough if the data needs no preparation; see `Study(objective=...)`. A subclass must implement
    `__call__`; all other methods are optional. Objectives are sent to the workers, so they must be picklable or created
    in a spec file.

    Attributes:
        space: The search space, for studies that are declared without one.
        needs_budget: Whether a study without a budget is refused.
        optional_metrics: The metrics that it reports only if its argument `metrics` names them.
        default_settings: Whether its trials start with the default settings of NumPy and torch, such as the default
            dtype, instead of those that the spec has made.
    """

    space: Space | None = None
    needs_budget: ClassVar[bool] = False
    optional_metrics: ClassVar[Sequence[str]] = ()
    default_settings: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, trial: TrialContext, /) -> Iterator[Metrics | float] | Metrics | float | None:
        """Train one trial.

        Args:
            trial: The configuration, the budget, the seed, the device and so on.

        Returns:
            An iterator over the metrics of each report, such as a generator function returns; or the final metrics; or
            None if all were reported with `trial.report`. In a study with one metric, a plain number is enough.
        """

    def prepare(self) -> Any:
        """Load and check the data. Called once by the driver, before any worker starts.

        Returns:
            The data, which the methods below get as `shared`. It is sent to each worker once. On Ray, its NumPy arrays
            are mapped, not copied.
        """
        return None

    def attach(self, shared: Any) -> None:
        """Keep the data for the trials in this process. Called once in each worker; arrays may be read-only."""

    def release(self) -> None:
        """Remove temporary files of `prepare`. Called by the driver when the session ends, also after an error."""

    def known_metrics(self) -> Sequence[str] | None:
        """The names of the metrics that it may report, before `prepare` was called; None if unknown.

        A study that needs another metric is refused when it is created, before any data is read.
        """
        return None

    def peek_metrics(self) -> Sequence[str] | None:
        """The metrics that it may report, as far as a part of the data shows; by default `known_metrics()`.

        The driver calls it before `prepare`, so that a study that needs another metric is refused before all data is
        read.
        """
        return self.known_metrics()

    def metrics_of(self, shared: Any) -> Sequence[str] | None:
        """The names of the metrics that it reports; None if unknown. A misspelt goal is then found before any trial."""
        return None

    def explain_metric(self, metric: str, known: Collection[str]) -> str | None:
        """Why it does not report a metric, for the message that refuses a study; None if there is nothing to say.

        Args:
            metric: The metric that the study needs.
            known: The names that `known_metrics`, `peek_metrics` or `metrics_of` returned.
        """
        return None

    def check_budget(self, budget: int | None, shared: Any) -> None:
        """Raise SpecError if trials cannot have this budget. Called before any worker starts."""

    def fingerprint_of(self, shared: Any) -> str | None:
        """A digest of the data, which is stored: a study cannot be resumed with other data. None: not checked."""
        return None

    def summary_of(self, shared: Any) -> str | None:
        """One line about the data and how it was cleaned, shown by `archsearch check`, `run` and the report."""
        return None

    def data_warnings(self, shared: Any) -> Sequence[str]:
        """Warnings about the data, such as imbalanced classes; `archsearch check` and the start of a run show them."""
        return []

    def check_functions(self, shared: Any) -> None:
        """Try each of the user's functions once, and raise SpecError for one that fails.

        Called before any worker starts, unlike `rehearse` once in all. A SpecError refuses the study, or is shown as a
        warning if trials use a GPU, which the function may need.
        """

    def rehearse(self, config: Config, shared: Any) -> None:
        """Try a configuration on a few samples, and raise the exception that its trial would raise.

        Called for a few configurations before any worker starts. Exceptions are shown as warnings.
        """

    def costs(self, config: Config, shared: Any) -> Costs | None:
        """The `parameters`, `flops` and `memory_bytes` of a trial, computed without training; None if unknown.

        Raises an exception if the model cannot be built. `archsearch check` calls it for about a thousand
        configurations.
        """
        return None

    def stack_key(self, config: Config) -> Hashable | None:
        """Trials with equal keys, budgets and devices can be trained as one program. None: it is trained alone."""
        return None

    def run_stack(self, trials: Sequence[TrialContext], /) -> Iterator[Sequence[Any]]:
        """Train trials with the same `stack_key` as one program; yields, for each step, the metrics of each trial."""
        raise NotImplementedError(f"{type(self).__name__} trains each trial alone")
