"""The cards of the report. A panel returns its content (notes, a figure, tables), or a sentence if it does not apply.

`card` runs a panel. If the panel raises an exception, its card shows the error, and the other panels are not affected.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsearch.studies.reports.theme import script_json

Cell = str | int | float | None  # None is an empty cell


@dataclass(frozen=True, slots=True)
class Table:
    """A table. Its text is not escaped; that is up to whatever displays it.

    Attributes:
        caption: The caption.
        columns: The names of the columns.
        rows: The cells of each row.
        tools: Whether the page shows it with sortable headers and a filter box.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    tools: bool = False

    def column(self, name: str) -> list[Any]:
        """The cells of one column."""
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def where(self, name: str, value: Cell) -> Table:
        """The table with only those rows that have this value in this column."""
        index = self.columns.index(name)
        return Table(self.caption, self.columns, tuple(row for row in self.rows if row[index] == value), self.tools)

    @property
    def numeric(self) -> tuple[bool, ...]:
        """For each column, whether it contains numbers and, apart from empty cells, nothing else."""
        return tuple(
            not any(isinstance(row[i], str) for row in self.rows) and any(row[i] is not None for row in self.rows)
            for i in range(len(self.columns))
        )


@dataclass(frozen=True, slots=True)
class Missing:
    """A panel does not apply to the study.

    Attributes:
        reason: Why, as a sentence.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a panel.

    Attributes:
        notes: Sentences above the figure.
        figure: A plotly Figure; None if there is none.
        tables: The tables below the figure.
        warning: What limits the validity of the figure; empty if nothing does.
    """

    notes: tuple[str, ...] = ()
    figure: Any = None
    tables: tuple[Table, ...] = ()
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A panel as the template displays it: one of `content`, `missing` and `error` is set.

    Attributes:
        title: The title of the panel.
        content: The content.
        missing: Why the panel does not apply.
        error: The error that the panel raised.
        figure_json: The figure as JSON that is safe inside a script element.
        height: The height of the figure in pixels.
    """

    title: str
    content: Content | None = None
    missing: str = ""
    error: str = ""
    figure_json: str = ""
    height: int = 0


def card(title: str, panel: Callable[[], Content | Missing]) -> Card:
    """Run a panel.

    Args:
        title: The title of the card.
        panel: Returns the content, or why there is none.

    Returns:
        The card; if the panel raises an exception, a card with the error.
    """
    try:
        match panel():
            case Missing(reason):
                return Card(title, missing=reason)
            case Content(figure=None) as content:
                return Card(title, content)
            case content:
                text = script_json(content.figure.to_json())
                return Card(title, content, figure_json=text, height=content.figure.layout.height)
    # Any exception: reports are often read because something went wrong, and one broken panel must not hide the others.
    except Exception as error:  # noqa: BLE001
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}"
        return Card(title, error=f"{type(error).__name__}: {error} ({where})")
