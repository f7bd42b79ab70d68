"""The panels of one study, in the page's order. Each is a function: History → Content, or Missing with a reason."""

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
    ("In short", headline.panel),
    ("Pareto front", front.panel),
    ("Hypervolume", hypervolume.panel),
    ("Optimisation history", progress.panel),
    ("Learning curves", curves.panel),
    ("Parameter importance", importance.panel),
    ("Parallel coordinates", parallel.panel),
    ("Parameters one by one", slices.panel),
    ("Timeline of the workers", timeline.panel),
    ("Failures", failures.panel),
    ("Who proposed what, and why", proposers.panel),
    ("All trials", trials.panel),
)

# Left out where a study has one goal.
SEVERAL_GOALS: frozenset[Panel] = frozenset({front.panel, hypervolume.panel})

__all__ = ["PANELS", "SEVERAL_GOALS", "Panel"]
