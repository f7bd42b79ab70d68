"""What the commands answer about stores, studies and trials: as JSON for programs, as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from archsearch.spaces import ArchsearchError, StoreError
from archsearch.studies.best import ranked, without_best
from archsearch.studies.formatting import count, duration, number, one_line
from archsearch.studies.goals import OutcomeConstraint, best_first
from archsearch.studies.history import History
from archsearch.studies.records import Report, Trial
from archsearch.studies.stopping_criteria import option_to_resume
from archsearch.studies.store import Store

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
    asked = (
        history.session_started.stopping.trials
        if history.session_started and history.session_started.stopping.trials
        else len(history.trials)
    )
    value = None if best is None else history.value(best)
    return StoreRow(str(path), history.study.name, history.study.aim, asked, history.settled, value)


def store_table(rows: list[StoreRow], folder: Path) -> RenderableType:
    if not rows:
        return f"no stores in {folder}; archsearch run SPEC.py makes one"
    table = _table("store", "study", "goal", "trials", "best")
    for row in rows:
        if row.error:
            table.add_row(row.store, Text(row.error, style="red"), "", "", "")
        else:
            table.add_row(
                row.store, row.name, row.goal, f"{row.ended}/{row.trials}", "" if row.best is None else number(row.best)
            )
    return table


def study_json(history: History) -> dict[str, Any]:
    study = history.study
    return {
        "name": study.name,
        "goals": [{"metric": goal.metric, "maximize": goal.maximize} for goal in study.goals],
        "outcome_constraints": [str(each) for each in study.outcome_constraints],
        "strategy": study.strategy,
        "pruner": study.pruner,
        "seed": study.seed,
        "budget": study.budget,
        "repeats": study.repeats,
        "asked": history.session_started.stopping.trials if history.session_started else None,
        "trials": dict(history.counts()),
        "elapsed_s": round(history.elapsed_s, 3),
        "closed": history.session_ended.reason if history.session_ended else None,
        "best": None if history.best is None else trial_json(history, history.best),
        "front": list(history.front_numbers),
    }


def study_table(history: History) -> RenderableType:
    """The study, and its best trials: with several goals those on the Pareto front."""
    study = history.study
    counts = ", ".join(f"{count} {state}" for state, count in history.counts().items()) or "none yet"
    facts = _facts(
        ("study", study.name),
        ("goals" if len(study.goals) > 1 else "goal", study.aim),
        ("strategy", study.strategy),
        ("pruner", study.pruner),
        ("trials", counts),
        ("worked", duration(history.elapsed_s)),
        ("last session", history.session_ended.reason if history.session_ended else "still open, or killed"),
    )
    holding = sorted(history.open_trials("paused"), key=lambda trial: (-trial.step, history.loss(trial), trial.number))
    failed = history.in_state("failed")
    notes = [Text(f"trial {trial.number} failed: {trial.reason}", style="red") for trial in failed[:3]]
    if len(failed) > 3:
        notes.append(Text(f"and {len(failed) - 3} more failed", style="red"))
    held = f"{len(holding)} paused, which may yet go on; those that came furthest"
    return Group(facts, *_leaders(history), *_ranking(history, holding[:BEST_SHOWN], held), *notes)


def _leaders(history: History) -> list[RenderableType]:
    """The front, where there are several goals, or the finished trials, the best first, as far as they are shown.

    Those that break an outcome constraint come last, the nearest to keeping it before the others.
    """
    if len(history.study.goals) > 1 and history.front:
        return front_table(history, BEST_SHOWN)
    finished = ranked(history)
    title = f"best {min(BEST_SHOWN, len(finished))} of {len(finished)} finished"
    if history.best is None:
        title = f"{without_best(history)}; those that come nearest"
    return _ranking(history, finished[:BEST_SHOWN], title)


def front_table(history: History, most: int | None = None) -> list[RenderableType]:
    """The Pareto front, by the first goal; where it is longer than `most`, so many that lie far apart on it."""
    front = [(vector, trial) for trial in history.front if (vector := history.objectives(trial)) is not None]
    chosen = [front[place] for place in best_first([vector for vector, _ in front])[:most]]
    title = f"Pareto front: {len(front)} of {history.counts().get('finished', 0)} finished"
    if len(chosen) < len(front):
        title += f"; {len(chosen)} that lie apart, and all of them with: archsearch best"
    return _ranking(history, [trial for _, trial in sorted(chosen, key=lambda each: each[0])], title)


def _ranking(history: History, trials: Sequence[Trial], title: str) -> list[RenderableType]:
    """The trials under a title; nothing where there are none."""
    if not trials:
        return []
    rows = [_ranked(history, trial, breaks=any(map(history.broken, trials))) for trial in trials]
    table = _table(*(column for column, _ in rows[0]))
    for row in rows:
        table.add_row(*(cell for _, cell in row))
    return [Text(f"\n{title}"), table]


def _ranked(history: History, trial: Trial, *, breaks: bool) -> list[tuple[str, str]]:
    """A trial's columns and cells; with what it breaks, where one of those shown with it breaks something."""
    study = history.study
    cells = [("trial", str(trial.number)), *((metric, number(trial.value(metric))) for metric in study.metrics)]
    cells.append(("steps", str(trial.step)))
    if study.repeats > 1:
        cells.append(("runs", str(len(trial.values(study.goal.metric)))))
    if breaks:
        cells.append(("breaks", _listed(history.broken(trial))))
    free = (parameter.name for parameter in study.space.free)
    return [*cells, ("config", one_line({name: trial.config[name] for name in free if name in trial.config}))]


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
        "values": {metric: trial.value(metric) for metric in history.study.metrics},
        "breaks": [str(each) for each in history.broken(trial)],
        "reason": trial.reason,
        "config": dict(trial.config),
        "proposer": trial.proposal.proposer,
        "proposal_reason": trial.proposal.reason,
        "drawn_at_random": trial.proposal.drawn_at_random,
        "proposal_state": dict(trial.proposal.state),
        "attempts": trial.attempt,
        "worker": trial.worker,
        "reports": _reports_json(trial.reports),
        "repeats": [_reports_json(reports) for reports in trial.repeats],
    }


def _reports_json(reports: Sequence[Report]) -> list[dict[str, Any]]:
    return [{"step": report.step, "seconds": round(report.seconds, 4), **report.metrics} for report in reports]


def best_json(history: History, best: Trial) -> dict[str, Any]:
    """The best trial; where there are several goals, with the trials on the Pareto front in short."""
    told = trial_json(history, best)
    if len(history.study.goals) == 1:
        return told
    front = [trial_json(history, trial) for trial in history.front]
    return {**told, "front": [{name: trial[name] for name in ("number", "values", "config")} for trial in front]}


def best_table(history: History, best: Trial) -> RenderableType:
    """The same for people."""
    told = trial_table(history, best)
    return told if len(history.study.goals) == 1 else Group(told, *front_table(history))


def hint_without_best(history: History, store: Path) -> str:
    """What to look at where there is no best trial, to be put behind `without_best`."""
    if paused := len(history.open_trials("paused")):
        return f"; {paused} paused: archsearch show {store}"
    failed = history.in_state("failed")
    if failed and not history.in_state("finished"):
        return f"; see its log: archsearch show {store} {failed[-1].number} --log"
    return ""


def with_hint(shown: RenderableType, hint: str) -> RenderableType:
    """A table, and below it what to do next."""
    return Group(shown, Text(f"\n{hint}"))


def trial_table(history: History, trial: Trial) -> RenderableType:
    last = trial.reports[-1].metrics if trial.reports else {}
    metrics = dict.fromkeys((*history.study.metrics, *last))
    broken = history.broken(trial)
    reason = "among the best at this step it goes on" if trial.state == "paused" else trial.reason
    free = {parameter.name for parameter in history.study.space.free}
    constants = {name: value for name, value in trial.config.items() if name not in free}
    return _facts(
        ("trial", f"{trial.number}, {trial.state}" + (f": {reason}" if reason else "")),
        *((metric, _mean(values)) for metric in metrics if (values := trial.values(metric))),
        *([("breaks", _listed(broken))] if broken else []),
        ("steps", str(trial.step)),
        *((name, number(value)) for name, value in trial.config.items() if name in free),
        *([("constant", one_line(constants))] if constants else []),
        ("proposed by", _proposer(trial)),
    )


def _proposer(trial: Trial) -> str:
    made = trial.proposal
    return f"{made.proposer}: {made.reason}" if made.reason else made.proposer


def result(history: History, store: Path) -> RenderableType:
    """What a run or resume ends with."""
    reason = history.session_ended.reason if history.session_ended else "every trial is done"
    counts = ", ".join(f"{count} {state}" for state, count in history.counts().items())
    head = Text(f"{history.study.name}: {reason}; {counts}; worked {duration(history.elapsed_s)}")
    parts: list[RenderableType] = [head]
    if history.best is not None:
        parts.append(trial_table(history, history.best))
        parts += front_table(history, BEST_SHOWN) if len(history.study.goals) > 1 else []
    elif history.in_state("finished"):
        parts.append(Text(without_best(history)))
    option = option_to_resume(reason)
    # Where a limit ended it, those that hold might have gone on.
    waiting = len(history.unfinished if option else history.open_trials("waiting", "running"))
    if waiting or option:
        what = f"{waiting} waiting; " if waiting else ""
        parts.append(Text(f"{what}go on with: archsearch resume {store} {option or ''}".rstrip()))
    return Group(*parts, Text(f"store: {store}"))


def _mean(values: Sequence[float]) -> str:
    """The value, and of a trial with repeats what it is the mean of."""
    if len(values) == 1:
        return number(values[0])
    return f"{number(fmean(values))}, mean of {count(len(values), 'run')}: {' '.join(map(number, values))}"


def _listed(broken: Sequence[OutcomeConstraint]) -> str:
    return ", ".join(map(str, broken))


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
