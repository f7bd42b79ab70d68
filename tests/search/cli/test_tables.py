"""What the commands answer about a study with several goals, constraints on metrics, and repeats."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from archsearch import Float, Space
from archsearch.search.cli.tables import (
    best_json,
    best_table,
    hint_without_best,
    result,
    study_json,
    study_table,
    trial_json,
    trial_table,
    without_best,
)
from archsearch.studies.goals import Goal, OutcomeConstraint
from archsearch.studies.history import History
from archsearch.studies.records import (
    Ended,
    Event,
    Failed,
    Finished,
    Paused,
    Proposal,
    Proposed,
    Report,
    Reported,
    RunCompleted,
    Started,
    StudyRecord,
)

ACCURACY, PARAMETERS = Goal("accuracy", True), Goal("parameters", False)
SMALL = OutcomeConstraint.from_text("parameters < 1e6")


def history(
    *trials: Sequence[Mapping[str, float]],
    goals: tuple[Goal, ...] = (ACCURACY,),
    constraints: tuple[OutcomeConstraint, ...] = (),
    repeats: int = 1,
    pauses: bool = False,
) -> History:
    """Each trial by what its runs report, once each; the last trial pauses if `pauses`."""
    record = StudyRecord(
        "toy", Space(x=Float(0, 1)), goals, 3, 0, "TPE()", "Never()", outcome_constraints=constraints, repeats=repeats
    )
    events: list[Event] = []
    for number, runs in enumerate(trials):
        events.append(Proposed(0.0, number, Proposal({"x": number / 10}, 3), 0))
        for attempt, metrics in enumerate(runs, start=1):
            events += [RunCompleted(0.0, number)] if attempt > 1 else []
            events += [Started(0.0, number, attempt, "w0"), Reported(0.0, number, Report(1, metrics, 1.0))]
        paused = pauses and number == len(trials) - 1
        events.append(Paused(0.0, number) if paused else Ended(0.0, number, Finished()))
    return History.from_events(record, events)


def shown(table: Any) -> list[str]:
    """Its lines, with single blanks."""
    out = io.StringIO()
    Console(file=out, width=500).print(table)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def once(accuracy: float, parameters: float) -> list[dict[str, float]]:
    return [{"accuracy": accuracy, "parameters": parameters}]


TRIALS = (once(0.8, 2e4), once(0.98, 2e6), once(0.9, 5e4), once(0.7, 3e4), once(0.6, 1e4))


class TestSeveralGoals:
    several = history(*TRIALS, goals=(ACCURACY, PARAMETERS), constraints=(SMALL,))

    def test_a_study_as_json(self) -> None:
        told = study_json(self.several)
        assert told["goals"] == [
            {"metric": "accuracy", "maximize": True},
            {"metric": "parameters", "maximize": False},
        ]
        assert told["outcome_constraints"] == ["parameters < 1e+06"]
        assert told["front"] == [0, 2, 4]
        assert told["best"]["number"] == 2

    def test_a_study_shows_its_front_and_only_that(self) -> None:
        lines = shown(study_table(self.several))
        assert "goals maximize accuracy, minimize parameters subject to parameters < 1e+06" in lines
        assert lines[-5:] == [
            "Pareto front: 3 of 5 finished",
            "trial accuracy parameters steps config",
            "2 0.9 50000 1 x=0.2",
            "0 0.8 20000 1 x=0",
            "4 0.6 10000 1 x=0.4",
        ]

    def test_the_best_comes_with_the_whole_front(self) -> None:
        told = best_json(self.several, self.several.trials[2])
        assert (told["number"], told["values"]) == (2, {"accuracy": 0.9, "parameters": 5e4})
        assert [each["number"] for each in told["front"]] == [0, 2, 4]
        assert set(told["front"][0]) == {"number", "values", "config"}
        lines = shown(best_table(self.several, self.several.trials[2]))
        assert lines[0] == "trial 2, finished"
        assert "Pareto front: 3 of 5 finished" in lines

    def test_a_long_front_is_shown_in_part_with_its_ends(self) -> None:
        long = history(*(once(i / 100, 100.0 * i) for i in range(1, 31)), goals=(ACCURACY, PARAMETERS))
        lines = shown(study_table(long))
        assert "Pareto front: 30 of 30 finished; 10 spread along it, see all with: archsearch best" in lines
        numbers = [int(line.split()[0]) for line in lines[-10:]]
        assert numbers == sorted(numbers, reverse=True)
        assert {numbers[0], numbers[-1]} == {29, 0}
        assert len(shown(best_table(long, long.trials[29]))) > 30

    def test_a_run_ends_with_the_front(self) -> None:
        assert "Pareto front: 3 of 5 finished" in shown(result(self.several, Path("s.db")))


class TestConstraints:
    def test_a_trial_that_violates_one_comes_last_and_is_marked(self) -> None:
        lines = shown(study_table(history(*TRIALS, constraints=(SMALL,))))
        assert lines[-7:] == [
            "best 5 of 5 finished",
            "trial accuracy parameters steps violates config",
            "2 0.9 50000 1 x=0.2",
            "0 0.8 20000 1 x=0",
            "3 0.7 30000 1 x=0.3",
            "4 0.6 10000 1 x=0.4",
            "1 0.98 2000000 1 parameters < 1e+06 x=0.1",
        ]

    def test_a_trial_shows_what_it_violates(self) -> None:
        held = history(*TRIALS, constraints=(SMALL,))
        assert [trial_json(held, trial)["violates"] for trial in held.trials[:2]] == [[], ["parameters < 1e+06"]]
        assert "violates parameters < 1e+06" in shown(trial_table(held, held.trials[1]))
        assert not any(line.startswith("violates") for line in shown(trial_table(held, held.trials[0])))

    @pytest.mark.parametrize("goals", [(ACCURACY,), (ACCURACY, PARAMETERS)])
    def test_where_every_trial_violates_one(self, goals: tuple[Goal, ...]) -> None:
        tight = history(*TRIALS[1:3], goals=goals, constraints=(OutcomeConstraint.from_text("parameters < 10"),))
        assert without_best(tight) == "none of the 2 finished trials satisfies parameters < 10"
        lines = shown(study_table(tight))
        assert lines[-4] == "none of the 2 finished trials satisfies parameters < 10; the closest ones"
        assert [line.split()[0] for line in lines[-2:]] == ["1", "0"]
        assert "none of the 2 finished trials satisfies parameters < 10" in shown(result(tight, Path("s.db")))

    def test_where_all_failed(self) -> None:
        plain = history(once(0.5, 1.0), once(0.5, 1.0))
        failed = [
            replace(trial, state="failed", outcome=Failed(f"ValueError: {trial.number}")) for trial in plain.trials
        ]
        nothing = replace(plain, trials=tuple(failed), best_number=None, front_numbers=())
        assert without_best(nothing) == "all 2 trials failed, the last one with: ValueError: 1"
        assert hint_without_best(nothing, Path("s.db")) == "; see its log: archsearch show s.db 1 --log"
        one = replace(nothing, trials=tuple(failed[:1]))
        assert without_best(one) == "its only trial failed with: ValueError: 0"

    def test_nothing_finished(self) -> None:
        assert without_best(history(once(0.5, 1.0), pauses=True)) == "no trial has finished yet"


class TestOneGoal:
    plain = history(*TRIALS)

    def test_the_best_is_told_as_any_trial(self) -> None:
        assert best_json(self.plain, self.plain.trials[1]) == trial_json(self.plain, self.plain.trials[1])
        assert shown(best_table(self.plain, self.plain.trials[1]))[:2] == ["trial 1, finished", "accuracy 0.98"]

    def test_the_best_trials_by_the_goal(self) -> None:
        lines = shown(study_table(self.plain))
        assert lines[-6:-3] == ["trial accuracy steps config", "1 0.98 1 x=0.1", "2 0.9 1 x=0.2"]


class TestRepeats:
    repeated = history([{"accuracy": 0.979}, {"accuracy": 0.983}, {"accuracy": 0.981}], [{"accuracy": 0.97}], repeats=3)

    def test_the_value_is_said_to_be_a_mean(self) -> None:
        lines = shown(trial_table(self.repeated, self.repeated.trials[0]))
        assert "accuracy 0.981, mean of 3 runs: 0.979 0.983 0.981" in lines
        assert "accuracy 0.97" in shown(trial_table(self.repeated, self.repeated.trials[1]))

    def test_the_runs_are_counted(self) -> None:
        assert shown(study_table(self.repeated))[-3:] == [
            "trial accuracy steps runs config",
            "0 0.981 1 3 x=0",
            "1 0.97 1 1 x=0.1",
        ]

    def test_json_has_every_run(self) -> None:
        told = trial_json(self.repeated, self.repeated.trials[0])
        assert told["value"] == told["values"]["accuracy"] == pytest.approx(0.981)
        assert [run[0]["accuracy"] for run in (told["reports"], *told["repeats"])] == [0.979, 0.983, 0.981]
