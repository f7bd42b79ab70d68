"""Goals and constraints on metrics: what they read, and that ranks are those of a plain reading of the paper."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Float, Space, SpecError
from archsearch.studies.goals import Goal, ObjectiveVector, OutcomeConstraint, best_first, ranks
from archsearch.studies.history import History
from archsearch.studies.records import (
    Ended,
    Failed,
    Finished,
    Proposal,
    Proposed,
    Pruned,
    Report,
    Reported,
    Started,
    StudyRecord,
)

few = st.sampled_from([0.0, 1.0, 2.0, 3.0])  # so that many are equal


def vectors(goals: int) -> st.SearchStrategy[list[ObjectiveVector]]:
    violations = st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.5])
    return st.lists(st.builds(ObjectiveVector, violations, st.tuples(*[few] * goals)), max_size=14)


several = st.integers(1, 3).flatmap(vectors)


def dominates(one: ObjectiveVector, other: ObjectiveVector) -> bool:
    """Deb et al. 2002, section VI: constrained domination."""
    if one.violation or other.violation:
        return one.violation < other.violation
    pairs = list(zip(one.losses, other.losses, strict=True))
    return all(left <= right for left, right in pairs) and any(left < right for left, right in pairs)


@given(vectors=several)
def test_ranks_are_fronts_peeled_off_one_by_one(vectors: list[ObjectiveVector]) -> None:
    found = ranks(vectors)
    left, rank = set(range(len(vectors))), 0
    while left:
        front = {place for place in left if not any(dominates(vectors[other], vectors[place]) for other in left)}
        assert {place for place in left if found[place] == rank} == front
        left, rank = left - front, rank + 1


@given(vectors=several)
def test_best_first_is_by_rank_and_then_by_crowding(vectors: list[ObjectiveVector]) -> None:
    found, by_rank = best_first(vectors), ranks(vectors)
    assert sorted(found) == list(range(len(vectors)))
    assert [by_rank[place] for place in found] == sorted(by_rank)
    for rank in set(by_rank):
        front = [place for place in range(len(vectors)) if by_rank[place] == rank]
        ends = [place for place in found if by_rank[place] == rank][: 2 * len(vectors[0].losses)]
        for goal in range(len(vectors[0].losses)):
            values = [vectors[place].losses[goal] for place in front]
            if len(vectors[0].losses) > 1 and min(values) < max(values):
                assert min(values) in [vectors[place].losses[goal] for place in ends]
                assert max(values) in [vectors[place].losses[goal] for place in ends]


def test_between_the_ends_of_a_front_the_lonely_come_first() -> None:
    front = [ObjectiveVector(0.0, each) for each in [(0.0, 9.0), (1.0, 8.0), (2.0, 7.0), (6.0, 3.0), (9.0, 0.0)]]
    assert best_first(front) == [0, 4, 3, 2, 1]


@given(losses=st.lists(few, max_size=9))
def test_with_one_goal_best_first_is_that_of_the_losses_and_equals_keep_theirs(losses: list[float]) -> None:
    vectors = [ObjectiveVector(0.0, (loss,)) for loss in losses]
    assert best_first(vectors) == sorted(range(len(losses)), key=losses.__getitem__)
    assert ranks(vectors) == [sorted(set(losses)).index(loss) for loss in losses]


@given(one=vectors(2), other=vectors(2))
def test_weak_domination_is_nowhere_worse(one: list[ObjectiveVector], other: list[ObjectiveVector]) -> None:
    for left, right in zip(one, other, strict=False):
        worse = left.violation > right.violation or any(a > b for a, b in zip(left.losses, right.losses, strict=True))
        assert left.weakly_dominates(right) != worse
        assert left.weakly_dominates(left)


def test_a_goal_turns_what_is_maximised() -> None:
    up, down = Goal("accuracy", maximize=True), Goal("size", maximize=False)
    assert (up.loss(0.25), down.loss(0.25), str(up), str(down)) == (-0.25, 0.25, "maximize accuracy", "minimize size")
    assert (up.better(2, 1), down.better(2, 1), up.better(1, 1), down.better(1, 1)) == (True, False, False, False)


@pytest.mark.parametrize(
    ("text", "kept", "just", "broken", "excess"),
    [
        ("parameters < 1e6", 999_999, 1e6, 2e6, 1.0),
        ("parameters<=1e6", 1e6, 1e6, 1.5e6, 0.5),
        ("accuracy >= 0.5", 0.5, 0.5, 0.25, 0.5),
        (" gain > -2 ", -1, -2, -3, 0.5),
        ("drift < 0", -0.1, 0.0, 3.0, 3.0),
    ],
)
def test_a_constraint_is_read_and_measured(text: str, kept: float, just: float, broken: float, excess: float) -> None:
    constraint = OutcomeConstraint.from_text(text)
    assert constraint.excess(kept) == 0
    assert (constraint.excess(just) == 0) == ("=" in text)
    assert constraint.excess(broken) == excess == constraint.beyond(broken)
    assert constraint.beyond(just) == pytest.approx(0)


@given(bound=st.floats(-1e300, 1e300), value=st.floats(-1e300, 1e300), sense=st.sampled_from(["<", "<=", ">", ">="]))
def test_a_constraint_reads_what_it_writes_and_breaks_as_python_compares(
    bound: float, value: float, sense: str
) -> None:
    constraint = OutcomeConstraint("m", sense, bound)
    assert OutcomeConstraint.from_text(str(constraint)) == constraint
    kept = {"<": value < bound, "<=": value <= bound, ">": value > bound, ">=": value >= bound}[sense]
    assert (constraint.excess(value) == 0) == kept == (constraint.beyond(value) <= 0)


@pytest.mark.parametrize("text", ["", "parameters < many", "a < b < 3", "< 3", "a == 3", "a < inf", 3, None])
def test_what_is_no_constraint_is_told(text: Any) -> None:
    with pytest.raises(SpecError, match=r"an outcome constraint must read like 'parameters < 1e6' .*, got"):
        OutcomeConstraint.from_text(text)


@given(data=st.data())
def test_the_front_is_what_no_other_trial_dominates(data: Any) -> None:
    goals = data.draw(st.integers(1, 3))
    names = [f"goal{place}" for place in range(goals)]
    study = StudyRecord(
        "s",
        Space(x=Float(0, 1)),
        tuple(Goal(name, maximize=place == 1) for place, name in enumerate(names)),
        1,
        0,
        "",
        "",
        outcome_constraints=(OutcomeConstraint("cost", "<=", 1.0),),
    )
    trials = data.draw(
        st.lists(st.tuples(st.tuples(*[few] * goals), few, st.sampled_from([Finished(), Pruned(""), Failed("")])))
    )
    history = History(study)
    for number, (values, cost, outcome) in enumerate(trials):
        metrics = {**dict(zip(names, values, strict=True)), "cost": cost}
        history = history.apply_all(
            [
                Proposed(0.0, number, Proposal({"x": 0.5}, 1), 0),
                Started(0.0, number, 1, "w"),
                Reported(0.0, number, Report(1, metrics, 0.0)),
                Ended(0.0, number, outcome),
            ]
        )
    candidates = [
        (vector, trial.number)
        for trial in history.trials
        if trial.state == "finished" and (vector := history.objectives(trial)) is not None and not vector.violation
    ]
    front = [
        number
        for vector, number in candidates
        if not any(dominates(other, vector) or (other == vector and older < number) for other, older in candidates)
    ]
    assert [trial.number for trial in history.front] == front
    assert (history.best.number if history.best else None) == min(candidates, default=(math.nan, None))[1]
    for trial in history.trials:
        assert history.objectives_at(trial, 1) == history.objectives(trial)
        assert history.objectives_at(trial, 2) is None


def test_a_trial_without_a_goal_s_metric_has_no_vector_and_one_without_a_constraint_s_keeps_it() -> None:
    goals = (Goal("loss", maximize=False), Goal("size", maximize=False))
    study = StudyRecord(
        "s", Space(x=Float(0, 1)), goals, 1, 0, "", "", outcome_constraints=(OutcomeConstraint.from_text("cost < 1"),)
    )
    history = History(study).apply_all([Proposed(0.0, 0, Proposal({"x": 0.5}, 1), 0), Started(0.0, 0, 1, "w")])
    silent = history.apply(Reported(0.0, 0, Report(1, {"loss": 1.0}, 0.0)))
    assert (silent.objectives(silent.trials[0]), silent.objectives_at(silent.trials[0], 1)) == (None, None)
    told = silent.apply(Reported(0.0, 0, Report(2, {"size": 2.0}, 0.0)))
    assert told.objectives(told.trials[0]) == ObjectiveVector(0.0, (1.0, 2.0))
    assert told.objectives_at(told.trials[0], 1) is None
    assert told.objectives_at(told.trials[0], 2) == ObjectiveVector(0.0, (1.0, 2.0))  # by the latest values
