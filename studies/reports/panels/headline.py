"""In short: how many trials, how long, the best one, and whether the search beat chance."""

from __future__ import annotations

from statistics import fmean, median

from archsearch.studies.formatting import count, duration, number
from archsearch.studies.history import History
from archsearch.studies.records import STARTED_WITH, Trial
from archsearch.studies.reports.cards import Cell, Content, Missing, Table
from archsearch.studies.reports.feasibility import by_first, feasible


def panel(history: History) -> Content | Missing:
    if not history.trials:
        return Missing("No trial has been proposed yet.")
    best = history.best
    if best is None:
        return Content(
            (_effort(history), *_infeasible(history), f"{_none(history)}, so there is no best one."),
            tables=(states(history),),
        )
    notes = (_effort(history), *_infeasible(history), *by_first(history.study), _best(history, best), chance(history))
    return Content(notes, tables=(states(history), config(history, best), metrics(best)))


def states(history: History) -> Table:
    rows = tuple((state, n) for state, n in history.counts().items())
    return Table("Trials by state", ("state", "trials"), rows)


def config(history: History, trial: Trial) -> Table:
    rows = tuple((name, shown(trial.config[name])) for name in history.study.space if name in trial.config)
    return Table(f"Configuration of trial {trial.number}", ("parameter", "value"), rows)


def metrics(trial: Trial) -> Table:
    """As last reported; of a trial with repeats the mean over its runs, and how far they spread."""
    values = {name: trial.values(name) for report in trial.reports for name in report.metrics}
    caption = f"Last metrics of trial {trial.number}"
    if not trial.repeats:
        return Table(caption, ("metric", "value"), tuple((name, *found) for name, found in values.items()))
    rows = tuple((name, fmean(found), min(found), max(found), len(found)) for name, found in values.items())
    return Table(caption, ("metric", "mean", "least", "most", "runs"), rows)


def shown(value: object) -> Cell:
    """A parameter's value as a cell: numbers stay numbers, None and True are texts."""
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else str(value)


def given(trial: Trial) -> bool:
    """Is it one of the configurations that the study was given to start with?"""
    return trial.proposal.proposer == STARTED_WITH


def chance(history: History) -> str:
    """One honest sentence: how far the best trial beats those that were drawn at random."""
    goal, best = history.study.goal, history.best
    if best is None:
        return f"{_none(history)}, so there is nothing to compare with chance."
    finished = feasible(history)
    kind = "feasible trial" if history.study.outcome_constraints else "finished trial"
    if len(history.study.goals) > 1:
        front = history.front
        by_chance = sum(trial.proposal.drawn_at_random for trial in front)
        all_by_chance = sum(trial.proposal.drawn_at_random for trial, _ in finished)
        return (
            f"Drawn at random: {by_chance:,} of the {count(len(front), 'trial')} on the Pareto front, and "
            f"{all_by_chance:,} of {count(len(finished), kind)}."
        )
    drawn = [v for t, v in finished if t.proposal.drawn_at_random]
    chosen = [v for t, v in finished if not (t.proposal.drawn_at_random or given(t))]
    if given(best):
        return "The search did not beat what it was given: the best trial is one that the study started with."
    if not drawn:
        return f"No {kind} was drawn at random, so this page cannot say how far the search beat chance."
    pick = max if goal.maximize else min
    top_drawn, middle = pick(drawn), median(drawn)
    if not chosen:
        but = ", but for those that the study started with," if len(drawn) < len(finished) else ""
        return (
            f"Every {kind}{but} was drawn at random ({len(drawn):,}), so the best is what chance alone found; "
            f"their median is {number(middle)}."
        )
    if best.proposal.drawn_at_random:
        return (
            "The search did not beat chance: the best trial was itself drawn at random, "
            f"one of {len(drawn):,}; none of the {len(chosen):,} that the search chose is better."
        )
    top = pick(chosen)
    if not goal.better(top, top_drawn):
        return (
            "The search did not beat chance: "
            f"the best of {len(drawn):,} drawn at random is as good as the best trial, {number(top_drawn)}."
        )
    return (
        f"The best of {count(len(chosen), kind)} that the search chose, {number(top)}, beats the best of "
        f"{len(drawn):,} drawn at random, {number(top_drawn)}, by {number(abs(top - top_drawn))}, and their "
        f"median, {number(middle)}, by {number(abs(top - middle))}."
    )


def _effort(history: History) -> str:
    study = history.study
    goals = "Goals" if len(study.goals) > 1 else "Goal"
    text = f"{goals}: {study.aim}. {count(len(history.trials), 'trial')} in {duration(history.elapsed_s)} of work."
    if paused := history.open_trials("paused"):
        text += (
            f" {count(len(paused), 'trial')} paused below the full budget, and may go on when the study is extended."
        )
    if (running := history.open_trials("waiting", "running")) and history.session_ended is None:
        text += f" {count(len(running), 'trial')} had not ended at the last event of this report."
    return text


def _none(history: History) -> str:
    return "No finished trial is feasible" if history.in_state("finished") else "No trial has finished yet"


def _infeasible(history: History) -> tuple[str, ...]:
    broken = [trial for trial in history.in_state("finished") if history.broken(trial)]
    if not broken:
        return ()
    which = dict.fromkeys(str(each) for trial in broken for each in history.broken(trial))
    trials = count(len(broken), "finished trial")
    return (f"Infeasible, and so not in question for the best: {trials}, for breaking {' and '.join(which)}.",)


def _best(history: History, best: Trial) -> str:
    study = history.study
    who = f", proposed by {best.proposal.proposer}" if best.proposal.proposer else ""
    values = ((metric, best.value(metric)) for metric in study.metrics)
    text = f"Best: trial {best.number}{who}, with "
    text += ", ".join(f"{metric} = {number(value)}" for metric, value in values if value is not None)
    runs = best.values(study.goal.metric)
    if len(runs) > 1:
        text += f", the mean of {count(len(runs), 'run')} from {number(min(runs))} to {number(max(runs))}"
    elif study.repeats > 1:
        text += ", in a single run"
    others = len(history.front) - 1
    return f"{text}. {count(others, 'other trial')} on the Pareto front." if len(study.goals) > 1 else f"{text}."
