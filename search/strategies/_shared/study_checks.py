"""Studies that a strategy cannot serve, told before there is a store."""

from __future__ import annotations

from archsearch.search.protocols import Strategy
from archsearch.spaces import SpecError
from archsearch.studies.records import StudyRecord


def check_one_goal(strategy: Strategy, study: StudyRecord) -> None:
    """Raises SpecError for a study with several goals."""
    if len(study.goals) > 1:
        first, goals = study.goals[0], ", ".join(map(str, study.goals))
        raise SpecError(
            f"{type(strategy).__name__} searches for one goal, and this study has {len(study.goals)}: {goals}; use "
            f"NSGA2(), GP() or TPE(), or {first} alone, and bound the others by outcome_constraints"
        )
