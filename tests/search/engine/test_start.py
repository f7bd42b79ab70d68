"""What a study starts with: configurations of the spec, and the best ones of earlier studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from archsearch import Choice, Float, Int, Random, Space, SpecError, StoreError, Study, When, constraint, resume
from archsearch.studies.store import Store

SPACE = Space(
    rate=Float(1e-4, 1e-1, log=True),
    depth=Int(1, 9),
    optimizer=Choice("sgd", "adam"),
    momentum=When("optimizer == 'sgd'", Float(0.0, 0.9)),
)


def study(space: Space = SPACE, **given: Any) -> Study:
    settings = {"name": "s", "minimize": "loss", "strategy": Random(), "executor": "inline", "trials": 8, **given}
    return Study(space=space, objective=lambda trial: {"loss": abs(trial.config.get("depth", 5) - 4.0)}, **settings)


def test_a_start_that_breaks_a_constraint_is_told_what_is_near() -> None:
    space = Space(constraint("low < high"), low=Int(1, 9), high=Int(1, 9))
    with pytest.raises(SpecError, match=r"it breaks a constraint; a legal one nearby is \{'low': "):
        study(space, start=[{"low": 7, "high": 3}])


def test_what_start_leaves_out_stands_at_its_middle() -> None:
    config = study(start=[{"depth": 3, "optimizer": "adam"}]).record().start[0]
    assert config == {"rate": pytest.approx(10**-2.5), "depth": 3, "optimizer": "adam"}


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"depth": 3}, "must be a list of configs"),
        ([3], "must be a list of configs"),
        ([{3: "deep"}], "unknown parameter '3'"),
        ([{"deep": 3}], "unknown parameter 'deep'.*did you mean 'depth'"),
        ([{"depth": 30}], r"'depth' must lie in Int\("),
        ([{"optimizer": "lion"}], r"'optimizer' must lie in Choice\("),
        ([{"optimizer": "adam", "momentum": 0.5}], "'momentum' is not active there"),
    ],
)
def test_a_start_that_cannot_be_meant(start: Any, message: str) -> None:
    with pytest.raises(SpecError, match=f"(?s)Study start.*{message}"):
        study(start=start)


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    study(trials=12, seed=5).run(tmp_path / "earlier.db", quiet=True)
    return tmp_path / "earlier.db"


def test_an_earlier_study_warms_up_a_later_one(earlier: Path, tmp_path: Path) -> None:
    wider = Space(
        rate=Float(1e-4, 1e-1, log=True),
        depth=Int(3, 20),
        optimizer=Choice("sgd", "adam"),
        momentum=When("optimizer == 'sgd'", Float(0.0, 0.9)),
        width=Int(8, 64),
    )
    history = study(wider, start=[{"depth": 20}], warm_start=earlier).run(tmp_path / "later.db", quiet=True)
    with Store.open(earlier) as store:
        best = store.history()
    begun = [trial.config for trial in history.trials if trial.proposal.proposer == "start"]
    assert 3 <= len(begun) <= 6
    assert begun[0]["depth"] == 20
    assert best.best is not None
    assert begun[1] == {**best.best.config, "depth": max(3, best.best.config["depth"]), "width": 36}
    assert [trial.number for trial in history.trials if trial.proposal.proposer == "start"] == list(range(len(begun)))


def test_a_study_with_the_same_seed_draws_other_trials_than_the_one_that_warmed_it_up(
    earlier: Path, tmp_path: Path
) -> None:
    history = study(warm_start=earlier, trials=12, seed=5).run(tmp_path / "later.db", quiet=True)
    with Store.open(earlier) as store:
        known = [trial.config for trial in store.history().trials]
    assert not [trial.number for trial in history.trials[5:] if trial.config in known]


def test_equal_starts_are_one() -> None:
    assert len(study(start=[{"depth": 3}, {"depth": 3}]).record().start) == 1


def test_a_resume_does_not_need_the_earlier_store(earlier: Path, tmp_path: Path) -> None:
    later = tmp_path / "later.db"
    study(warm_start=[earlier], trials=2).run(later, quiet=True)
    earlier.unlink()
    history = resume(later, trials=9, quiet=True)
    assert [trial.proposal.proposer for trial in history.trials[:5]] == ["start"] * 5
    assert history.trials[8].proposal.proposer == "random"


def test_an_earlier_study_that_has_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no store at .*gone\.db"):
        study(warm_start=tmp_path / "gone.db").run(tmp_path / "later.db", quiet=True)
    study(Space(other=Int(1, 9))).run(tmp_path / "other.db", quiet=True)
    with pytest.raises(SpecError, match=r"other\.db has no parameter of this space"):
        study(warm_start=tmp_path / "other.db").run(tmp_path / "later.db", quiet=True)
    assert not (tmp_path / "later.db").exists()
    with pytest.raises(SpecError, match="warm_start must be the path of a store"):
        study(warm_start=3)
