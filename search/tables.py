"""What the commands answer about stores, studies and trials: as JSON for programs, as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from search.display import clock, one_line
from search.ending import FURTHER
from spaces import ArchsearchError, StoreError
from studies.history import History
from studies.records import Trial
from studies.store import Store

BEST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class StoreRow:
    """One store of a folder; `error` says why it could not be read."""

    store: str
    name: str = ""
    goal: str = ""
    trials: int = 0
    ended: int = 0
    best: float | None = None
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def stores(folder: Path) -> list[StoreRow]:
    """The `.db` files of a folder that are stores, or look like damaged ones, by name."""
    if not folder.is_dir():
        raise StoreError(f"no folder at {folder}; give one that holds stores")
    return [_store_row(path) for path in sorted(folder.glob("*.db"))]


def _store_row(path: Path) -> StoreRow:
    try:
        with Store.open(path) as store:
            history = store.history()
    except ArchsearchError as error:
        return StoreRow(str(path), error=str(error))
    best = history.best
    asked = history.opened.trials if history.opened and history.opened.trials else len(history.trials)
    value = None if best is None else history.value(best)
    return StoreRow(str(path), history.study.name, str(history.study.goal), asked, history.settled, value)


def store_table(rows: list[StoreRow], folder: Path) -> RenderableType:
    if not rows:
        return f"no stores in {folder}; archsearch run SPEC.py makes one"
    table = _table("store", "study", "goal", "trials", "best")
    for row in rows:
        if row.error:
            table.add_row(row.store, Text(row.error, style="red"), "", "", "")
        else:
            table.add_row(row.store, row.name, row.goal, f"{row.ended}/{row.trials}", _number(row.best))
    return table


def study_json(history: History) -> dict[str, Any]:
    study = history.study
    return {
        "name": study.name,
        "metric": study.goal.metric,
        "maximize": study.goal.maximize,
        "strategy": study.strategy,
        "pruner": study.pruner,
        "seed": study.seed,
        "budget": study.budget,
        "asked": history.opened.trials if history.opened else None,
        "trials": dict(history.counts()),
        "elapsed_s": round(history.elapsed_s, 3),
        "closed": history.closed.reason if history.closed else None,
        "best": None if history.best is None else trial_json(history, history.best),
    }


def study_table(history: History) -> RenderableType:
    """The study, and its best trials."""
    study = history.study
    counts = ", ".join(f"{count} {state}" for state, count in history.counts().items()) or "none yet"
    facts = _facts(
        ("study", study.name),
        ("goal", str(study.goal)),
        ("strategy", study.strategy),
        ("pruner", study.pruner),
        ("trials", counts),
        ("worked", clock(history.elapsed_s)),
        ("last session", history.closed.reason if history.closed else "still open, or killed"),
    )
    finished = [trial for trial in history.in_state("finished") if history.loss(trial) is not None]
    ranked = sorted(finished, key=lambda trial: (history.loss(trial), trial.number))
    holding = sorted(history.open_trials("paused"), key=lambda trial: (-trial.step, history.loss(trial), trial.number))
    failed = history.in_state("failed")
    notes = [Text(f"trial {trial.number} failed: {trial.reason}", style="red") for trial in failed[:3]]
    if len(failed) > 3:
        notes.append(Text(f"and {len(failed) - 3} more failed", style="red"))
    return Group(
        facts,
        *_ranking(history, ranked, f"best {min(BEST_SHOWN, len(ranked))} of {len(ranked)} finished"),
        *_ranking(history, holding, f"{len(holding)} paused, which may yet go on; those that came furthest"),
        *notes,
    )


def _ranking(history: History, trials: Sequence[Trial], title: str) -> list[RenderableType]:
    """The first of the trials under a title; nothing where there are none."""
    if not trials:
        return []
    free = [parameter.name for parameter in history.study.space.free]
    table = _table("trial", history.study.goal.metric, "steps", "config")
    for trial in trials[:BEST_SHOWN]:
        config = {name: trial.config[name] for name in free if name in trial.config}
        table.add_row(str(trial.number), _number(history.value(trial)), str(trial.step), one_line(config))
    return [Text(f"\n{title}"), table]


def trial_of(history: History, number: int) -> Trial:
    """Trial `number`; StoreError when the study has none such."""
    if not 0 <= number < len(history.trials):
        have = f"it has 0 to {len(history.trials) - 1}" if history.trials else "it has none yet"
        raise StoreError(f"the study has no trial {number}; {have}")
    return history.trials[number]


def trial_json(history: History, trial: Trial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": trial.state,
        "value": history.value(trial),
        "reason": trial.reason,
        "config": dict(trial.config),
        "note": dict(trial.proposal.note),
        "attempts": trial.attempt,
        "worker": trial.worker,
        "reports": [
            {"step": report.step, "seconds": round(report.seconds, 4), **report.metrics} for report in trial.reports
        ],
    }


def trial_table(history: History, trial: Trial) -> RenderableType:
    last = trial.reports[-1].metrics if trial.reports else {}
    reason = "among the best at this step it goes on" if trial.state == "paused" else trial.reason
    free = {parameter.name for parameter in history.study.space.free}
    constants = {name: value for name, value in trial.config.items() if name not in free}
    return _facts(
        ("trial", f"{trial.number}, {trial.state}" + (f": {reason}" if reason else "")),
        *((name, _number(value)) for name, value in last.items()),
        ("steps", str(trial.step)),
        *((name, _number(value)) for name, value in trial.config.items() if name in free),
        *([("constant", one_line(constants))] if constants else []),
    )


def result(history: History, store: Path) -> RenderableType:
    """What a run or resume ends with."""
    reason = history.closed.reason if history.closed else "every trial is done"
    counts = ", ".join(f"{count} {state}" for state, count in history.counts().items())
    head = Text(f"{history.study.name}: {reason}; {counts}; worked {clock(history.elapsed_s)}")
    parts: list[RenderableType] = [head]
    if history.best is not None:
        parts.append(trial_table(history, history.best))
    waiting = len(history.open_trials("waiting", "running"))
    if reason in FURTHER:  # those that hold might have gone on
        waiting = len(history.unfinished)
    if waiting:
        parts.append(Text(f"{waiting} trials wait: archsearch resume {store} {FURTHER.get(reason, '')}".rstrip()))
    return Group(*parts, Text(f"store: {store}"))


def made_by(meta: Mapping[str, Any]) -> dict[str, str]:
    """What a store says of the machine and the packages that made it, in words."""
    hardware = meta["hardware"]
    gpus = f", {hardware['gpus']} GPUs" if hardware["gpus"] else ""
    facts = {"machine": f"{hardware['processor'] or hardware['machine']}, {hardware['cores']} cores{gpus}"}
    if meta["commit"]:
        facts["commit of the spec"] = meta["commit"]
    return {**facts, **meta["versions"]}


def _facts(*rows: tuple[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(Text(name, style="bold"), Text(value))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(Text(name), overflow="fold")
    return table


def _number(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
