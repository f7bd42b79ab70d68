"""Small mistakes and small wishes: names, durations, starts, steps, terminals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsearch import Choice, Float, Int, Session, Space, SpaceError, SpecError, Study, When, open_study
from archsearch.search.declaration import file_name
from archsearch.search.engine.setting_warnings import setting_warnings
from archsearch.spaces.argument_checks import duration_s

SPACE = Space(x=Float(0, 1), kernel=Choice((3, 3), (5, 5)))


def study(**settings: Any) -> Study:
    given = {"name": "s", "space": SPACE, "minimize": "loss", "trials": 3, "executor": "inline"}
    return Study(**{"objective": lambda trial: trial.config["x"], **given, **settings})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30", 5400), ("2m30", 150), ("1d12", 129_600), ("1h 30", 5400), ("1h30m", 5400), ("1d1h30", 91_800)],
)
def test_a_number_after_a_unit_counts_in_the_next_smaller_one(text: str, seconds: float) -> None:
    assert duration_s(text, "timeout") == seconds


@pytest.mark.parametrize("text", ["30", "1s30", "h30", "1h30x", "1h30.5"])
def test_other_numbers_without_a_unit_are_refused(text: str) -> None:
    with pytest.raises(SpecError, match="timeout "):
        duration_s(text, "timeout")


@pytest.mark.parametrize(
    ("name", "usable"),
    [
        ("lr/adam", "lr-adam"),
        ("My study: v2", "My study-v2"),
        ("a\nb", "a-b"),
        ("..", "digits-mlp"),
        ("con", "con-study"),
        ("v1.", "v1"),
        ("", "digits-mlp"),
        (None, "digits-mlp"),
        ("x" * 300, "x" * 200),
    ],
)
def test_a_name_that_is_no_file_name_is_refused_with_one_that_is(name: Any, usable: str) -> None:
    with pytest.raises(SpecError, match=f"must be usable as a file name.*; try '{usable}'"):
        study(name=name)
    assert file_name(usable) == usable


@pytest.mark.parametrize("name", ["digits-mlp", "größe 2", "v1.2", "-a", "a--b"])
def test_a_name_that_is_a_file_name_is_accepted(name: str) -> None:
    assert study(name=name).name == name


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (
            (1e-4, 1e-1),
            "write Float(0.0001, 0.1, log=True) for a range, Choice(0.0001, 0.1) for two values, or Choice((",
        ),
        ((1, 8), "write Int(1, 8) for a range, Choice(1, 8) for two values, or Choice((1, 8)) for the tuple itself"),
        ((1e-4, 1e-1, "log-uniform"), "write Float(0.0001, 0.1, log=True) for a range"),
        (("relu", "gelu"), "write Choice('relu', 'gelu'), or Choice(('relu', 'gelu')) for the tuple itself"),
        ([32, 64, 128], "write Choice(32, 64, 128), or"),
    ],
)
def test_a_tuple_in_place_of_a_domain_is_refused_with_the_domain_to_write(value: Any, meant: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Space(lr=value)
    assert meant in str(caught.value)
    if isinstance(value, tuple):
        with pytest.raises(SpaceError, match=r"in place of a domain; write "):
            When("a == 1", value)


def test_a_tuple_may_be_a_value() -> None:
    assert Space(kernel=Choice((3, 3))).sample(0) == {"kernel": (3, 3)}


def test_a_step_that_does_not_reach_the_bound_is_told() -> None:
    space = Space(a=Int(0, 10, step=4), b=Float(0, 1, step=0.3), c=Float(0, 1, step=0.1), d=Int(0, 8, step=4))
    assert setting_warnings(study(space=space, objective=lambda trial: 0.0), 3) == [
        "'a' never reaches 10: with step=4, its highest value is 8",
        "'b' never reaches 1.0: with step=0.3, its highest value is 0.9",
    ]


def test_the_best_config_as_json_is_a_start(tmp_path: Path, archsearch: Any) -> None:
    first = study().run(tmp_path / "s.db", quiet=True)
    printed = archsearch("best", "s.db", "--json")
    config = json.loads(printed.stdout)["config"]
    assert isinstance(config["kernel"], list)
    second = study(start=[config], trials=1).run(tmp_path / "t.db", quiet=True)
    assert second.trials[0].config == first.best_config


def test_numbers_of_numpy_and_arrays_with_one_element_are_accepted_by_a_session() -> None:
    with Session(SPACE, minimize="loss", strategy="random", budget=4, trials=2) as session:
        trial = session.ask()
        for step in np.arange(1, 5):
            session.report(trial, step, {"loss": np.array([[1 / step]]), "size": np.array([3])})
        session.tell(trial)
        session.tell(session.ask(), np.array([0.125]))
        assert [each.metrics for each in session.history.trials] == [{"loss": 0.25, "size": 3.0}, {"loss": 0.125}]


def test_a_narrow_terminal_encoding_loses_no_command(tmp_path: Path, archsearch: Any) -> None:
    space = Space({"λ": Float(0, 1)}, kind=Choice("→", "⋯"), more=When("kind == '→'", Int(1, 2)))
    study(name="größe", space=space, objective=lambda trial: trial.config["λ"]).run(tmp_path / "s.db", quiet=True)
    narrow = {"PYTHONIOENCODING": "ascii"}  # which is decoded here; cp1252 differs in some characters only
    for command in ("show", "best", "list"):
        done = archsearch(command, *(["s.db"] if command != "list" else []), env=narrow)
        assert (done.returncode, done.stderr) == (0, ""), command
    printed = archsearch("best", "s.db", "--json", env=narrow)
    assert json.loads(printed.stdout)["config"] == open_study(tmp_path / "s.db").best_config


def test_ray_gets_a_short_folder_if_its_sockets_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    from archsearch.search.executors.ray import _short_folder

    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    assert _short_folder() == {}
    monkeypatch.setattr("tempfile.tempdir", "/scratch/users/someone/job-1234567/tmp")
    assert _short_folder()["_temp_dir"].startswith("/tmp/archsearch-ray-")
