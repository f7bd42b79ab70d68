"""A function as an objective. It gets the trial and the data that the function `load` has loaded once.

    def load(): return np.load("inputs.npy"), np.load("targets.npy")

    def train(trial): inputs, targets = trial.shared; ...

    study = Study(objective=train, shared=load, ...)

On Ray, arrays are in its object store, once per machine, and read-only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from archsearch.search.protocols import Metrics, Objective, TrialContext
from archsearch.spaces import ArchsearchError, SpecError


@dataclass(frozen=True)
class FunctionObjective(Objective):
    """The objective that calls `function`. Its pickle does not contain the data.

    Args:
        function: A function of the trial that yields its metrics, reports them with `trial.report`, or returns them.
        load: A function without arguments whose return value is `trial.shared`. None: there is no data.
    """

    function: Callable[[TrialContext], Iterator[Metrics | float] | Metrics | float | None]
    load: Callable[[], Any] | None = None
    _attached: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    def prepare(self) -> Any:
        """The return value of `load`. Raises SpecError if it fails."""
        if self.load is None:
            return None
        try:
            return self.load()
        except ArchsearchError:
            raise
        except Exception as error:  # a user's function may raise anything
            raise SpecError(f"Study shared={self.load!r} failed: {type(error).__name__}: {error}; fix it") from error

    def attach(self, shared: Any) -> None:
        """Keep the data for the trials in this process."""
        self._attached[:] = [shared]

    def __call__(self, trial: TrialContext) -> Iterator[Metrics | float] | Metrics | float | None:
        return self.function(trial if self.load is None else replace(trial, shared=self._attached[0]))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_attached": []}
