"""The panels of one study in the order of the page. A panel is a function from a History to Content or Missing."""

from collections.abc import Callable

from archsearch.studies.history import History
from archsearch.studies.reports.cards import Content, Missing
from archsearch.studies.reports.panels import (
    curves,
    failures,
    front,
    headline,
    hypervolume,
    importance,
    parallel,
    progress,
    proposers,
    slices,
    timeline,
    trials,
)

Panel = Callable[[History], Content | Missing]

PANELS: tuple[tuple[str, Panel], ...] = (
    ("Summary", headline.panel),
    ("Pareto front", front.panel),
    ("Hypervolume", hypervolume.panel),
    ("Optimization history", progress.panel),
    ("Learning curves", curves.panel),
    ("Parameter importance", importance.panel),
    ("Parallel coordinates", parallel.panel),
    ("Slices by parameter", slices.panel),
    ("Worker timeline", timeline.panel),
    ("Failures", failures.panel),
    ("Proposals by strategy and reason", proposers.panel),
    ("All trials", trials.panel),
)

# Omitted if the study has one goal.
SEVERAL_GOALS: frozenset[Panel] = frozenset({front.panel, hypervolume.panel})

__all__ = ["PANELS", "SEVERAL_GOALS", "Panel"]
