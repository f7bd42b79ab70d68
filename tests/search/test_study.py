"""Studies as Python values: what they refuse, and running them from scripts and notebooks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archsearch
from archsearch import (
    MLP,
    Float,
    Int,
    Objective,
    Random,
    Recipe,
    Space,
    SpaceError,
    SpecError,
    StoreError,
    Study,
    Supervised,
    constraint,
    csv,
    diabetes,
    digits,
)
from archsearch.search.engine.driver import Driver
from archsearch.search.engine.source import Pickled, source_of
from archsearch.search.engine.spec import SpecFile
from archsearch.search.protocols import Pruner, Strategy
from archsearch.search.strategies import STRATEGIES
from archsearch.spaces.errors import ArgumentError
from archsearch.studies.stopping_criteria import StoppingCriteria
from archsearch.studies.store import Store

SPACE = Space(x=Float(0, 1), depth=Int(1, 4))


def study(**settings: Any) -> Study:
    given = {"name": "s", "space": SPACE, "minimize": "loss", "trials": 4, "executor": "inline", "strategy": Random()}
    return Study(**{"objective": lambda trial: {"loss": trial.config["x"]}, **given, **settings})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"minimize": None}, "needs a metric"),
        ({"maximize": "loss"}, "a metric twice in its goals: loss"),
        ({"minimize": ""}, "needs a metric"),
        ({"minimize": 3}, "needs a metric"),
        ({"trials": 2.5}, r"^trials must be a whole number of at least 1, got 2\.5"),
        ({"patience": "3"}, "^patience must be a whole number of at least 1, got '3'"),
        ({"timeout": "20"}, "^timeout has no unit, got '20'; write 20s for seconds"),
        ({"target": True}, "^target must be a finite number, got True"),
        ({"gpu_hours": 1.0}, "^gpu_hours has no effect, as the trials use no GPU"),
        ({"trials": None}, "neither trials= nor timeout="),
        ({"trials": None, "target": 1.0}, "might never end, as its target may not be reached"),
        ({"checkpoint_every": "5"}, "^checkpoint_every has no unit"),
        ({"strategy": Strategy()}, r"strategy must have a method `propose` or `ask`"),
        ({"strategy": Random}, r"strategy is the class Random; write Random\(\)"),
        ({"pruner": Pruner()}, "pruner must have a method `judge`"),
        ({"pruner": "Medain"}, r"unknown pruner 'Medain'; .*did you mean 'median'\?"),
        ({"retries": -1}, "retries must be a whole number of at least 0, got -1"),
        ({"workers": True}, "workers must be a whole number"),
        ({"gpus": -0.5}, "gpus must be a number of at least 0"),
        ({"pruner": "medium"}, r"unknown pruner 'medium'; .*did you mean 'median'\?"),
        ({"minimize": "seconds"}, "is reserved"),
        ({"objective": Supervised(digits(), MLP(1, 8)), "space": SPACE}, "its objective has its own; remove space="),
        ({"objective": Supervised(digits(), MLP(1, 8)), "space": None}, "pass one to Study, e.g. budget=20"),
    ],
)
def test_a_study_that_cannot_be_meant(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        study(**settings)


@pytest.mark.parametrize(
    ("data", "metric", "message"),
    [
        (digits(), "val_acuracy", r"unknown metric 'val_acuracy'; .*did you mean 'val_accuracy'\?"),
        (digits(), "acc", r"unknown metric 'acc'; .*did you mean 'val_accuracy'\?"),
        (digits(), "val_rmse", "unknown metric 'val_rmse'; known: train_loss, val_accuracy, val_loss"),
        (diabetes(), "val_accuracy", "unknown metric 'val_accuracy'; known: train_loss, val_loss, val_rmse"),
        (csv("no_such.csv", target="y", task="regression"), "val_accuracy", "unknown metric 'val_accuracy'"),
        (csv("no_such.csv", target="y"), "val_f", "unknown metric 'val_f'"),
        (digits(), "val_f1", r"is reported only where it is named; write Supervised\(..., metrics=\('val_f1',\)\)"),
    ],
)
def test_a_metric_that_supervised_does_not_have_is_refused_before_the_data_is_read(
    data: Any, metric: str, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        study(objective=Supervised(data, MLP(1, 8)), space=None, budget=1, minimize=metric)


def test_a_metric_of_either_task_may_be_meant_until_the_data_is_read() -> None:
    for metric in ("val_accuracy", "val_rmse", "train_loss"):
        study(objective=Supervised(csv("no_such.csv", target="y"), MLP(1, 8)), space=None, budget=1, minimize=metric)


def test_numbers_of_numpy_are_recorded_as_plain_ones(tmp_path: Path) -> None:
    made = study(trials=np.int64(2), seed=np.int32(3), budget=np.int64(4), timeout=np.float64(60))
    assert made.stopping == StoppingCriteria(trials=2, timeout_s=60.0)
    assert made.run(tmp_path / "s.db", quiet=True).counts() == {"finished": 2}
    with Store.open(tmp_path / "s.db") as store:
        assert store.history().session_started.stopping == made.stopping


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trials": 6.5}, r"^trials must be a whole number of at least 1, got 6\.5"),
        ({"trials": True}, "^trials must be a whole number"),
        ({"trials": 2}, "^trials must be at least 4: it is a total, and the study already has 4 trials; got 2"),
        ({"patience": "3"}, "^patience must be a whole number of at least 1, got '3'"),
        ({"timeout": "20"}, "^timeout has no unit, got '20'"),
        ({"timeout": {}}, "^timeout must be like"),
        ({"gpu_hours": 1}, "^gpu_hours has no effect, as the trials use no GPU"),
        ({"target": "0.5"}, "^target must be a finite number"),
        ({"workers": 1.5}, r"^workers must be a whole number of at least 1, got 1\.5"),
        ({"workers": 2}, "^workers must be 1 in the inline executor, got 2"),
        ({"executor": "Ray"}, r"unknown executor 'Ray'; .*did you mean 'ray'\?"),
        ({"executor": 3}, "unknown executor '3'"),
        ({"address": 123}, "^address must be 'HOST:PORT' or 'auto', got 123"),
    ],
)
def test_a_wrong_argument_of_resume_leaves_the_store_as_it_was(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    study().run(tmp_path / "s.db", quiet=True)
    with Store.open(tmp_path / "s.db") as store:
        before = list(store.events())
    with pytest.raises(SpecError, match=message):
        archsearch.resume(tmp_path / "s.db", quiet=True, **settings)
    with Store.open(tmp_path / "s.db") as store:
        assert list(store.events()) == before
    assert archsearch.resume(tmp_path / "s.db", trials=np.int64(5), quiet=True).counts() == {"finished": 5}


@pytest.mark.parametrize("call", [study().run, archsearch.resume, archsearch.open_study])
@pytest.mark.parametrize("wrong", [5, b"s.db", "", ["s.db"]])
def test_a_store_that_is_no_path_is_refused(call: Callable[[Any], Any], wrong: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        call(wrong)
    assert str(caught.value) == f"store must be the path of a file, got {wrong!r}"


class Noisy(Strategy):
    """One without a repr of its own but the base's, holding an object that has none."""

    def __init__(self, part: object = None, names: Any = ()) -> None:
        self.part = part or object()
        self.names = names
        self.cache: dict[int, Any] = {}

    def propose(self, history: Any, rng: Any) -> Any:
        return self.cache.setdefault(len(history.trials), history.study.space.sample(rng))


def test_no_address_reaches_the_store(tmp_path: Path) -> None:
    study(strategy=Noisy()).run(tmp_path / "s.db", quiet=True)
    with Store.open(tmp_path / "s.db") as store:
        assert store.study.strategy == "Noisy(part=object, names=())"


def test_the_repr_of_ones_own_strategy_is_that_of_its_settings(tmp_path: Path) -> None:
    """A cache changes while the study runs, and the order of a set from process to process."""
    declared = study(strategy=Noisy(names={"b", "a", "c"}))
    assert repr(declared.strategy) == f"Noisy(part={declared.strategy.part!r}, names=set(['a', 'b', 'c']))"
    declared.run(tmp_path / "s.db", quiet=True)
    assert declared.run(tmp_path / "s.db", quiet=True, resume=True).counts() == {"finished": 4}


def test_run_and_resume_from_python(tmp_path: Path) -> None:
    history = study().run(tmp_path / "s.db", quiet=True)
    assert history.counts() == {"finished": 4}
    with pytest.raises(StoreError, match="already exists"):
        study().run(tmp_path / "s.db", quiet=True)
    again = archsearch.resume(tmp_path / "s.db", trials=6, quiet=True)
    assert again.counts() == {"finished": 6}
    assert again.trials[:4] == history.trials
    whole = study(trials=6).run(tmp_path / "t.db", quiet=True)
    assert [trial.config for trial in whole.trials] == [trial.config for trial in again.trials]


def test_a_study_without_a_file_travels_by_value() -> None:
    offset = 3.0
    made = study(objective=lambda trial: {"loss": offset})
    source = source_of(made)
    assert isinstance(source, Pickled)
    assert source.objective()(None) == {"loss": 3.0}


def test_what_cannot_travel_is_told(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as handle, pytest.raises(SpecError, match="cannot be sent to workers"):
        source_of(study(objective=lambda trial: {"loss": handle.fileno()}))


SCRIPT = """
from archsearch import Float, Random, Space, Study

def loss(trial):
    return {"loss": shifted(trial.config["x"])}

def shifted(x):  # a sibling, found only when the whole file is executed
    return x + 1

study = Study(name="script", space=Space(x=Float(0, 1)), objective=loss, minimize="loss", strategy=Random(), trials=3,
              executor="inline")

if __name__ == "__main__":
    study.run()
"""


def test_a_spec_file_is_a_script_too(tmp_path: Path, command_env: dict[str, str]) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    run = [sys.executable, "script.py"]
    done = subprocess.run(run, cwd=tmp_path, env=command_env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with Store.open(tmp_path / "script.db") as store:
        assert store.meta["source"]["kind"] == "file"
        assert store.meta["source"]["text"] == SCRIPT
    assert archsearch.resume(tmp_path / "script.db", trials=4, quiet=True).counts() == {"finished": 4}


def test_an_unguarded_script_is_told_at_once(tmp_path: Path, command_env: dict[str, str]) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.replace('if __name__ == "__main__":\n    study', "study"))
    run = [sys.executable, "script.py"]
    done = subprocess.run(run, cwd=tmp_path, env=command_env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "put it under if __name__ == '__main__':" in done.stderr
    assert not (tmp_path / "script.db").exists()


def test_a_resume_takes_the_spec_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    spec = SpecFile.from_path(path)
    path.write_text("changed beyond recognition")
    assert spec.load().name == "script"


def test_a_resume_has_the_functions_of_the_space(tmp_path: Path) -> None:
    space = Space(constraint(lambda config: config["x"] < config["depth"] / 4), x=Float(0, 1), depth=Int(1, 4))
    study(space=space).run(tmp_path / "s.db", quiet=True)
    history = archsearch.resume(tmp_path / "s.db", trials=12, quiet=True)
    assert history.counts() == {"finished": 12}
    assert all(trial.config["x"] < trial.config["depth"] / 4 for trial in history.trials)  # type: ignore[operator]
    with Store.open(tmp_path / "s.db") as store:
        assert not store.study.space.serializable


def test_a_resume_with_another_space_names_each_change(tmp_path: Path) -> None:
    study().run(tmp_path / "s.db", quiet=True)
    other = study(space=Space(constraint("x < depth"), x=Float(0, 2), depth=Int(1, 4)))
    with pytest.raises(StoreError) as caught:
        Driver.from_study(other, tmp_path / "s.db").resume()
    assert str(caught.value).splitlines()[0].endswith("s.db: the spec now declares another space; start a new study:")
    assert str(caught.value).splitlines()[1:] == [
        "  changed x: Float(low=0.0, high=1.0, log=False, step=None) → Float(low=0.0, high=2.0, log=False, step=None)",
        "  added x < depth: a constraint",
    ]


def test_the_store_says_where_the_study_comes_from(tmp_path: Path) -> None:
    study().run(tmp_path / "s.db", quiet=True)
    with Store.open(tmp_path / "s.db") as store:
        meta = store.meta
    assert {"format", "study", "source", "overrides", "versions", "hardware", "commit"} == meta.keys()
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", meta["versions"]["optuna"])
    assert meta["study"]["space"] == json.loads(json.dumps(SPACE.to_json()))


def test_the_name_tables_make_what_they_name() -> None:
    for name in STRATEGIES:
        assert study(strategy=name, budget=9).strategy.ask is not None


class Measured(Objective):
    """An objective whose data has a fingerprint, which is the text of a file."""

    space = SPACE

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, trial: Any) -> dict[str, float]:
        return {"loss": trial.config["x"]}

    def prepare(self) -> str:
        return self.path.read_text()

    def fingerprint_of(self, shared: str) -> str | None:
        return shared or None


@pytest.fixture
def measured(tmp_path: Path) -> Study:
    (tmp_path / "data").write_text("0123456789abcdef")
    return study(objective=Measured(tmp_path / "data"), space=None)


def test_the_store_keeps_the_fingerprint_of_the_data_and_the_same_data_go_on(measured: Study, tmp_path: Path) -> None:
    measured.run(tmp_path / "s.db", quiet=True)
    with Store.open(tmp_path / "s.db") as store:
        assert store.meta["data"] == "0123456789abcdef"
    assert archsearch.resume(tmp_path / "s.db", trials=6, quiet=True).counts() == {"finished": 6}


def test_a_resume_on_other_data_is_refused_and_changes_nothing(measured: Study, tmp_path: Path) -> None:
    before = measured.run(tmp_path / "s.db", quiet=True)
    (tmp_path / "data").write_text("fedcba9876543210")
    with pytest.raises(StoreError) as caught:
        archsearch.resume(tmp_path / "s.db", trials=6, quiet=True)
    assert str(caught.value) == (
        f"{tmp_path / 's.db'}: its trials were trained on data with fingerprint 0123456789abcdef, but the spec now "
        "reads different data, fedcba9876543210; restore the former data, or start a new study in another store"
    )
    with Store.open(tmp_path / "s.db") as store:
        assert store.history().trials == before.trials
        assert store.meta["data"] == "0123456789abcdef"
    assert archsearch.resume(tmp_path / "s.db", quiet=True).trials == before.trials  # nothing to do, so nothing is read


def test_a_store_without_a_fingerprint_goes_on_without(measured: Study, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    measured.run(tmp_path / "s.db", quiet=True)
    for text in ("0123456789abcdef", "fedcba9876543210"):  # which data its first trials saw is not known
        (tmp_path / "data").write_text(text)
        with Store.open(tmp_path / "s.db") as store:
            assert "data" not in store.meta
            begun = len(store.history().trials)
        assert len(archsearch.resume(tmp_path / "s.db", trials=begun + 1, quiet=True).trials) == begun + 1


def test_supervised_refuses_a_changed_file(tmp_path: Path) -> None:
    rows = [f"{row},{row % 7},{'ab'[row % 2]}" for row in range(60)]
    (tmp_path / "data.csv").write_text("\n".join(["x,z,y", *rows]))
    objective = Supervised(csv(tmp_path / "data.csv", target="y"), MLP(1, Int(4, 8)), Recipe(batch_size=16))
    made = study(objective=objective, space=None, minimize="val_loss", budget=1, trials=1)
    made.run(tmp_path / "s.db", quiet=True)
    (tmp_path / "data.csv").write_text("\n".join(["x,z,y", *rows[:-1], "59,4,b"]))
    with pytest.raises(
        StoreError, match=r"fingerprint [0-9a-f]{16}, but the spec now reads different data, [0-9a-f]{16};"
    ):
        archsearch.resume(tmp_path / "s.db", trials=2, quiet=True)
    (tmp_path / "data.csv").write_text("\n".join(["x,z,y", *rows]))
    assert archsearch.resume(tmp_path / "s.db", trials=2, quiet=True).counts() == {"finished": 2}


def test_data_of_a_function_objective_is_loaded_once_and_shared(tmp_path: Path) -> None:
    loads = []

    def load() -> dict[str, int]:
        loads.append(1)
        return {"offset": 100}

    history = study(objective=lambda trial: {"loss": trial.config["x"] + trial.shared["offset"]}, shared=load).run(
        tmp_path / "s.db", quiet=True
    )
    assert [history.value(trial) - trial.config["x"] for trial in history.trials] == pytest.approx([100] * 4)
    assert len(loads) == 1
    archsearch.resume(tmp_path / "s.db", trials=5, quiet=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shared": [1, 2]}, r"shared must be a function that returns the data, got \[1, 2\]; write shared=load"),
        (
            {"objective": Supervised(digits(), MLP(1, 8)), "space": None, "budget": 1, "shared": dict},
            "loads its own data",
        ),
    ],
)
def test_shared_data_that_cannot_be_meant(settings: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        study(**settings)


def test_shared_data_that_cannot_be_loaded_leaves_no_store_behind(tmp_path: Path) -> None:
    def load() -> None:
        raise FileNotFoundError("inputs.npy")

    with pytest.raises(SpecError, match=r"Study shared=.*load.* failed: FileNotFoundError: inputs.npy; fix it"):
        study(shared=load).run(tmp_path / "s.db", quiet=True)
    assert list(tmp_path.glob("*.db")) == []


def test_a_study_constrains_the_space_that_its_objective_carries(tmp_path: Path) -> None:
    objective = Supervised(digits(), MLP(2, Int(4, 64)), Recipe())
    shrinking = [constraint("units_1 >= 4 * units_2")]
    declared = study(objective=objective, space=None, minimize="val_loss", budget=1, constraints=shrinking, trials=3)
    history = declared.run(tmp_path / "s.db", quiet=True)
    assert all(trial.config["units_1"] >= 4 * trial.config["units_2"] for trial in history.trials)
    more = archsearch.resume(tmp_path / "s.db", trials=4, quiet=True)
    assert more.study.space.constraints == tuple(shrinking)
    again = study(space=SPACE, constraints=[constraint("x < 0.5")])
    assert replace(again, timeout=None, seed=1).space == again.space


@pytest.mark.parametrize("wrong", ["x < 0.5", ["x < 0.5"], [constraint("z < 0.5")]])
def test_constraints_that_cannot_be_meant(wrong: Any) -> None:
    with pytest.raises((SpecError, SpaceError), match=r"write|unknown parameter 'z'"):
        study(constraints=wrong)
