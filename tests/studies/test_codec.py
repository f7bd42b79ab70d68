"""Every event survives being written down, exactly."""

from __future__ import annotations

import dataclasses
import itertools
import json
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.studies.codec import decode, encode
from archsearch.studies.records import (
    Blame,
    Ended,
    Event,
    Extended,
    Failed,
    Finished,
    Logged,
    Lost,
    Paused,
    Proposal,
    Proposed,
    Pruned,
    Report,
    Reported,
    RunCompleted,
    SessionEnded,
    SessionStarted,
    Started,
)
from archsearch.studies.stopping_criteria import StoppingCriteria

# Any text, lone surrogates too (Python reads file names as such); a pair of halves in a row would be read as one sign.
TEXT = st.text(st.characters(exclude_categories=[]), max_size=20).filter(
    lambda text: not any("\ud800" <= a <= "\udbff" and "\udc00" <= b <= "\udfff" for a, b in itertools.pairwise(text))
)
TIMES = st.floats(0, 4e9)
NUMBERS = st.integers(0, 2**40)
COUNTS = st.integers(1, 2**40)
AMOUNTS = st.floats(0, 4e9, exclude_min=True)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.none() | st.booleans() | st.integers() | FINITE | TEXT
STATES = st.dictionaries(
    TEXT, st.recursive(PLAIN, lambda x: st.lists(x, max_size=3) | st.dictionaries(TEXT, x, max_size=2))
)
PROPOSALS = st.builds(
    Proposal,
    st.dictionaries(TEXT, st.recursive(PLAIN, lambda x: st.lists(x, max_size=3).map(tuple), max_leaves=5), max_size=4),
    st.none() | NUMBERS,
    STATES,
)
EVENTS: dict[type[Event], st.SearchStrategy[Any]] = {
    SessionStarted: st.builds(
        SessionStarted,
        TIMES,
        st.builds(
            StoppingCriteria,
            trials=st.none() | COUNTS,
            timeout_s=st.none() | AMOUNTS,
            gpu_hours=st.none() | AMOUNTS,
            target=st.none() | FINITE,
            patience=st.none() | COUNTS,
        ),
        NUMBERS,
        TEXT,
        TEXT,
        NUMBERS,
    ),
    SessionEnded: st.builds(SessionEnded, TIMES, TEXT),
    Proposed: st.builds(Proposed, TIMES, NUMBERS, PROPOSALS, NUMBERS),
    Started: st.builds(Started, TIMES, NUMBERS, NUMBERS, TEXT, NUMBERS),
    Reported: st.builds(
        Reported, TIMES, NUMBERS, st.builds(Report, NUMBERS, st.dictionaries(TEXT, FINITE, max_size=4), TIMES, TEXT)
    ),
    Paused: st.builds(Paused, TIMES, NUMBERS),
    RunCompleted: st.builds(RunCompleted, TIMES, NUMBERS),
    Extended: st.builds(Extended, TIMES, NUMBERS, NUMBERS, TEXT, STATES, NUMBERS),
    Lost: st.builds(Lost, TIMES, NUMBERS, TEXT, st.sampled_from(get_args(Blame))),
    Ended: st.builds(Ended, TIMES, NUMBERS, st.just(Finished()) | st.builds(Pruned, TEXT) | st.builds(Failed, TEXT)),
    Logged: st.builds(Logged, TIMES, NUMBERS, TEXT),
}


def test_every_kind_of_event_is_tried_here() -> None:
    assert set(EVENTS) == set(get_args(Event))


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_an_event_comes_back_as_it_was(kind: type[Event], data: Any) -> None:
    event = data.draw(EVENTS[kind])
    name, trial, at, body = encode(event)
    assert name.replace("_", "") == kind.__name__.lower()
    assert trial == getattr(event, "trial", None)
    body.encode("utf-8")
    back = decode(name, trial, at, body)  # type: ignore[arg-type]
    assert back == event
    # Equal is not enough: 1 and 1.0 and True are, and so are 0.0 and -0.0.
    assert repr(dataclasses.asdict(back)) == repr(dataclasses.asdict(event))


def test_bodies_are_compact_readable_json() -> None:
    kind, trial, at, body = encode(Proposed(2, 4, Proposal({"größe": (3, 3)}, None, "test"), 9))
    assert (kind, trial, repr(at)) == ("proposed", 4, "2.0")
    assert body.startswith('{"config":{"größe":[3,3]},"budget":null,"proposer":"test","reason":"",')


def test_a_time_is_a_float_whatever_it_was() -> None:
    for at in (5, np.float64(5), np.int64(5)):
        assert repr(encode(Paused(at, 1))[2]) == "5.0"  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_hold_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(Reported(1.0, 1, Report(1, {"loss": value}, 0.1)))


def test_unknown_kinds_and_outcomes() -> None:
    with pytest.raises(ValueError, match="unknown event kind 'moved'"):
        decode("moved", 1, 1.0, "{}")
    with pytest.raises(ValueError, match="unknown outcome 'won'"):
        decode("ended", 1, 1.0, json.dumps({"outcome": "won"}))
