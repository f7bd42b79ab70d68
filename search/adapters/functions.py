"""A function as an objective: it gets the trial, and the data that the function `load` has loaded once for all workers.

    def load(): return np.load("inputs.npy"), np.load("targets.npy")

    def train(trial): inputs, targets = trial.shared; ...

    study = Study(objective=train, shared=load, ...)

On Ray the arrays lie in its object store, once per machine, and are read-only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from archsearch.search.protocols import Metrics, Objective, TrialContext
from archsearch.spaces import ArchsearchError, SpecError


@dataclass(frozen=True)
class FunctionObjective(Objective):
    """The objective that calls `function`, and gives it what `load` returned as `trial.shared`. Pickles without that.

    Args:
        function: Of the trial; it yields its metrics, or reports them with `trial.report`, or returns them.
        load: Of no arguments; returns the data. None: there is none.
    """

    function: Callable[[TrialContext], Iterator[Metrics | float] | Metrics | float | None]
    load: Callable[[], Any] | None = None
    _attached: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """So that `inspect.unwrap` finds the function."""
        return self.function

    def prepare(self) -> Any:
        """What `load` returns. Raises SpecError when it fails."""
        if self.load is None:
            return None
        try:
            return self.load()
        except ArchsearchError:
            raise
        except Exception as error:  # a user's function may raise anything
            raise SpecError(f"Study shared={self.load!r} failed: {type(error).__name__}: {error}; fix it") from error

    def attach(self, shared: Any) -> None:
        """That, for all coming trials in this process."""
        self._attached[:] = [shared]

    def __call__(self, trial: TrialContext) -> Iterator[Metrics | float] | Metrics | float | None:
        return self.function(trial if self.load is None else replace(trial, shared=self._attached[0]))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_attached": []}
