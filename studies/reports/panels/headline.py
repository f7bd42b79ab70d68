"""Summary: the number of trials, the time, the best trial, and whether the search beats random search."""

from __future__ import annotations

from statistics import fmean, median

from archsearch.studies.formatting import count, duration, number
from archsearch.studies.history import History
from archsearch.studies.records import STARTED_WITH, Trial
from archsearch.studies.reports.cards import Cell, Content, Missing, Table
from archsearch.studies.reports.feasibility import feasible, first_goal_note


def panel(history: History) -> Content | Missing:
    if not history.trials:
        return Missing("No trial has been proposed yet.")
    best = history.best
    if best is None:
        return Content(
            (_effort(history), *_infeasible(history), f"{_none(history)}, so there is no best trial."),
            tables=(states(history),),
        )
    notes = (
        _effort(history),
        *_infeasible(history),
        *first_goal_note(history.study),
        _best(history, best),
        comparison_with_random(history),
    )
    return Content(notes, tables=(states(history), config(history, best), metrics(best)))


def states(history: History) -> Table:
    """The number of trials in each state."""
    rows = tuple((state, n) for state, n in history.counts().items())
    return Table("Trials by state", ("state", "trials"), rows)


def config(history: History, trial: Trial) -> Table:
    """The configuration of a trial, one row per active parameter."""
    rows = tuple((name, shown(trial.config[name])) for name in history.study.space if name in trial.config)
    return Table(f"Configuration of trial {trial.number}", ("parameter", "value"), rows)


def metrics(trial: Trial) -> Table:
    """The last reported metrics of a trial; for a trial with repeats, their mean and range over the complete runs."""
    values = {name: trial.values(name) for report in trial.reports for name in report.metrics}
    caption = f"Last metrics of trial {trial.number}"
    if not trial.repeats:
        return Table(caption, ("metric", "value"), tuple((name, *found) for name, found in values.items()))
    rows = tuple((name, fmean(found), min(found), max(found), len(found)) for name, found in values.items())
    return Table(caption, ("metric", "mean", "min", "max", "runs"), rows)


def shown(value: object) -> Cell:
    """A parameter's value as a cell: numbers and strings as they are, and others, such as True, as strings."""
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else str(value)


def is_start_config(trial: Trial) -> bool:
    """Whether the trial is one of the study's start configurations."""
    return trial.proposal.proposer == STARTED_WITH


def comparison_with_random(history: History) -> str:
    """A sentence that compares the best trial with those that were drawn at random."""
    goal, best = history.study.goal, history.best
    if best is None:
        return f"{_none(history)}, so there is nothing to compare with random trials."
    finished = feasible(history)
    kind = "feasible trial" if history.study.outcome_constraints else "finished trial"
    if len(history.study.goals) > 1:
        front = history.front
        by_chance = sum(trial.proposal.drawn_at_random for trial in front)
        all_by_chance = sum(trial.proposal.drawn_at_random for trial, _ in finished)
        return (
            f"{by_chance:,} of the {count(len(front), 'trial')} on the Pareto front and {all_by_chance:,} of "
            f"{count(len(finished), kind)} were drawn at random."
        )
    drawn = [v for t, v in finished if t.proposal.drawn_at_random]
    chosen = [v for t, v in finished if not (t.proposal.drawn_at_random or is_start_config(t))]
    if is_start_config(best):
        return "The search did not beat the start configurations: the best trial is one of them."
    if not drawn:
        return f"No {kind} was drawn at random, so the search cannot be compared with random search."
    pick = max if goal.maximize else min
    top_drawn, middle = pick(drawn), median(drawn)
    if not chosen:
        except_for = " except for the start configurations" if len(drawn) < len(finished) else ""
        return (
            f"Every {kind}{except_for} was drawn at random ({len(drawn):,}, with a median of {number(middle)}), so the "
            "best value is that of random search."
        )
    if best.proposal.drawn_at_random:
        return (
            f"The search did not beat random search: the best trial is one of {count(len(drawn), kind)} drawn at "
            f"random, and none of {count(len(chosen), kind)} that the search proposed is better."
        )
    top = pick(chosen)
    if not goal.better(top, top_drawn):
        return (
            f"The search did not beat random search: the best of {count(len(drawn), kind)} drawn at random is as good "
            f"as the best trial, {number(top_drawn)}."
        )
    return (
        f"The best of {count(len(chosen), kind)} that the search proposed, {number(top)}, is better than the best of "
        f"{len(drawn):,} drawn at random, {number(top_drawn)}, by {number(abs(top - top_drawn))}, and than their "
        f"median, {number(middle)}, by {number(abs(top - middle))}."
    )


def _effort(history: History) -> str:
    study = history.study
    goals = "Goals" if len(study.goals) > 1 else "Goal"
    text = f"{goals}: {study.aim}. {count(len(history.trials), 'trial')} in {duration(history.elapsed_s)} of work."
    if paused := history.open_trials("paused"):
        text += (
            f" {count(len(paused), 'trial')} paused below the full budget; they may continue if the study is resumed "
            "with more trials or time."
        )
    if (running := history.open_trials("waiting", "running")) and history.session_ended is None:
        text += f" {count(len(running), 'trial')} had not ended when this report was written."
    return text


def _none(history: History) -> str:
    return "No finished trial is feasible" if history.in_state("finished") else "No trial has finished yet"


def _infeasible(history: History) -> tuple[str, ...]:
    infeasible = [trial for trial in history.in_state("finished") if history.broken(trial)]
    if not infeasible:
        return ()
    violated = dict.fromkeys(str(each) for trial in infeasible for each in history.broken(trial))
    verb = "is" if len(infeasible) == 1 else "are"
    return (
        f"{count(len(infeasible), 'finished trial')} {verb} infeasible and cannot be the best. Violated: "
        f"{', '.join(violated)}.",
    )


def _best(history: History, best: Trial) -> str:
    study = history.study
    proposer = f", proposed by {best.proposal.proposer}" if best.proposal.proposer else ""
    values = ((metric, best.value(metric)) for metric in study.metrics)
    text = f"Best: trial {best.number}{proposer}, with "
    text += ", ".join(f"{metric} = {number(value)}" for metric, value in values if value is not None)
    runs = best.values(study.goal.metric)
    if len(runs) > 1:
        text += f", the mean of {count(len(runs), 'run')} with values from {number(min(runs))} to {number(max(runs))}"
    elif study.repeats > 1:
        text += ", from a single run"
    others = len(history.front) - 1
    return f"{text}. The Pareto front has {count(others, 'other trial')}." if len(study.goals) > 1 else f"{text}."
