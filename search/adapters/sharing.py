"""Data that a function objective shares with all workers: loaded once, by the driver, and mapped by each worker.

    def load(): return np.load("inputs.npy"), np.load("targets.npy")

    def train(trial): inputs, targets = trial.shared; ...

    study = Study(objective=train, shared=load, ...)

On Ray the arrays lie in its object store, once per machine, and are read-only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from archsearch.search.protocols import Metrics, TrialContext
from archsearch.spaces import ArchsearchError, SpecError


@dataclass(frozen=True)
class Sharing:
    """The objective that gives `objective` what `load` returned. Pickles without it."""

    objective: Callable[[TrialContext], Iterator[Metrics] | Mapping[str, float]]
    load: Callable[[], Any]
    _attached: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    def prepare(self) -> Any:
        """What `load` returns. Called once, by the driver, before any worker starts. Raises SpecError when it fails."""
        try:
            return self.load()
        except ArchsearchError:
            raise
        except Exception as error:  # a user's function may raise anything
            raise SpecError(f"Study shared={self.load!r} failed: {type(error).__name__}: {error}; mend it") from error

    def attach(self, shared: Any) -> None:
        """That, for all coming trials in this process."""
        self._attached[:] = [shared]

    def __call__(self, trial: TrialContext) -> Iterator[Metrics] | Mapping[str, float]:
        return self.objective(replace(trial, shared=self._attached[0]))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_attached": []}
