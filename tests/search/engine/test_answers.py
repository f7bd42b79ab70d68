"""What strategies and pruners of one's own may answer, and what is made of it before it is recorded."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsearch import (
    Choice,
    Continue,
    ExecutionError,
    Extension,
    Float,
    Int,
    Proposal,
    Pruner,
    Random,
    Space,
    Stop,
    Strategy,
    Study,
    When,
    resume,
)
from archsearch.studies.codec import decode, encode
from archsearch.studies.history import History

SPACE = Space(
    lr=Float(1e-4, 1e-1, log=True),
    depth=Int(1, 3),
    kernel=Choice((3, 3), (5, 5)),
    activation=Choice("relu", "tanh"),
    classes=10,
    optimizer=Choice("sgd", "adam"),
    momentum=When("optimizer == 'sgd'", Float(0.9, 0.9)),
    beta=When("optimizer == 'adam'", Float(0.5, 0.99)),
)
FREE = {"lr": 0.01, "depth": 2, "kernel": (3, 3), "activation": "relu", "optimizer": "sgd"}
WHOLE = {**FREE, "classes": 10, "momentum": 0.9}


class Proposes(Strategy):
    """Proposes by `propose`."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def propose(self, history: History, rng: np.random.Generator) -> Any:
        return self._make()


class Asks(Strategy):
    """Proposes by `ask`."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def ask(self, history: History, n: int, rng: np.random.Generator) -> Any:
        made = self._make()
        return [Proposal(made) if isinstance(made, dict) else made]


def loss(trial: Any) -> Any:
    for _ in range(trial.budget or 1):
        yield {"loss": trial.config["lr"]}


def shown(values: Any) -> str:
    """The values with their types, in the order of the space."""
    return repr({name: values[name] for name in SPACE if name in values})


@pytest.mark.parametrize("kind", [Proposes, Asks])
def test_values_of_numpy_are_recorded_as_plain_values(session: Any, kind: Any) -> None:
    session.record = replace(session.record, space=SPACE)
    proposal = Proposal(
        {
            "lr": np.float32(0.015625),
            "depth": np.int64(2),
            "kernel": (np.int64(3), np.int32(3)),
            "activation": np.str_("relu"),
            "classes": np.int64(10),
            "optimizer": np.str_("sgd"),
            "momentum": np.float64(0.9),
        },
        budget=np.int64(2),  # type: ignore[arg-type]  # as people compute it
        reason=np.str_("a hunch"),
        drawn_at_random=np.bool_(True),  # type: ignore[arg-type]
        state={"scores": (np.float32(0.5), np.int64(3))},
    )
    session.run(loss, trials=1, strategy=kind(lambda: proposal))
    (trial,) = session.history.trials
    assert shown(trial.config) == shown({**WHOLE, "lr": 0.015625})
    assert repr(trial.proposal.state) == "{'scores': [0.5, 3]}"
    assert repr(trial.proposal).count("np.") == 0
    assert (trial.proposal.budget, trial.step) == (2, 2)
    stored = [decode(row[0], row[1] or 0, *row[2:]) for row in map(encode, session.events)]
    assert repr(stored) == repr(session.events)  # a resumed study sees the same


def test_a_proposal_of_numpy_s_values_counts_as_tried(session: Any) -> None:
    session.record = replace(session.record, space=Space(depth=Int(1, 3), kind=Choice("a", "b")))
    strategy = Proposes(lambda: {"depth": np.int64(2), "kind": np.str_("a")})
    history = session.run(lambda trial: 1.0, trials=6, strategy=strategy)
    assert len({repr(trial.config) for trial in history.trials}) == 6


@pytest.mark.parametrize("kind", [Proposes, Asks])
def test_constants_and_other_parameters_of_one_value_are_filled_in(session: Any, kind: Any) -> None:
    session.record = replace(session.record, space=SPACE)
    history = session.run(loss, trials=1, strategy=kind(lambda: FREE))
    assert shown(history.trials[0].config) == shown(WHOLE)


ADVICE = r"; start from space\.sample\(rng\) or mutate\(space, config, rng\), and clip numbers"


@pytest.mark.parametrize("kind", [Proposes, Asks])
@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (
            {**FREE, "lr": 0.2},
            r"parameter 'lr' is 0\.2, which is not in Float\(low=0\.0001, high=0\.1, log=True, step=None\)" + ADVICE,
        ),
        ({**FREE, "classes": 11}, r"parameter 'classes' is 11, which is not in" + ".*" + ADVICE),
        ({**FREE, "optimizer": "adam"}, r"parameter 'beta' is missing; add a value of Float" + ".*" + ADVICE),
        ({**FREE, "dept": 2}, r"unknown parameter 'dept'; known: .*; did you mean 'depth'\?" + ADVICE),
    ],
)
def test_a_configuration_that_is_not_in_the_space_is_told_with_the_remedy(
    session: Any, kind: Any, config: Any, problem: str
) -> None:
    session.record = replace(session.record, space=SPACE)
    with pytest.raises(ExecutionError, match="it proposed a configuration that is not in the space: " + problem):
        session.run(loss, trials=2, strategy=kind(lambda: config))
    assert session.history.session_ended is not None


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("budget", 10, "Proposal.budget must be at most 3, the study's budget, got 10"),
        ("budget", 0, "Proposal.budget must be a whole number of at least 1, got 0"),
        ("budget", 1.5, "Proposal.budget must be a whole number of at least 1, got 1.5"),
        ("budget", True, "Proposal.budget must be a whole number of at least 1, got True"),
        ("reason", 3, "Proposal.reason must be a text, got 3"),
        ("reason", None, "Proposal.reason must be a text, got None"),
        ("proposer", b"me", "Proposal.proposer must be a text, got b'me'"),
        ("drawn_at_random", "no", "Proposal.drawn_at_random must be True or False, got 'no'"),
        ("state", [1], "Proposal.state must be a dict, got [1]"),
        ("state", {"rng": {1}}, "Proposal.state must be JSON data: set is not JSON serializable"),
    ],
)
def test_the_fields_of_a_proposal_are_checked(session: Any, field: str, value: Any, problem: str) -> None:
    session.record = replace(session.record, space=SPACE)
    strategy = Asks(lambda: replace(Proposal(WHOLE), **{field: value}))
    with pytest.raises(ExecutionError, match=re.escape(f"failed: {problem}")):
        session.run(loss, trials=2, strategy=strategy)
    assert session.history.trials == ()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "ask must return a list of Proposal objects, got None"),
        (Proposal(WHOLE), "ask must return a list of Proposal objects, got Proposal("),
        ([WHOLE], "ask must return a list of Proposal objects, got {"),
    ],
)
def test_an_answer_to_ask_that_is_no_list_of_proposals(session: Any, answer: Any, problem: str) -> None:
    class Answers(Strategy):
        def ask(self, history: History, n: int, rng: np.random.Generator) -> Any:
            return answer

    with pytest.raises(ExecutionError, match=re.escape(problem)):
        session.run(loss, trials=2, strategy=Answers())


def test_propose_may_not_return_anything_else(session: Any) -> None:
    with pytest.raises(
        ExecutionError, match=r"propose must return a config \(a dict\), a Proposal or None, got \[1, 2\]"
    ):
        session.run(loss, trials=2, strategy=Proposes(lambda: [1, 2]))


class Extends(Strategy):
    """Pauses each trial at step 1, and answers `promote` with what it was given."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        return [replace(proposal, budget=1) for proposal in Random().ask(history, n, rng)]

    def promote(self, history: History, n: int) -> Any:
        return self._answer if history.in_state("paused") else []


def test_an_extension_in_numpy_s_values_is_recorded_in_plain_ones(session: Any) -> None:
    answer = [Extension(np.int64(0), np.int64(3), np.str_("good"), {"score": np.float32(0.5)})]  # type: ignore[arg-type]
    session.run(trials=1, strategy=Extends(answer))
    assert [trial.step for trial in session.history.trials] == [3]
    assert "np." not in repr(session.events)
    stored = [decode(row[0], row[1] or 0, *row[2:]) for row in map(encode, session.events)]
    assert repr(stored) == repr(session.events)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "promote must return a list of Extension objects, got None"),
        ([0], "promote must return a list of Extension objects, got 0 in it"),
        ([Extension("0", 3)], "Extension.trial must be a whole number of at least 0, got '0'"),  # type: ignore[arg-type]
        ([Extension(7, 3)], "must name a paused trial; these are [0]"),
        ([Extension(0, 1)], "Extension.budget must be a whole number of at least 2, got 1"),
        ([Extension(0, 2.5)], "Extension.budget must be a whole number of at least 2, got 2.5"),  # type: ignore[arg-type]
        ([Extension(0, 4)], "Extension.budget must be at most 3, the study's budget, got 4"),
        ([Extension(0, 3, reason=5)], "Extension.reason must be a text, got 5"),  # type: ignore[arg-type]
        ([Extension(0, 3, state={"at": {2}})], "Extension.state must be JSON data: set is not JSON serializable"),
    ],
)
def test_the_answer_to_promote_is_checked(session: Any, answer: Any, problem: str) -> None:
    with pytest.raises(ExecutionError, match=re.escape(problem)):
        session.run(trials=2, strategy=Extends(answer))
    assert session.history.session_ended is not None


class Answers(Pruner):
    """Answers `judge` with what it was given."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def judge(self, trial: Any, history: History) -> Any:
        return self._answer


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (True, "True"),
        (False, "False"),
        (None, "None"),
        (Stop, "<class 'archsearch.search.protocols.pruner.Stop'>"),
        (Continue, "<class 'archsearch.search.protocols.pruner.Continue'>"),
        ("stop", "'stop'"),
    ],
)
def test_a_pruner_must_answer_continue_or_stop(session: Any, answer: Any, got: str) -> None:
    message = f"the pruner Answers() must return Continue() or Stop(reason) from judge, got {got}"
    with pytest.raises(ExecutionError) as raised:
        session.run(trials=3, pruner=Answers(answer))
    assert str(raised.value) == message
    assert session.history.session_ended is not None
    assert session.history.session_ended.reason == message
    assert session.run(trials=3).counts() == {"finished": 3}


@pytest.mark.parametrize("reason", [None, 3, ("too", "bad")])
def test_the_reason_of_a_stop_is_a_text(session: Any, reason: Any) -> None:
    with pytest.raises(ExecutionError, match=re.escape("with a text as reason, got Stop(reason=")):
        session.run(trials=3, pruner=Answers(Stop(reason)))


class Halver(Random):
    """Misspells a property of the history, where it chooses among paused trials."""

    def promote(self, history: History, n: int) -> list[Extension]:
        if len(history.trials) == 2:
            history.bset  # type: ignore[attr-defined]  # noqa: B018
        return []


LINE = Halver.promote.__code__.co_firstlineno + 2
ERROR = "AttributeError: 'History' object has no attribute 'bset'"


def test_an_error_of_a_strategy_is_told_with_its_place(session: Any) -> None:
    with pytest.raises(ExecutionError) as raised:
        session.run(trials=3, strategy=Halver())
    assert str(raised.value) == f"the strategy Halver() failed: {ERROR} (test_answers.py, line {LINE})"


def test_also_when_only_the_strategy_knows_whether_a_study_goes_on(tmp_path: Path) -> None:
    declared = Study(
        name="done", space=SPACE, objective=loss, minimize="loss", trials=2, executor="inline", strategy=Late(tmp_path)
    )
    declared.run(tmp_path / "s.db", quiet=True)
    (tmp_path / "late").touch()
    with pytest.raises(
        ExecutionError, match=r"the strategy Late\(.*\) failed: ValueError: late \(test_answers.py, line"
    ):
        resume(tmp_path / "s.db", quiet=True)


class Late(Strategy):
    """Fails when the study is done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def propose(self, history: History, rng: np.random.Generator) -> Any:
        return history.study.space.sample(rng)

    def promote(self, history: History, n: int) -> list[Extension]:
        if (self.folder / "late").exists():
            raise ValueError("late")
        return []
