"""Studies that a strategy cannot serve, or in which its settings do nothing, told before there is a store."""

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


def startup_warnings(strategy: Strategy, name: str, trials: int | None) -> list[str]:
    """A warning where all trials of the study are drawn at random, since so many come before the strategy learns.

    Args:
        strategy: It, for its name.
        name: The setting that says how many trials are drawn at random.
        trials: Of the study; None if another limit ends it.
    """
    startup: int = getattr(strategy, name)
    if trials is None or startup < trials:
        return []
    kind = type(strategy).__name__
    return [
        f"{kind} draws the first {startup} trials at random ({name}={startup}), and the study has trials={trials}: "
        f"it will never learn; give the study more trials, or write {kind}({name}={max(1, trials // 3)})"
    ]
