"""In short: how many trials, how long, the best one, and whether the search beat chance."""

from __future__ import annotations

from statistics import median

from studies.history import History
from studies.records import Trial
from studies.reports.cards import Cell, Content, Missing, Table
from studies.reports.look import count, duration, number

RANDOM = "random"  # note["by"] of a trial that was drawn at random


def panel(history: History) -> Content | Missing:
    if not history.trials:
        return Missing("No trial has been proposed yet.")
    best = history.best
    if best is None:
        return Content(
            (_effort(history), "No trial has finished yet, so there is no best one."), tables=(states(history),)
        )
    notes = (_effort(history), _best(history, best), chance(history))
    return Content(notes, tables=(states(history), config(history, best), metrics(best)))


def states(history: History) -> Table:
    rows = tuple((state, n) for state, n in history.counts().items())
    return Table("Trials by state", ("state", "trials"), rows)


def config(history: History, trial: Trial) -> Table:
    rows = tuple((name, shown(trial.config[name])) for name in history.study.space if name in trial.config)
    return Table(f"Configuration of trial {trial.number}", ("parameter", "value"), rows)


def metrics(trial: Trial) -> Table:
    last = {name: value for report in trial.reports for name, value in report.metrics.items()}
    return Table(f"Last metrics of trial {trial.number}", ("metric", "value"), tuple(last.items()))


def shown(value: object) -> Cell:
    """A parameter's value as a cell: numbers stay numbers, None and True are texts."""
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else str(value)


def by(trial: Trial) -> str:
    """What proposed the trial; empty when its strategy did not say."""
    name = trial.proposal.note.get("by")
    return "" if name is None else str(name)


def chance(history: History) -> str:
    """One honest sentence: how far the best trial beats those that were drawn at random."""
    goal, best = history.study.goal, history.best
    if best is None:
        return "No trial has finished yet, so there is nothing to compare with chance."
    finished = [(t, v) for t in history.in_state("finished") if (v := history.value(t)) is not None]
    drawn = [v for t, v in finished if by(t) == RANDOM]
    chosen = len(finished) - len(drawn)
    if not drawn:
        return "No finished trial was drawn at random, so this page cannot say how far the search beat chance."
    pick = max if goal.maximize else min
    top, top_drawn, middle = pick(value for _, value in finished), pick(drawn), median(drawn)
    if not chosen:
        return (
            f"All {count(len(drawn), 'finished trial')} were drawn at random, so the best is what chance alone found; "
            f"their median is {number(middle)}."
        )
    if by(best) == RANDOM:
        return (
            "The search did not beat chance: the best trial was itself drawn at random, "
            f"one of {len(drawn):,}; none of the {chosen:,} that the search chose is better."
        )
    if not goal.better(top, top_drawn):
        return (
            "The search did not beat chance: "
            f"the best of {len(drawn):,} drawn at random is as good as the best trial, {number(top_drawn)}."
        )
    return (
        f"The best of {count(chosen, 'finished trial')} that the search chose, {number(top)}, beats the best of "
        f"{len(drawn):,} drawn at random, {number(top_drawn)}, by {number(abs(top - top_drawn))}, and their "
        f"median, {number(middle)}, by {number(abs(top - middle))}."
    )


def _effort(history: History) -> str:
    text = (
        f"Goal: {history.study.goal}. {count(len(history.trials), 'trial')} in {duration(history.elapsed_s)} of work."
    )
    if paused := history.open_trials("paused"):
        text += (
            f" {count(len(paused), 'trial')} paused below the full budget, and may go on when the study is extended."
        )
    if (running := history.open_trials("waiting", "running")) and history.closed is None:
        text += f" {count(len(running), 'trial')} had not ended at the last event of this report."
    return text


def _best(history: History, best: Trial) -> str:
    value = history.value(best)
    who = f", proposed by {by(best)}" if by(best) else ""
    return f"Best: trial {best.number}{who}, with {history.study.goal.metric} = {number(value or 0.0)}."
