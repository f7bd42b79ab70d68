"""The contract of a strategy as a class of tests. Subclass it and set `make`:

    class TestEvolution(StrategyContract):
        make = staticmethod(lambda: Evolution(population=4))

The class of the strategy must be importable by name, since one test runs it in a new process. Choose settings with
which its random phase ends within about ten trials; otherwise its model is not tested.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from archsearch.search.protocols import Strategy
from archsearch.search.testing.simulation import SPACES, RecordedAsk, bowl, bowls, simulate, simulated_history, study_of
from archsearch.spaces.constraints import constraint
from archsearch.spaces.domains import Choice, Float, Int
from archsearch.spaces.errors import SpaceError, SpecError
from archsearch.spaces.flattening import When
from archsearch.spaces.space import Config, Space
from archsearch.studies.history import History
from archsearch.studies.records import (
    Ended,
    Event,
    Failed,
    Finished,
    Metrics,
    Outcome,
    Proposal,
    Proposed,
    Pruned,
    Report,
    Reported,
    Started,
    StudyRecord,
)

_ASK = """
import base64, json, pickle, sys
import numpy as np
strategy, history, n, seed = pickle.loads(base64.b64decode(sys.stdin.read()))
proposals = strategy.ask(history, n, np.random.default_rng(seed))
print(json.dumps([[p.config, p.budget, p.proposer, p.reason, p.drawn_at_random, p.state] for p in proposals]))
"""

every_space = pytest.mark.parametrize("space", SPACES.values(), ids=list(SPACES))
every_aim = pytest.mark.parametrize("goals", [("loss", "size"), ("loss",)], ids=["two goals", "one goal"])


class StrategyContract:
    """Tests that every strategy must pass: legal proposals, determinism, no hidden state, faults and several goals.

    Use it to test a strategy of your own: subclass it in a test file of pytest, and set `make`.

    Attributes:
        make: A function without arguments that creates the strategy.
        trials: The number of trials of the longer simulated studies.
        ends: Set it to True if the strategy ends the study once all configurations were tried, as `Grid` does.
    """

    make: Callable[[], Strategy]
    trials: ClassVar[int] = 40
    ends: ClassVar[bool] = False

    @every_space
    def test_proposals_lie_in_the_space(self, space: Space) -> None:
        study = study_of(space)
        asks = list(simulate(self.make(), study, trials=18, faults=True))
        assert len(asks[-1].history.trials) == (min(18, space.size()) if self.ends else 18)
        for proposal in _proposals(asks):
            space.check(proposal.config)
            assert study.budget is not None
            assert proposal.budget is None or 1 <= proposal.budget <= study.budget

    def test_a_small_space_is_searched_without_repeats(self) -> None:
        space = Space(depth=Int(1, 3), flag=Choice(True, None), width=When("depth > 1", Choice(8, 16)))
        history = simulated_history(self.make(), study_of(space), trials=10, workers=3)
        assert len({repr(trial.config) for trial in history.trials}) == len(history.trials) == 10 == space.size()

    def test_the_state_of_a_proposal_is_json(self) -> None:
        for proposal in _proposals(list(simulate(self.make(), study_of(SPACES["mixed"]), trials=15))):
            assert json.loads(json.dumps(proposal.state)) == proposal.state

    def test_a_space_without_a_legal_config_raises(self) -> None:
        infeasible = Space(constraint("low > high"), low=Float(0.0, 1.0), high=Float(1.0, 2.0))
        with pytest.raises(SpaceError, match="low > high"):
            self.make().ask(History(study_of(infeasible)), 1, np.random.default_rng(0))

    @pytest.mark.parametrize("name", ["mixed", "conditional", "constrained"])
    def test_a_used_instance_proposes_the_same_as_a_new_one(self, name: str) -> None:
        asks = list(simulate(self.make(), study_of(SPACES[name]), trials=self.trials, faults=True))[:-1]
        states = {trial.state for ask in asks for trial in ask.history.trials}
        assert states >= {"waiting", "running", "pruned", "failed"}
        assert states & {"finished", "paused"}
        for ask in asks:
            assert ask.replay(self.make()) == ask.proposals, f"with {len(ask.history.trials)} trials"

    def test_an_instance_may_serve_two_studies(self) -> None:
        first, second = _last(self.make(), seed=1), _last(self.make(), seed=2)
        shared = self.make()
        for ask in (first, second, first):
            assert ask.replay(shared) == ask.proposals

    def test_an_earlier_history_gives_the_same_proposals_again(self) -> None:
        strategy = self.make()
        asks = list(simulate(strategy, study_of(SPACES["mixed"]), trials=24, faults=True))
        for ask in (asks[-2], asks[len(asks) // 2], asks[0]):
            assert ask.replay(strategy) == ask.proposals

    def test_another_seed_gives_other_proposals(self) -> None:
        # Several asks: two seeds may choose the same mutation of the best configuration by coincidence.
        asks = list(simulate(self.make(), study_of(SPACES["mixed"]), bowls, trials=16, faults=True))[:-1][::2]
        study = replace(asks[0].history.study, seed=9)
        others = [replace(ask, history=replace(ask.history, study=study), seed=(9, ask.seed[1])) for ask in asks]
        assert [other.replay(self.make()) for other in others] != [ask.proposals for ask in asks]

    @every_aim
    def test_several_goals_and_outcome_constraints_are_supported_or_refused(self, goals: tuple[str, ...]) -> None:
        study = study_of(SPACES["conditional"], goals=goals, outcome_constraints=["cost < 1"])
        if (refusal := _refusal(self.make(), study)) is not None:
            assert len(goals) > 1
            assert all(goal in refusal for goal in goals)
            return
        asks = list(simulate(self.make(), study, bowls, trials=min(self.trials, 26), faults=True))[:-1]
        for ask in asks:
            assert ask.replay(self.make()) == ask.proposals, f"with {len(ask.history.trials)} trials"
            for proposal in ask.proposals:
                study.space.check(proposal.config)

    @every_aim
    def test_a_new_process_proposes_the_same(self, goals: tuple[str, ...]) -> None:
        if _refusal(self.make(), study_of(SPACES["mixed"], goals=goals)) is not None:
            pytest.skip("the strategy supports a single goal")
        ask = replace(_last(self.make(), goals=goals), n=2)
        here = [[p.config, p.budget, p.proposer, p.reason, p.drawn_at_random, p.state] for p in ask.replay(self.make())]
        sent = base64.b64encode(pickle.dumps((self.make(), ask.history, ask.n, ask.seed)))
        # With another hash seed, so that a dependence on the order of a set is detected.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "77"}
        there = subprocess.run(
            [sys.executable, "-c", _ASK], input=sent, capture_output=True, env=environment, check=False, timeout=120
        )
        assert there.returncode == 0, there.stderr.decode()
        assert json.loads(there.stdout) == json.loads(json.dumps(here))

    @pytest.mark.parametrize("n", [1, 5])
    def test_n_proposals_are_returned(self, n: int) -> None:
        ask = _last(self.make())
        assert len(replace(ask, n=n).replay(self.make())) == n

    def test_an_empty_history(self) -> None:
        budget = 9 if self.make().needs_budget else None
        history = History(study_of(SPACES["conditional"], budget=budget))
        (proposal,) = self.make().ask(history, 1, np.random.default_rng(0))
        SPACES["conditional"].check(proposal.config)
        assert (proposal.budget is None) == (budget is None)

    def test_many_pending_trials(self) -> None:
        ask = _last(self.make())
        history = ask.history
        rng = np.random.default_rng(3)
        for number in range(len(history.trials), len(history.trials) + 12):
            proposal = Proposal(history.study.space.sample(rng), history.study.budget)
            history = history.apply(Proposed(0.0, number, proposal, history.seq))
        for proposal in replace(ask, history=history, n=2).replay(self.make()):
            history.study.space.check(proposal.config)

    def test_a_thousand_trials_of_history(self) -> None:
        study = study_of(SPACES["mixed"])
        rng = np.random.default_rng(0)
        events: list[Event] = []
        for number in range(1000):
            proposal = Proposal(study.space.sample(rng), study.budget, "test")
            events += [Proposed(0.0, number, proposal, 0), Started(0.0, number, 1, "worker")]
            steps = study.budget or 3
            ends: list[tuple[Outcome, int]] = [(Finished(), steps), (Pruned("halfway"), steps // 2), (Failed("no"), 0)]
            outcome, reached = ends[number % 7 % 3]
            for step in range(1, reached + 1):
                report = Report(step, {"loss": bowl(proposal.config, step)}, float(step))
                events.append(Reported(0.0, number, report))
            events.append(Ended(0.0, number, outcome))
        ask = RecordedAsk(History.from_events(study, events), 2, (0, 1000), [])
        proposals = ask.replay(self.make())
        assert len(proposals) == 2
        for proposal in proposals:
            study.space.check(proposal.config)
        assert ask.replay(self.make()) == proposals

    def test_a_study_whose_every_trial_failed(self) -> None:
        study = study_of(SPACES["mixed"])
        history, rng = History(study), np.random.default_rng(0)
        for number in range(25):
            history = history.apply_all(
                [
                    Proposed(0.0, number, Proposal(study.space.sample(rng), study.budget), history.seq),
                    Started(0.0, number, 1, "worker"),
                    Ended(0.0, number, Failed("no luck")),
                ]
            )
        (proposal,) = self.make().ask(history, 1, rng)
        study.space.check(proposal.config)

    def test_equal_values_are_supported(self) -> None:
        study = study_of(SPACES["mixed"])
        for ask in simulate(self.make(), study, lambda config, step: 1.0, trials=18):
            for proposal in ask.proposals:
                study.space.check(proposal.config)

    def test_a_metric_may_come_with_every_second_report_only(self) -> None:
        def sparse(config: Config, step: int) -> Metrics:
            return {"loss": bowl(config, step)} if step % 2 == 0 else {"other": 0.0}

        study = study_of(SPACES["mixed"], budget=10)
        asks = list(simulate(self.make(), study, sparse, trials=18))
        for ask in asks:
            assert ask.replay(self.make()) == ask.proposals, f"with {len(ask.history.trials)} trials"
        history = asks[-1].history
        assert history.best is not None
        for trial in history.in_state("paused"):
            assert history.loss(trial) is not None, "it waits, but nothing is known about it"

    @every_aim
    def test_maximising_mirrors_minimising(self, goals: tuple[str, ...]) -> None:
        studies = [study_of(SPACES["conditional"], goals=goals, maximize=maximize) for maximize in (False, True)]
        down, up = (list(simulate(self.make(), study, bowls, trials=18)) for study in studies)
        assert _proposals(up) == _proposals(down)

    def test_the_history_is_not_changed(self) -> None:
        history = _last(self.make()).history
        before = pickle.dumps(history)
        self.make().ask(history, 2, np.random.default_rng(0))
        assert pickle.dumps(history) == before

    def test_it_pickles(self) -> None:
        strategy = self.make()
        ask = _last(strategy)
        assert ask.replay(pickle.loads(pickle.dumps(strategy))) == ask.proposals

    def test_its_repr_names_its_settings_and_nothing_else(self) -> None:
        strategy = self.make()
        before = repr(strategy)
        _last(strategy)
        assert repr(strategy) == before
        assert before.startswith(type(strategy).__name__ + "(")


def _last(strategy: Strategy, seed: int = 0, goals: tuple[str, ...] = ("loss",)) -> RecordedAsk:
    """The last ask with proposals of a study that is long enough for a model to be used."""
    study = study_of(SPACES["mixed"], seed=seed, goals=goals)
    return list(simulate(strategy, study, bowls, trials=16, faults=True))[-2]


def _refusal(strategy: Strategy, study: StudyRecord) -> str | None:
    """Why the strategy does not support the study; None if it does."""
    try:
        strategy.check_study(study, 40)
    except SpecError as error:
        return str(error)
    return None


def _proposals(asks: list[RecordedAsk]) -> list[Proposal]:
    return [proposal for ask in asks for proposal in ask.proposals]
