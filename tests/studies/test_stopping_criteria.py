"""What ends a study, as one value. How the engine keeps to it: tests/search/engine/test_stopping.py."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from archsearch.spaces.errors import ArgumentError
from archsearch.studies.stopping_criteria import LIMITS, StoppingCriteria


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trials": 2.5}, r"trials must be a whole number of at least 1, got 2\.5"),
        ({"trials": True}, "trials must be a whole number of at least 1, got True"),
        ({"trials": 0}, "trials must be a whole number of at least 1, got 0"),
        ({"patience": "3"}, "patience must be a whole number of at least 1, got '3'"),
        ({"timeout": "20"}, "timeout has no unit, got '20'; write 20s for seconds or 20m for minutes"),
        ({"timeout": "soon"}, "timeout must be like 90s, 20m or 1h30m, got 'soon'"),
        ({"timeout": [20]}, r"timeout must be like .*, or seconds as a number, got \[20\]"),
        ({"gpu_hours": -1}, "gpu_hours must be a finite number above 0, got -1"),
        ({"target": float("nan")}, "target must be a finite number, got nan"),
        ({"target": "0.9"}, "target must be a finite number, got '0.9'"),
    ],
)
def test_a_wrong_limit_is_refused_by_the_name_of_its_argument(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{message}"):
        StoppingCriteria.from_arguments(given)


def test_the_arguments_become_plain_values() -> None:
    found = StoppingCriteria.from_arguments(
        {"trials": np.int64(5), "timeout": "1h30m", "gpu_hours": 2, "target": np.float32(0.5), "patience": None, "x": 1}
    )
    assert found == StoppingCriteria(trials=5, timeout_s=5400.0, gpu_hours=2.0, target=0.5)
    assert found.to_json() == {"trials": 5, "timeout_s": 5400.0, "gpu_hours": 2.0, "target": 0.5}
    assert {type(value) for value in found.to_json().values()} == {int, float}
    assert StoppingCriteria.from_json(found.to_json()) == found


def test_a_limit_of_a_later_version_is_not_ignored() -> None:
    with pytest.raises(ValueError, match="unknown limit of a study: epochs"):
        StoppingCriteria.from_json({"trials": 3, "epochs": 9})


def test_each_field_is_a_limit() -> None:
    assert len(LIMITS) == len(dataclasses.fields(StoppingCriteria))


def test_what_is_given_later_replaces_what_was_declared() -> None:
    declared = StoppingCriteria(trials=10, target=0.9)
    assert declared.overridden(StoppingCriteria(trials=20, patience=3)) == StoppingCriteria(
        trials=20, target=0.9, patience=3
    )
    assert declared.overridden(StoppingCriteria(target=0.0)).target == 0.0
    assert declared.overridden(StoppingCriteria()) == declared


@pytest.mark.parametrize(
    ("criteria", "endless"),
    [
        (StoppingCriteria(), True),
        (StoppingCriteria(target=1.0), True),
        (StoppingCriteria(trials=1), False),
        (StoppingCriteria(patience=1), False),
        (StoppingCriteria(timeout_s=1.0, target=1.0), False),
    ],
)
def test_whether_anything_ends_it_for_sure(criteria: StoppingCriteria, endless: bool) -> None:
    assert criteria.endless is endless


def test_limits_that_mean_nothing() -> None:
    with pytest.raises(ArgumentError, match="gpu_hours has no effect, as the trials use no GPU"):
        StoppingCriteria(gpu_hours=1.0).check(gpus=0)
    StoppingCriteria(gpu_hours=1.0).check(gpus=0.5)
    with pytest.raises(
        ArgumentError, match="trials must be at least 6: it is a total, and the study already has 6 trials; got 3"
    ):
        StoppingCriteria(trials=3).check(gpus=0, begun=6)
    StoppingCriteria(trials=6).check(gpus=0, begun=6)
