"""The page: runs the panels and puts their cards, the style, the scripts and plotly.js into one HTML file.

Nothing is fetched: a content security policy forbids it, and lets no script run but the two whose digests it names, so
a text that slipped through the escaping still could not run ('unsafe-eval' is for plotly's WebGL, which compiles its
drawing code; it starts no script). The same histories give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs, get_plotlyjs_version

from archsearch.studies.formatting import count, number, utc_time
from archsearch.studies.history import History
from archsearch.studies.reports import comparison
from archsearch.studies.reports.cards import Card, Cell, Content, Table, card
from archsearch.studies.reports.panels import PANELS, SEVERAL_GOALS


@dataclass(frozen=True, slots=True)
class StudySection:
    """One study's part of the page."""

    label: str
    cards: tuple[Card, ...]


def write(histories: Sequence[History], path: Path, *, metadata: Sequence[Mapping[str, str]] = ()) -> Path:
    """Writes the page and returns its path. Whoever reads while it is written again sees the old page or the new."""
    text = render(histories, metadata=metadata)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def render(histories: Sequence[History], *, metadata: Sequence[Mapping[str, str]] = ()) -> str:
    """The page as text. `metadata`: for each history, what else to say of its making (versions, hardware, commit)."""
    if not histories:
        raise ValueError("no study to report; give at least one history")
    if metadata and len(metadata) != len(histories):
        raise ValueError(f"{len(metadata)} metadata for {len(histories)} histories; give one for each, or none")
    studies = comparison.entrants(histories)
    made_by = metadata or [{}] * len(histories)
    sections = [StudySection(e.label, _cards(e.history, more)) for e, more in zip(studies, made_by, strict=True)]
    style, script, plotly_js = _asset("page.css"), _asset("page.js"), get_plotlyjs()
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=studies[0].label if len(studies) == 1 else count(len(studies), "study", "studies"),
            as_of=utc_time(max(history.last_at for history in histories)),
            comparison=_comparison(studies) if len(studies) > 1 else (),
            sections=sections,
            # These three are ours and plotly's, not a study's; they are the only texts that are not escaped.
            style=Markup(style),
            script=Markup(script),
            plotly_js=Markup(plotly_js),
            plotly_version=get_plotlyjs_version(),
            policy=_policy([plotly_js, script]),
        )
    )


def _cards(history: History, metadata: Mapping[str, str]) -> tuple[Card, ...]:
    several = len(history.study.goals) > 1
    panels = [(title, panel) for title, panel in PANELS if several or panel not in SEVERAL_GOALS]
    made = [card(title, partial(panel, history)) for title, panel in panels]
    return (*made, card("How it was made", partial(_making, history, metadata)))


def _making(history: History, metadata: Mapping[str, str]) -> Content:
    study = history.study
    declared: dict[str, Cell] = {
        "goals" if len(study.goals) > 1 else "goal": study.aim,
        "strategy": study.strategy,
        "pruner": study.pruner,
        "budget": "none" if study.budget is None else study.budget,
        "repeats": study.repeats,
        "seed": study.seed,
        "last event": utc_time(history.last_at),
        "space digest": study.space.digest(),
    }
    facts = Table("The study", ("what", "value"), tuple({**declared, **metadata}.items()))
    space = tuple((p.name, repr(p.domain), p.condition.text if p.condition else None) for p in study.space.parameters)
    made = [facts, Table("The space", ("parameter", "domain", "active when"), space)]
    if study.space.constraints:
        made.append(
            Table(
                "Its constraints", ("holds in every configuration",), tuple((c.name,) for c in study.space.constraints)
            )
        )
    return Content(tables=tuple(made))


def _comparison(studies: Sequence[comparison.Entrant]) -> list[Card]:
    made = [card("Studies", partial(comparison.overview, studies))]
    groups = comparison.groups(studies)
    for group in groups:
        if len(group) < 2:
            continue
        suffix = f" ({group[0].history.study.aim})" if len(groups) > 1 else ""
        made += [
            card(f"Best so far by trial{suffix}", partial(comparison.by_trial, group)),
            card(f"Best so far by time{suffix}", partial(comparison.by_time, group)),
            card(f"Best values{suffix}", partial(comparison.best_values, group)),
        ]
    return made


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("archsearch.studies.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment


def _asset(name: str) -> str:
    return (files("archsearch.studies.reports") / "templates" / name).read_text(encoding="utf-8")


def _policy(scripts: Iterable[str]) -> str:
    digests = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return (
        f"default-src 'none'; script-src {digests} 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
