"""The output of the commands about stores, studies and trials: JSON for programs, tables for people."""

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
from archsearch.studies.stopping_criteria import TARGET_REACHED, TRIALS_DONE, option_to_resume
from archsearch.studies.store import Store

BEST_SHOWN = 10  # rows
FAILURES_SHOWN = 3  # rows


@dataclass(frozen=True, slots=True)
class StoreRow:
    """One store of a folder.

    Attributes:
        store: The path of the store.
        name: The name of its study.
        goal: The goal of the study, such as "maximize accuracy".
        trials: The number of trials that it will have, or has if this is not known.
        ended: The number of trials that have ended or paused.
        pruned: The number of them that were pruned.
        failed: The number of them that failed.
        best: The best value; None if there is none.
        error: The reason why the store cannot be read; "" if it can.
    """

    store: str
    name: str = ""
    goal: str = ""
    trials: int = 0
    ended: int = 0
    pruned: int = 0
    failed: int = 0
    best: float | None = None
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def stores(folder: Path) -> list[StoreRow]:
    """The stores of a folder, sorted by name: a row for each `.db` file, also if it cannot be read.

    Raises:
        StoreError: There is no such folder.
    """
    if not folder.is_dir():
        raise StoreError(f"no folder at {folder}; give a folder that contains stores")
    return [_store_row(path) for path in sorted(folder.glob("*.db"))]


def _store_row(path: Path) -> StoreRow:
    try:
        with Store.open(path) as store:
            history = store.history()
    except ArchsearchError as error:
        return StoreRow(str(path), error=str(error))
    session, counts = history.session_started, history.counts()
    return StoreRow(
        store=str(path),
        name=history.study.name,
        goal=history.study.aim,
        trials=session.stopping.trials if session is not None and session.stopping.trials else len(history.trials),
        ended=history.settled,
        pruned=counts.get("pruned", 0),
        failed=counts.get("failed", 0),
        best=None if history.best is None else history.value(history.best),
    )


def store_table(rows: list[StoreRow], folder: Path) -> RenderableType:
    """The stores of a folder as a table, or a sentence if there are none."""
    if not rows:
        return f"no stores in {folder}; create one with: archsearch run SPEC.py"
    table = _table("store", "study", "goal", numbers=("trials", "pruned", "failed", "best"))
    for row in rows:
        if not row.error:
            counts = (f"{row.ended}/{row.trials}", str(row.pruned), str(row.failed))
            table.add_row(*map(Text, (row.store, row.name, row.goal, *counts, _value(row.best))))
    errors = [Text(row.error, style="red") for row in rows if row.error]
    return Group(*([table] if table.rows else []), *errors)


def study_json(history: History) -> dict[str, Any]:
    """A study: its settings, the number of trials in each state, its best trial and its Pareto front."""
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
        "limits": history.session_started.stopping.to_json() if history.session_started else {},
        "trials": dict(history.counts()),
        "elapsed_s": round(history.elapsed_s, 3),
        "last_session": history.session_ended.reason if history.session_ended else None,
        "best": None if history.best is None else trial_json(history, history.best),
        "front": list(history.front_numbers),
    }


def study_table(history: History) -> RenderableType:
    """A study with its best trials (the Pareto front, if it has several goals), its paused and its failed ones."""
    study = history.study
    counts = _counts(history) or "none yet"
    facts = _facts(
        ("study", study.name),
        ("goals" if len(study.goals) > 1 else "goal", study.aim),
        ("strategy", study.strategy),
        ("pruner", study.pruner),
        ("trials", counts),
        ("run time", duration(history.elapsed_s)),
        ("last session", history.session_ended.reason if history.session_ended else "running, or killed"),
    )
    paused = sorted(history.open_trials("paused"), key=lambda trial: (-trial.step, history.loss(trial), trial.number))
    title = f"{count(len(paused), 'paused trial')} that may continue, most steps first"
    failed = history.in_state("failed")
    notes = [Text(f"trial {trial.number} failed: {trial.reason}", style="red") for trial in failed[:FAILURES_SHOWN]]
    if (more := len(failed) - FAILURES_SHOWN) > 0:
        notes.append(Text(f"and {more} more failed", style="red"))
    return Group(facts, *_best_trials(history), *_ranking(history, paused[:BEST_SHOWN], title), *notes)


def all_trials_table(history: History) -> RenderableType:
    """All trials by number, with their states."""
    if not history.trials:
        return Text("no trials yet")
    return _trials_table(history, history.trials, states=True)


def _best_trials(history: History) -> list[RenderableType]:
    """The Pareto front if there are several goals, else the finished trials, best first; at most `BEST_SHOWN`.

    Trials that violate an outcome constraint come last, the closest to satisfying it first.
    """
    if len(history.study.goals) > 1 and history.front:
        return front_table(history, BEST_SHOWN)
    finished = ranked(history)
    title = f"best {min(BEST_SHOWN, len(finished))} of {len(finished)} finished"
    if history.best is None:
        title = f"{without_best(history)}; the closest ones"
    return _ranking(history, finished[:BEST_SHOWN], title)


def front_table(history: History, most: int | None = None) -> list[RenderableType]:
    """The Pareto front, sorted by the first goal.

    Args:
        history: The study.
        most: The maximum number of trials. If the front is longer, trials that lie far apart on it are chosen. None for
            all.
    """
    front = [(vector, trial) for trial in history.front if (vector := history.objectives(trial)) is not None]
    chosen = [front[place] for place in best_first([vector for vector, _ in front])[:most]]
    title = f"Pareto front: {len(front)} of {history.counts().get('finished', 0)} finished"
    if len(chosen) < len(front):
        title += f"; {len(chosen)} spread along it, see all with: archsearch best"
    return _ranking(history, [trial for _, trial in sorted(chosen, key=lambda each: each[0])], title)


def _ranking(history: History, trials: Sequence[Trial], title: str) -> list[RenderableType]:
    """A table of trials under a title; nothing if there are no trials."""
    return [Text(f"\n{title}"), _trials_table(history, trials)] if trials else []


def _trials_table(history: History, trials: Sequence[Trial], *, states: bool = False) -> Table:
    """A table of at least one trial, with their states if `states`."""
    violations = any(map(history.broken, trials))
    rows = [_cells(history, trial, states=states, violations=violations) for trial in trials]
    table = _table(*(column for column, _ in rows[0]))
    for row in rows:
        table.add_row(*(Text(cell) for _, cell in row))
    return table


def _cells(history: History, trial: Trial, *, states: bool, violations: bool) -> list[tuple[str, str]]:
    """A row of `_trials_table` as pairs of column and cell.

    Args:
        history: The study.
        trial: The trial.
        states: Show its state.
        violations: Show the constraints that it violates.
    """
    study = history.study
    cells = [("trial", str(trial.number)), *([("state", trial.state)] if states else [])]
    cells += [(metric, _value(trial.value(metric))) for metric in study.metrics]
    cells.append(("steps", str(trial.step)))
    if study.repeats > 1:
        cells.append(("runs", str(len(trial.values(study.goal.metric)))))
    if violations:
        cells.append(("violates", _listed(history.broken(trial))))
    free = (parameter.name for parameter in study.space.free)
    return [*cells, ("config", one_line({name: trial.config[name] for name in free if name in trial.config}))]


def trial_of(history: History, number: int) -> Trial:
    """The trial with this number.

    Raises:
        StoreError: There is no such trial.
    """
    if not 0 <= number < len(history.trials):
        known = f"its trials are 0 to {len(history.trials) - 1}" if history.trials else "it has no trials yet"
        raise StoreError(f"the study has no trial {number}; {known}")
    return history.trials[number]


def trial_json(history: History, trial: Trial) -> dict[str, Any]:
    """A trial with all of its reports."""
    return {
        "number": trial.number,
        "state": trial.state,
        "value": history.value(trial),
        "values": {metric: trial.value(metric) for metric in history.study.metrics},
        "violates": [str(each) for each in history.broken(trial)],
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
    """The best trial, and with several goals the number, values and config of each trial on the Pareto front."""
    body = trial_json(history, best)
    if len(history.study.goals) == 1:
        return body
    front = [trial_json(history, trial) for trial in history.front]
    return {**body, "front": [{name: trial[name] for name in ("number", "values", "config")} for trial in front]}


def best_table(history: History, best: Trial) -> RenderableType:
    """The best trial, and with several goals the Pareto front."""
    table = trial_table(history, best)
    return table if len(history.study.goals) == 1 else Group(table, *front_table(history))


def hint_without_best(history: History, store: Path) -> str:
    """What to look at if there is no best trial, to be appended to `without_best`."""
    if paused := len(history.open_trials("paused")):
        return f"; see its {count(paused, 'paused trial')}: archsearch show {store}"
    failed = history.in_state("failed")
    if failed and not history.in_state("finished"):
        return f"; see its log: archsearch show {store} {failed[-1].number} --log"
    return ""


def with_hint(shown: RenderableType, hint: str) -> RenderableType:
    """A table with a hint below it about what to do next."""
    return Group(shown, Text(f"\n{hint}"))


def trial_table(history: History, trial: Trial) -> RenderableType:
    """A trial: its state, last metrics, configuration and proposer."""
    last = trial.reports[-1].metrics if trial.reports else {}
    metrics = dict.fromkeys((*history.study.metrics, *last))
    broken = history.broken(trial)
    reason = "continues if it is among the best at this step" if trial.state == "paused" else trial.reason
    free = {parameter.name for parameter in history.study.space.free}
    constants = {name: value for name, value in trial.config.items() if name not in free}
    return _facts(
        ("trial", f"{trial.number}, {trial.state}" + (f": {reason}" if reason else "")),
        *((metric, _mean(values)) for metric in metrics if (values := trial.values(metric))),
        *([("violates", _listed(broken))] if broken else []),
        ("steps", str(trial.step)),
        *((name, number(value)) for name, value in trial.config.items() if name in free),
        *([("constant", one_line(constants))] if constants else []),
        ("proposed by", _proposer(trial)),
    )


def _proposer(trial: Trial) -> str:
    made = trial.proposal
    return f"{made.proposer}: {made.reason}" if made.reason else made.proposer


def result(history: History, store: Path) -> RenderableType:
    """The result of `archsearch run` or `archsearch resume`."""
    reason = history.session_ended.reason if history.session_ended else TRIALS_DONE
    head = Text(f"{history.study.name}: {reason}; {_counts(history)}; run time {duration(history.elapsed_s)}")
    parts: list[RenderableType] = [head]
    if history.best is not None:
        parts.append(trial_table(history, history.best))
        parts += front_table(history, BEST_SHOWN) if len(history.study.goals) > 1 else []
    elif history.in_state("finished"):
        parts.append(Text(without_best(history)))
    option = option_to_resume(reason)
    # If a limit ended the session, paused trials might have continued too.
    waiting = len(history.unfinished if option else history.open_trials("waiting", "running"))
    if waiting or option:
        what = f"{waiting} waiting; " if waiting else ""
        change = "" if option is None else " a stricter target" if reason == TARGET_REACHED else " a higher limit"
        parts.append(Text(f"{what}continue with{change}: archsearch resume {store} {option or ''}".rstrip()))
    return Group(*parts, Text(f"store: {store}"))


def _counts(history: History) -> str:
    """`12 finished, 3 pruned`; "" if there are no trials."""
    return ", ".join(f"{n:,} {state}" for state, n in history.counts().items())


def _value(value: float | None) -> str:
    return "" if value is None else number(value)


def _mean(values: Sequence[float]) -> str:
    """The value of a metric; for a trial with repeats, the mean with the values of its runs."""
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


def _table(*columns: str, numbers: Sequence[str] = ()) -> Table:
    """An empty table with these columns, followed by columns of numbers, which are aligned at the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(Text(name), overflow="fold")
    for name in numbers:
        table.add_column(Text(name), justify="right", no_wrap=True)
    return table
