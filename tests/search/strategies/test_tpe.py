"""TPE: the contract, what enters Optuna, and that it searches as well as Optuna's own loop."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.samplers._tpe.sampler import _split_trials, default_gamma
from optuna.trial import TrialState

from archsearch import Choice, Float, Int, Space, SpecError, constraint
from archsearch.search.strategies._models.optuna_mirror import StudyMirror
from archsearch.search.strategies._shared.ranking import ranked
from archsearch.search.strategies.random import Random
from archsearch.search.strategies.tpe import TPE
from archsearch.search.testing.problems import VALLEY, best_losses, hypervolumes, sized, valley
from archsearch.search.testing.simulation import SPACES, simulate, simulated_history, study_of
from archsearch.search.testing.strategies import StrategyContract
from archsearch.studies.goals import ranks
from archsearch.studies.history import History
from archsearch.studies.records import (
    Ended,
    Event,
    Failed,
    Finished,
    Proposal,
    Proposed,
    Pruned,
    Report,
    Reported,
    Started,
    StudyRecord,
    Trial,
)


class TestTPE(StrategyContract):
    make = staticmethod(lambda: TPE(startup_trials=5))
    trials = 60


@pytest.mark.parametrize(
    "wrong", [{"startup_trials": 0}, {"startup_trials": 2.5}, {"candidates": True}, {"remembered": 249}]
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=f"TPE {min(wrong)} must be a whole number of at least (1|250), got"):
        TPE(**wrong)


def test_the_model_is_asked_once_enough_trials_have_a_value() -> None:
    asks = list(simulate(TPE(startup_trials=6), study_of(SPACES["mixed"]), trials=20, faults=True))[:-1]
    for ask in asks:
        valued = len(ask.history.in_state("finished", "pruned"))
        assert {p.proposer for p in ask.proposals} == {"tpe" if valued >= 6 else "random"}


def test_every_trial_stands_in_optuna_by_number_and_state() -> None:
    *_, ask, _ = simulate(TPE(), study_of(SPACES["conditional"]), trials=30, faults=True)
    known = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.PRUNED}
    trials = StudyMirror(ask.history).study.trials
    assert {ours.state for ours in ask.history.trials} > {"finished", "pruned", "failed"}
    for ours, theirs in zip(ask.history.trials, trials, strict=True):
        assert theirs.state == known.get(ours.state, TrialState.RUNNING)
        assert theirs.params.keys() == ours.config.keys()
        assert theirs.params["rate"] == SPACES["conditional"]["rate"].domain.to_unit(ours.config["rate"])
        if theirs.state is TrialState.COMPLETE:
            assert theirs.value == ask.history.value(ours)
        if ours.state == "failed":
            assert theirs.intermediate_values == {}  # which Optuna ranks last of all
        elif theirs.state is TrialState.PRUNED:
            assert theirs.intermediate_values == {ours.step: ask.history.value(ours)}


def test_fixed_parameters_never_reach_optuna() -> None:
    history = simulated_history(Random(), study_of(SPACES["mixed"]), trials=3)
    assert all("seedless" not in trial.params for trial in StudyMirror(history).study.trials)


@pytest.mark.parametrize(
    "domain",
    [
        Choice((3, 3), None, "a", True, 1.5),
        Choice(8, 2, 4, ordered=True),
        Float(0.1, 0.95, step=0.1),
        Float(1e-7, 3e-7, step=1e-8),
        Int(-3, 11, step=4),
        Int(1, 1000, log=True),
        Float(1e-5, 1e-1, log=True),
        Float(0.1, 0.3),
    ],
    ids=str,
)
@pytest.mark.parametrize("short", [0, 250])
def test_values_come_back_from_optuna_as_they_went(
    monkeypatch: pytest.MonkeyPatch, domain: Choice | Float | Int, short: int
) -> None:
    monkeypatch.setattr("archsearch.search.strategies._models.optuna_mirror._SHORT_HISTORY", short - 1)
    study = study_of(Space(x=domain))
    history = History(study)
    rng = np.random.default_rng(0)
    for number in range(40):
        history = history.apply(Proposed(0.0, number, Proposal(study.space.sample(rng), 1), 0))
    mirror = StudyMirror(history)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        for ours, theirs in zip(history.trials, list(mirror.study.trials), strict=True):
            mirror.study.enqueue_trial(theirs.params)
            trial = mirror.study.ask()
            assert mirror.config(trial) == ours.config


def test_a_history_that_is_no_continuation_is_refused() -> None:
    history = simulated_history(Random(), study_of(VALLEY, budget=1), valley, trials=4)
    mirror = StudyMirror(history)
    other = replace(history.trials[1], proposal=history.trials[2].proposal)
    assert mirror.follow(history)
    assert not mirror.follow(replace(history, trials=history.trials[:3]))
    assert not StudyMirror(history).follow(replace(history, trials=(history.trials[0], other, *history.trials[2:])))
    assert not StudyMirror(history).follow(replace(history, study=study_of(VALLEY, budget=1, maximize=True)))


def test_whole_numbers_are_such_in_a_short_history_and_places_in_a_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archsearch.search.strategies._models.optuna_mirror._SHORT_HISTORY", 12)
    asks = list(simulate(TPE(startup_trials=5), study_of(SPACES["mixed"]), trials=24))[:-1]
    kinds = set()
    for ask in asks:
        assert ask.replay(TPE(startup_trials=5)) == ask.proposals
        mirror = StudyMirror(ask.history)
        kinds |= {(ask.history.ended > 12, isinstance(trial.params["layers"], int)) for trial in mirror.study.trials}
    assert kinds == {(False, True), (True, False)}


@pytest.mark.parametrize("maximize", [False, True])
def test_of_many_trials_the_best_the_latest_and_all_open_ones_are_remembered(
    monkeypatch: pytest.MonkeyPatch, maximize: bool
) -> None:
    history = _drawn(400, study_of(VALLEY, budget=2, maximize=maximize))
    shown = _shown(monkeypatch, history, TPE(remembered=260))
    kept = [history.trials[trial.number] for trial in shown]
    ended = [trial for trial in kept if trial.state not in ("waiting", "running")]
    assert len(ended) == 260
    assert set(history.unfinished) <= {trial.number for trial in kept}
    ranked = sorted(history.in_state("finished"), key=lambda trial: (history.loss(trial), trial.number))
    best = {trial.number for trial in ranked[:25]}
    assert best <= {trial.number for trial in kept}
    others = [trial.number for trial in history.in_state("finished", "pruned", "failed") if trial.number not in best]
    assert others[-235:] == [trial.number for trial in ended if trial.number not in best]


def test_what_optuna_counts_as_good_is_not_thinned_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few trials finish here, so that pruned ones, too, are among the good ones, by how far they came."""
    history = _drawn(600, study_of(VALLEY, budget=9), finish=0.02)
    study = StudyMirror(history).study
    every = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING))
    shown = _shown(monkeypatch, history, TPE())
    assert len(shown) < 270 < len(every)
    # Private, but this is the rule that ours must not undercut; only a test leans on it.
    good, good_of_shown = (
        _split_trials(study, trials, default_gamma(sum(trial.state != TrialState.RUNNING for trial in trials)))[0]
        for trials in (every, shown)
    )
    assert len(good) == 25
    assert {trial.state for trial in good} == {TrialState.COMPLETE, TrialState.PRUNED}
    assert [trial.number for trial in good_of_shown] == [trial.number for trial in good]


def test_as_many_trials_as_it_remembers_are_all_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    history = _drawn(270, study_of(VALLEY, budget=2))
    assert [t.number for t in _shown(monkeypatch, history, TPE(remembered=history.ended))] == [*range(270)]
    assert len(_shown(monkeypatch, history, TPE(remembered=history.ended - 1))) == 269


def test_a_warm_instance_forgets_as_a_fresh_one() -> None:
    history, warm = _drawn(300, study_of(VALLEY, budget=2)), TPE()
    for number in (255, 256, 280, 300, 270):
        earlier = replace(history, trials=history.trials[:number], unfinished=_open(history.trials[:number]))
        answers = [s.ask(earlier, 2, np.random.default_rng(number)) for s in (warm, TPE())]
        assert answers[0] == answers[1]


@pytest.mark.parametrize("workers", [1, 5])
def test_no_config_is_proposed_twice_while_another_is_left(workers: int) -> None:
    study = study_of(
        Space(constraint("depth < 4"), depth=Int(1, 4), kind=Choice("a", "b", "c"), flag=Choice(True, False))
    )
    history = simulated_history(TPE(startup_trials=1), study, trials=25, workers=workers)
    # The first trials are random, and may repeat; from there each is new until none of the 18 is left.
    start = [repr(t.config) for t in history.trials if t.proposal.proposer == "random"]
    model = [repr(t.config) for t in history.trials if t.proposal.proposer == "tpe"]
    left = 18 - len(set(start))
    assert set(model[:left]).isdisjoint(start)
    assert len(set(model[:left])) == left
    assert len(model) > left  # it goes on


def test_nothing_is_said_and_nothing_stays_changed(capfd: pytest.CaptureFixture[str]) -> None:
    level, filters = logging.getLogger("optuna").level, list(warnings.filters)
    simulated_history(TPE(startup_trials=3), study_of(VALLEY, budget=1), valley, trials=6)
    assert capfd.readouterr() == ("", "")
    assert (logging.getLogger("optuna").level, list(warnings.filters)) == (level, filters)


def test_it_beats_random() -> None:
    # Margin: half of random's mean loss, and better on four seeds of five.
    tpe, random = (best_losses(s, trials=60, seeds=10) for s in (TPE(), Random()))
    assert np.mean(tpe) < 0.5 * np.mean(random)
    assert np.mean(np.less(tpe, random)) >= 0.8


def test_it_searches_as_well_as_optunas_own_loop() -> None:
    # Margin: the medians of ten studies differ by less than a quarter of what random leaves.
    ours = np.median(best_losses(TPE(), trials=60, seeds=10))
    theirs = np.median([_optunas_own(seed, trials=60) for seed in range(10)])
    random = np.median(best_losses(Random(), trials=60, seeds=10))
    assert abs(ours - theirs) < 0.25 * random


def _drawn(trials: int, study: StudyRecord, finish: float = 0.7) -> History:
    """A history of random configs: most finish, as `finish` says; of the rest most are pruned, some fail or run."""
    rng = np.random.default_rng(0)
    events: list[Event] = []
    for number in range(trials):
        config = study.space.sample(rng)
        events += [Proposed(0.0, number, Proposal(config, study.budget), 0), Started(0.0, number, 1, "w")]
        steps = int(rng.integers(1, 9))
        loss = study.goal.loss(valley(config) + 1 / steps)
        events.append(Reported(0.0, number, Report(steps, {"loss": loss}, 0.1)))
        ends = [Finished(), Pruned("behind"), Failed("NaN"), None]
        if (outcome := ends[rng.choice(4, p=[finish, 0.96 - finish, 0.02, 0.02])]) is not None:
            events.append(Ended(0.0, number, outcome))
    return History.from_events(study, events)


def _open(trials: tuple[Trial, ...]) -> tuple[int, ...]:
    return tuple(trial.number for trial in trials if trial.state in ("waiting", "running"))


def _shown(monkeypatch: pytest.MonkeyPatch, history: History, strategy: TPE) -> list[optuna.trial.FrozenTrial]:
    """The trials that a sampler sees at the first suggestion, the one that it is asked for apart."""
    seen: list[optuna.trial.FrozenTrial] = []

    class Spy(optuna.samplers.RandomSampler):
        def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            seen.extend(other for other in study.get_trials() if other.number != trial.number)

    with monkeypatch.context() as patched:
        patched.setattr(
            "archsearch.search.strategies._models.optuna_mirror.PriorWeightedTPE", lambda log_weights, **settings: Spy()
        )
        strategy.ask(history, 1, np.random.default_rng(0))
    return seen


def _optunas_own(seed: int, trials: int) -> float:
    def objective(trial: optuna.Trial) -> float:
        config = {
            "optimizer": trial.suggest_categorical("optimizer", ["sgd", "adam", "rmsprop"]),
            "rate": trial.suggest_float("rate", 1e-5, 1e-1, log=True),
            "layers": trial.suggest_int("layers", 1, 6),
            "dropout": trial.suggest_float("dropout", 0.0, 0.6),
            "units": 2 ** trial.suggest_int("units", 4, 8),
        }
        if config["optimizer"] == "sgd":
            config["momentum"] = trial.suggest_float("momentum", 0.0, 0.99)
        return valley(config)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
    optuna.logging.disable_default_handler()
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=trials)
    return study.best_value


def test_it_leaves_a_region_where_trials_fail() -> None:
    """Half of the space fails: 60 of 120 random trials do, and 90 of a TPE that does not see the failed ones."""
    failed = 0
    for seed in range(3):
        history, strategy = History(study_of(Space(x=Float(0, 1), y=Float(0, 1)))), TPE()
        for number in range(40):
            (proposal,) = strategy.ask(history, 1, np.random.default_rng([seed, number]))
            fails = proposal.config["x"] > 0.5
            report = Report(1, {"loss": abs(proposal.config["x"] - 0.3) + proposal.config["y"]}, 0.1)
            history = history.apply_all(
                [
                    Proposed(0.0, number, proposal, history.seq),
                    Started(0.0, number, 1, "w"),
                    *([] if fails else [Reported(0.0, number, report)]),
                    Ended(0.0, number, Failed("NaN") if fails else Finished()),
                ]
            )
            failed += fails
    assert failed <= 48  # margin: a fifth below random's 60


def test_where_hardly_anything_is_legal_the_nearest_config_to_the_suggestion_is_taken() -> None:
    """The valley's floor lies on the border of what is legal, so suggestions fall beside it again and again."""
    space = Space(constraint("x + y <= 0.25"), x=Float(0, 1), y=Float(0, 1))
    history = simulated_history(
        TPE(startup_trials=5), study_of(space), lambda config, step: -config["x"] - config["y"], trials=40
    )
    repaired = [trial for trial in history.trials if trial.proposal.state.get("repaired")]
    assert len(repaired) >= 3
    far = [t.config["x"] + t.config["y"] for t in history.trials[:5]]
    near = [t.config["x"] + t.config["y"] for t in repaired]
    assert sum(near) / len(near) > sum(far) / len(far)
    assert sum(near) / len(near) > 0.2


def _of_two_goals(trials: int, steps_of_pruned: tuple[int, ...] = (1, 3)) -> History:
    """Random configs: of each six three finish, one of them beyond the constraint, two are pruned and one fails."""
    study = study_of(VALLEY, budget=9, goals=["loss", "size"], outcome_constraints=["cost <= 1"])
    rng = np.random.default_rng(0)
    events: list[Event] = []
    for number in range(trials):
        kind, config = number % 6, study.space.sample(rng)
        events += [Proposed(0.0, number, Proposal(config, study.budget), 0), Started(0.0, number, 1, "w")]
        steps = steps_of_pruned[kind - 3] if kind in (3, 4) else 9
        metrics = {**sized(config), "cost": 1.0 + (kind == 2) * rng.random()}
        events += [Reported(0.0, number, Report(step, metrics, 0.1)) for step in range(1, steps + 1)]
        outcome = Failed("NaN") if kind == 5 else Pruned("behind") if kind in (3, 4) else Finished()
        events.append(Ended(0.0, number, outcome))
    return History.from_events(study, events)


def test_with_several_goals_optuna_ranks_as_we_say(monkeypatch: pytest.MonkeyPatch) -> None:
    history = _of_two_goals(120)
    shown = _shown(monkeypatch, history, TPE())
    study = StudyMirror(history).study
    assert {trial.state for trial in shown} == {TrialState.COMPLETE, TrialState.PRUNED}
    kept = [
        t.number for t in history.in_state("finished") if (p := history.objectives(t)) is not None and not p.violation
    ]
    fronts = ranks([point for number in kept if (point := history.objectives(history.trials[number])) is not None])
    best_first = [trial.number for trial in ranked(history, history.trials)]
    good: set[int] = set()
    for count in range(1, 120):
        added = {trial.number for trial in _split_trials(study, shown, count)[0]}
        assert len(added) == count
        if count <= len(kept):  # whole fronts, and of the next the part that dominates most
            worst = max(fronts[kept.index(number)] for number in added)
            assert {number for number, front in zip(kept, fronts, strict=True) if front < worst} < added <= {*kept}
        elif count <= 100:
            assert added == {*kept} | {*best_first[:count]}
        else:
            assert added - good <= {trial.number for trial in history.in_state("failed")}
        good = added
    states = [history.trials[number].state for number in best_first]
    assert states == sorted(states)  # finished, then pruned
    steps = [history.trials[number].step for number in best_first[60:]]
    assert steps == sorted(steps, reverse=True)


def test_of_many_trials_of_two_goals_the_best_and_the_latest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    history = _of_two_goals(420)
    shown = [trial.number for trial in _shown(monkeypatch, history, TPE())]
    best = [trial.number for trial in ranked(history, history.trials)][:25]
    others = [number for number in range(420) if number not in best]
    assert shown == sorted([*best, *others[-225:]])


def test_where_all_but_few_trials_are_pruned_it_learns_from_them() -> None:
    """As under ASHA: one trial has finished, and the others hold at a first rung."""
    learning, blind = [], []
    for seed in range(5):
        study = study_of(VALLEY, budget=9, seed=seed, goals=["loss", "size"])
        history = simulated_history(Random(), study, sized, trials=40)
        done, *others = history.trials
        held = [replace(t, state="pruned", outcome=Pruned("holds"), reports=t.reports[:1]) for t in others]
        silent = [replace(trial, state="failed", outcome=Failed("")) for trial in others]
        for found, trials in ((learning, held), (blind, silent)):
            asked = TPE(startup_trials=1).ask(replace(history, trials=(done, *trials)), 8, np.random.default_rng(seed))
            losses = [sized(proposal.config) for proposal in asked]
            found += [each["loss"] / 2 + each["size"] / 11 for each in losses]
    assert np.mean(learning) < 0.85 * np.mean(blind)


def test_it_finds_more_of_the_front_than_random() -> None:
    # Margin: half of what random leaves of the largest hypervolume, and better on each seed.
    ours, random = (hypervolumes(s, trials=60, seeds=5) for s in (TPE(), Random()))
    assert np.all(np.greater(ours, random))
    assert max(ours) - np.mean(ours) < (max(ours) - np.mean(random)) / 2
