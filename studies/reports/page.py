"""The page: one HTML file with the cards of the panels, the style sheet, the scripts and plotly.js.

The page fetches nothing. Its content security policy forbids it, and allows only the two scripts whose digests it
contains, so text of a study cannot run as a script even if it were not escaped ('unsafe-eval' is needed by plotly's
WebGL, which compiles its drawing code). The page is deterministic: equal histories give equal bytes.
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
    """The part of the page about one study.

    Attributes:
        label: The label of the study.
        cards: Its cards, in the order of the page.
    """

    label: str
    cards: tuple[Card, ...]


def write(histories: Sequence[History], path: Path, *, metadata: Sequence[Mapping[str, str]] = ()) -> Path:
    """Write the page to a file, atomically.

    Args:
        histories: The studies; more than one are also compared.
        path: The file.
        metadata: For each study, further facts to show, such as versions, hardware and commit, by name.

    Returns:
        The path of the file.

    Raises:
        OSError: The file cannot be written.
        ValueError: There is no history, or not one mapping of metadata for each.
    """
    text = render(histories, metadata=metadata)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def render(histories: Sequence[History], *, metadata: Sequence[Mapping[str, str]] = ()) -> str:
    """The page as a string; see `write` for the arguments.

    Raises:
        ValueError: There is no history, or not one mapping of metadata for each.
    """
    if not histories:
        raise ValueError("histories must not be empty; give at least one history")
    if metadata and len(metadata) != len(histories):
        raise ValueError(
            f"metadata must have one mapping for each history, got {len(metadata)} for {len(histories)} histories"
        )
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
            # Only these three, which are parts of archsearch and plotly, are not escaped.
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
    return (*made, card("Provenance", partial(_provenance, history, metadata)))


def _provenance(history: History, metadata: Mapping[str, str]) -> Content:
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
    facts = Table("Study", ("name", "value"), tuple({**declared, **metadata}.items()))
    space = tuple((p.name, repr(p.domain), p.condition.text if p.condition else None) for p in study.space.parameters)
    made = [facts, Table("Search space", ("parameter", "domain", "active when"), space)]
    if study.space.constraints:
        made.append(
            Table("Constraints of the search space", ("constraint",), tuple((c.name,) for c in study.space.constraints))
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
