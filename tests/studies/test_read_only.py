"""The dicts of a history cannot be changed by a plug-in that receives it."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from archsearch.studies.read_only import ReadOnlyDict
from archsearch.studies.records import Proposal, Report

CHANGES: dict[str, Any] = {
    "set": lambda it: it.__setitem__("x", 2),
    "del": lambda it: it.__delitem__("x"),
    "update": lambda it: it.update(x=2),
    "or": lambda it: it.__ior__({"x": 2}),
    "pop": lambda it: it.pop("x"),
    "popitem": lambda it: it.popitem(),
    "clear": lambda it: it.clear(),
    "setdefault": lambda it: it.setdefault("y", 2),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_refuses_every_change(change: Any) -> None:
    values = ReadOnlyDict(x=1)
    with pytest.raises(TypeError, match=r"make a copy first: dict\(\.\.\.\)"):
        change(values)
    assert values == {"x": 1}


def test_it_serves_as_a_dict() -> None:
    values = ReadOnlyDict(x=1)
    assert repr(values) == "{'x': 1}"
    assert json.dumps(values) == '{"x": 1}'
    assert {**values} == values | {} == values.copy() == dict(values) == {"x": 1}
    assert type(values.copy()) is dict
    for same in (pickle.loads(pickle.dumps(values)), copy.deepcopy(values)):
        assert (type(same), same) == (ReadOnlyDict, values)


def test_configs_and_metrics_are_read_only_and_independent_of_what_they_were_made_from() -> None:
    config, metrics = {"x": 1}, {"loss": 1.0}
    proposal, report = Proposal(config), Report(1, metrics, 0.0)
    config["x"], metrics["loss"] = 2, 2.0
    assert (proposal.config, report.metrics) == ({"x": 1}, {"loss": 1.0})
    for values in (proposal.config, report.metrics):
        with pytest.raises(TypeError):
            values["loss"] = 3  # type: ignore[index]
