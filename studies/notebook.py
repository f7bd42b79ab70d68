"""The HTML display of a study in a notebook: short tables, with all text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from archsearch.studies.best import ranked, without_best
from archsearch.studies.formatting import count, duration, number, one_line

if TYPE_CHECKING:
    from archsearch.studies.history import History

TRIALS_SHOWN = 5


def history_html(history: History) -> str:
    """Two tables: the declaration, progress and best trial of the study, and its few best trials."""
    study, best = history.study, history.best
    counts = ", ".join(f"{n:,} {state}" for state, n in history.counts().items()) or "none yet"
    facts = {
        "goals" if len(study.goals) > 1 else "goal": study.aim,
        "strategy": study.strategy,
        "pruner": study.pruner,
        "trials": f"{counts}, in {duration(history.elapsed_s)} of work",
    }
    if best is None:
        return facts_html(study.name, {**facts, "best": without_best(history)})
    reported = ", ".join(f"{metric} {number(best.value(metric))}" for metric in study.metrics)
    facts["best"] = f"trial {best.number}: {reported}"
    if len(study.goals) > 1:
        facts["best"] += f"; {count(len(history.front), 'trial')} on the Pareto front"
    facts["best config"] = one_line(best.config)
    free = [parameter.name for parameter in study.space.free]
    rows = []
    for trial in ranked(history)[:TRIALS_SHOWN]:
        values = [number(trial.value(metric)) for metric in study.metrics]
        config = [number(trial.config[name]) if name in trial.config else "" for name in free]
        rows.append((trial.number, *values, trial.step, *config))
    return facts_html(study.name, facts) + table_html(("trial", *study.metrics, "steps", *free), rows)


def facts_html(title: str, facts: Mapping[str, object]) -> str:
    """A title and a table with one row for each name and its value."""
    left = " style='text-align: left'"
    rows = "".join(
        f"<tr><th{left}>{escape(name)}</th><td{left}>{escape(str(fact))}</td></tr>" for name, fact in facts.items()
    )
    return f"<div><strong>{escape(title)}</strong></div><table>{rows}</table>"


def table_html(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with column headers."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
