"""Checks of a study's declaration: what a strategy does not support, and settings that have no effect."""

from __future__ import annotations

from archsearch.search.protocols import Strategy
from archsearch.spaces import SpecError
from archsearch.studies.records import StudyRecord


def check_one_goal(strategy: Strategy, study: StudyRecord) -> None:
    """Raise SpecError if the study has several goals."""
    if len(study.goals) > 1:
        first, goals = study.goals[0], ", ".join(map(str, study.goals))
        raise SpecError(
            f"{type(strategy).__name__} supports a single goal, and this study has {len(study.goals)}: {goals}; use "
            f"NSGA2(), GP() or TPE(), or make {first} the only goal and bound the others by outcome_constraints"
        )


def startup_warnings(strategy: Strategy, name: str, trials: int | None) -> list[str]:
    """Warn if the study has no more trials than the strategy draws at random before it uses its model.

    Args:
        strategy: The strategy.
        name: The attribute of the strategy that holds its number of random trials.
        trials: The study's total number of trials; None if another limit ends it.

    Returns:
        One warning, or an empty list.
    """
    startup: int = getattr(strategy, name)
    if trials is None or startup < trials:
        return []
    kind = type(strategy).__name__
    return [
        f"{kind} draws the first {startup} trials at random ({name}={startup}), and the study has trials={trials}: "
        f"every trial will be random; give the study more trials, or use {kind}({name}={max(1, trials // 3)})"
    ]
