"""No pruning, as a pruner: the engine then has one path, and the report a name for it."""

from __future__ import annotations

from dataclasses import dataclass

from archsearch.search.protocols import Continue, Pruner, Verdict
from archsearch.studies.history import History
from archsearch.studies.records import Trial


@dataclass(frozen=True, slots=True)
class Never(Pruner):
    """Every trial runs to its budget."""

    def judge(self, trial: Trial, history: History) -> Verdict:
        return Continue()
