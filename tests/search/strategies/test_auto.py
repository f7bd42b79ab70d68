"""Auto: the contract, whom it asks in which study, that it says why, and that it searches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from archsearch import Choice, Float, Int, Space
from archsearch.search.protocols import Strategy
from archsearch.search.strategies.auto import Auto
from archsearch.search.strategies.gp import GP
from archsearch.search.strategies.random import Random
from archsearch.search.testing.problems import best_losses, hypervolumes
from archsearch.search.testing.simulation import SPACES, bowl, bowls, simulate, simulated_history, study_of
from archsearch.search.testing.strategies import StrategyContract
from archsearch.studies.history import History
from archsearch.studies.records import Pruned, SessionStarted, Trial
from archsearch.studies.reports.cards import Table
from archsearch.studies.reports.panels import proposers
from archsearch.studies.stopping_criteria import StoppingCriteria

RANDOM = Random()
NUMBERS = Space({f"x{i}": Float(0.0, 1.0) for i in range(3)}, depth=Int(1, 8))
LETTERS = NUMBERS | Space(letter=Choice(*"abcd"))
WIDE = Space({f"y{i}": Float(0.0, 1.0) for i in range(50)})


class TestAuto(StrategyContract):
    make = staticmethod(Auto)
    trials = 16

    def test_another_seed_gives_other_proposals(self) -> None:
        """Of a trial at random: what the Gaussian process climbs to may be the same corner from any seed."""
        seeds = [simulate(Auto(), study_of(SPACES["mixed"], seed=seed), trials=1) for seed in (0, 9)]
        first, other = (next(asks).proposals for asks in seeds)
        assert first != other


def past(space: Space, trials: int, curve: Callable = bowl, strategy: Strategy = RANDOM) -> History:
    """A study of finished trials."""
    return simulated_history(strategy, study_of(space), curve, trials=trials)


def on(history: History, workers: int) -> History:
    return replace(history, session_started=SessionStarted(0.0, StoppingCriteria(), workers, "inline", "", 0))


def paused_as_pruned(history: History, every: int) -> History:
    def ended(trial: Trial) -> Trial:
        return replace(trial, state="pruned", outcome=Pruned("slow")) if trial.number % every else trial

    return replace(history, trials=tuple(map(ended, history.trials)))


def hash_of(item: tuple[str, object]) -> float:
    """Some number, which no other config shares."""
    return float(np.random.default_rng([*map(ord, repr(item))]).random())


def authors(history: History, n: int = 2) -> list[str]:
    """Who is asked, by number."""
    return [proposal.proposer for proposal in Auto().ask(history, n, np.random.default_rng(0))]


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (past(NUMBERS, 9), ["random", "random"]),
        (past(NUMBERS, 10), ["gp", "gp"]),
        (past(LETTERS, 30), ["gp", "gp"]),
        (past(SPACES["conditional"], 19), ["random", "bayes"]),
        (past(SPACES["conditional"], 30), ["bayes", "evolution"]),
        (past(SPACES["conditional"], 31), ["evolution", "bayes"]),
        (past(NUMBERS, 201), ["cmaes", "cmaes"]),
        (past(LETTERS, 201), ["evolution", "tpe"]),
        (past(SPACES["conditional"], 202), ["tpe", "evolution"]),
        (past(WIDE, 30), ["cmaes", "cmaes"]),
        (past(WIDE | LETTERS, 30), ["tpe", "evolution"]),
        (on(past(LETTERS, 20), workers=20), ["gp", "gp"]),
        (on(past(LETTERS, 20), workers=21), ["random", "random"]),
        (on(past(LETTERS, 60), workers=33), ["tpe", "evolution"]),
        (paused_as_pruned(past(LETTERS, 30), every=2), ["gp", "gp"]),
        (paused_as_pruned(past(LETTERS, 30), every=3), ["tpe", "evolution"]),
        (past(Space(depth=3), 3), ["random", "random"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else f"{len(value.trials)} of {len(value.study.space)}",
)
def test_who_is_asked_follows_from_the_study(history: History, expected: list[str]) -> None:
    assert authors(history) == expected


def by_a_model(history: History) -> list[Trial]:
    return [replace(t, proposal=replace(t.proposal, proposer="bayes", drawn_at_random=False)) for t in history.trials]


def test_chance_has_its_turn_while_the_last_trials_were_nothing_new() -> None:
    history = past(SPACES["conditional"], 20)
    chosen = by_a_model(history)
    assert sorted(authors(replace(history, trials=tuple(chosen)), 4)) == ["bayes", "bayes", "evolution", "evolution"]
    repeated = [*chosen[:17], *(replace(trial, reports=chosen[3].reports) for trial in chosen[17:])]
    turns = authors(replace(history, trials=tuple(repeated)), 6)
    assert sorted(turns) == ["bayes", "bayes", "evolution", "evolution", "random", "random"]
    news = (*repeated[:19], chosen[19])
    assert "random" not in authors(replace(history, trials=news), 4)
    # What chance drew is no news of the models: they still repeat.
    drawn = replace(
        chosen[19], number=20, proposal=replace(chosen[19].proposal, proposer="random", drawn_at_random=True)
    )
    assert "random" in authors(replace(history, trials=(*repeated, drawn)), 3)


def test_equal_values_alone_are_no_repeats() -> None:
    """An accuracy on few samples comes again and again, with other configs that went another way."""
    history = past(SPACES["conditional"], 20, curve=lambda config, step: 1.0 if step == 9 else bowl(config, step))
    assert {history.value(trial) for trial in history.trials} == {1.0}
    assert "random" not in authors(replace(history, trials=tuple(by_a_model(history))), 4)


def test_each_proposal_says_why() -> None:
    reasons: dict[str, set[str]] = {}
    for ask in simulate(Auto(), study_of(SPACES["conditional"]), trials=30, faults=True):
        for proposal in ask.proposals:
            reasons.setdefault(proposal.proposer, set()).add(proposal.reason)
    assert any("too few results" in why for why in reasons["random"])
    assert reasons["bayes"] | reasons["evolution"] == {
        "few trials, with conditions: Gaussian process, alternating with evolution"
    }


def test_the_report_tells_who_proposed_what_and_why() -> None:
    table = proposers.table(past(SPACES["conditional"], 12, strategy=Auto()))
    assert isinstance(table, Table)
    assert [row[:5] for row in table.rows] == [
        ("random", "too few results to fit a model yet: random search", 10, 0, 9),
        ("bayes", "few trials, with conditions: Gaussian process, alternating with evolution", 1, 10, 10),
        ("random", "few trials, with conditions: Gaussian process, alternating with evolution", 1, 11, 11),
    ]


def test_the_turns_of_one_ask_see_each_other() -> None:
    """Of a space with three configs left, three proposals take all three."""
    space = Space(a=Choice(*"abcd"), b=Choice(*"efgh"), c=Int(1, 2))
    history = paused_as_pruned(past(space, 29, lambda config, step: sum(map(hash_of, config.items()))), every=9)
    for seed in range(10):
        made = Auto().ask(history, 3, np.random.default_rng(seed))
        assert [proposal.proposer for proposal in made] == ["evolution", "tpe", "evolution"]
        assert len({repr(each.config) for each in (*history.trials, *made)}) == 32


def test_alone_it_answers_as_the_one_that_it_asks() -> None:
    history = past(NUMBERS, 15)
    (own,), (theirs,) = (strategy.ask(history, 1, np.random.default_rng(5)) for strategy in (Auto(), GP()))
    assert own == replace(theirs, reason="few trials and few parameters: Gaussian process")


def test_it_beats_random_where_a_parameter_is_conditional() -> None:
    found = best_losses(Auto(), trials=40, seeds=3)
    drawn = best_losses(Random(), trials=40, seeds=3)
    assert np.mean(found) < 0.5 * np.mean(drawn)


def test_with_several_goals_two_take_turns_that_search_for_the_front() -> None:
    history = simulated_history(Auto(), study_of(LETTERS, goals=["loss", "size"]), bowls, trials=24)
    proposals = [trial.proposal for trial in history.trials]
    assert [proposal.proposer for proposal in proposals] == ["random"] * 10 + ["tpe", "nsga2"] * 7
    assert {proposal.reason for proposal in proposals[10:]} == {"several goals: TPE, alternating with NSGA-II"}


def test_it_finds_more_of_the_front_than_random() -> None:
    # Margin: half of what random leaves of the largest hypervolume, and better on four seeds of five.
    ours, random = (hypervolumes(s, trials=80, seeds=5) for s in (Auto(), Random()))
    assert np.mean(np.greater(ours, random)) >= 0.8
    assert max(ours) - np.mean(ours) < (max(ours) - np.mean(random)) / 2
