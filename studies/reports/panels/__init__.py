"""The panels of one study, in the page's order. Each is a function: History → Content, or Missing with a reason."""

from collections.abc import Callable

from studies.history import History
from studies.reports.cards import Content, Missing
from studies.reports.panels import (
    curves,
    failures,
    headline,
    importance,
    parallel,
    progress,
    slices,
    timeline,
    trials,
)

Panel = Callable[[History], Content | Missing]

PANELS: tuple[tuple[str, Panel], ...] = (
    ("In short", headline.panel),
    ("Optimisation history", progress.panel),
    ("Learning curves", curves.panel),
    ("Parameter importance", importance.panel),
    ("Parallel coordinates", parallel.panel),
    ("Parameters one by one", slices.panel),
    ("Timeline of the workers", timeline.panel),
    ("Failures", failures.panel),
    ("All trials", trials.panel),
)

__all__ = ["PANELS", "Panel"]
