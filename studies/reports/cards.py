"""What a panel hands to the page: a table first, then perhaps a figure of it; or a sentence, where it does not apply.

`card` runs a panel. A panel that raises becomes a card that names the panel and the error; the rest of the page comes.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsearch.studies.reports.theme import script_json

Cell = str | int | float | None  # None: there is nothing to show


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns. Texts are raw: whoever shows them escapes them."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    tools: bool = False  # shown with sortable headers and a filter box

    def column(self, name: str) -> list[Any]:
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def where(self, name: str, value: Cell) -> Table:
        """The rows with this value in this column."""
        index = self.columns.index(name)
        return Table(self.caption, self.columns, tuple(row for row in self.rows if row[index] == value), self.tools)

    @property
    def numeric(self) -> tuple[bool, ...]:
        """For each column: does it hold numbers, and nothing but numbers and gaps?"""
        return tuple(
            not any(isinstance(row[i], str) for row in self.rows) and any(row[i] is not None for row in self.rows)
            for i in range(len(self.columns))
        )


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a panel does not apply, as one sentence."""

    reason: str


@dataclass(frozen=True, slots=True)
class Content:
    """A panel that applies: sentences above, a figure, and the tables that the page shows."""

    notes: tuple[str, ...] = ()
    figure: Any = None  # a plotly Figure
    tables: tuple[Table, ...] = ()
    warning: str = ""  # what the reader should know before believing the figure


@dataclass(frozen=True, slots=True)
class Card:
    """A panel as the template takes it."""

    title: str
    content: Content | None = None
    missing: str = ""
    error: str = ""
    figure_json: str = ""  # Markup, where there is one
    height: int = 0


def card(title: str, panel: Callable[[], Content | Missing]) -> Card:
    """Runs the panel; never raises."""
    try:
        match panel():
            case Missing(reason):
                return Card(title, missing=reason)
            case Content(figure=None) as content:
                return Card(title, content)
            case content:
                text = script_json(content.figure.to_json())
                return Card(title, content, figure_json=text, height=content.figure.layout.height)
    # Any error at all: a report is read when something went wrong, and one bad panel must not take the others along.
    except Exception as error:  # noqa: BLE001
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}"
        return Card(title, error=f"{type(error).__name__}: {error} ({where})")
