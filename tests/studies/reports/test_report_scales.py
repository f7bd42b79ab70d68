"""Places, ticks and texts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Choice, Float, Int
from archsearch.studies.goals import Goal
from archsearch.studies.reports.scales import ends, framed, position, ticks
from archsearch.studies.reports.theme import script_json, text, value_axis


@pytest.mark.parametrize(
    ("domain", "labels"),
    [
        (Int(1, 4), ["1", "2", "3", "4"]),
        (Float(0, 1), ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (Float(1e-4, 1e-1, log=True), ["0.0001", "0.001", "0.01", "0.1"]),
        (Int(8, 256, log=True), ["10", "20", "50", "100", "200"]),
        (Float(0.1, 0.3, log=True), ["0.1", "0.15", "0.2", "0.3"]),
        (Choice("a", None, (1, 2)), ["a", "None", "(1, 2)"]),
    ],
)
def test_ticks(domain, labels) -> None:
    assert [label for _, label in ticks(domain)] == labels


def test_a_frame_drops_ticks_that_would_touch_its_ends() -> None:
    assert [label for _, label in framed(Int(8, 256, log=True))] == ["8", "20", "50", "100", "256"]


def test_many_categories_are_thinned() -> None:
    assert len(ticks(Choice(*range(100)))) <= 14


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.booleans())
def test_ticks_lie_inside_and_frames_hold_the_ends(low, width, log) -> None:
    low = abs(low) + 1e-6 if log else low
    domain = Float(low, low + width, log=log)
    first, last = ends(domain)
    slack = 1e-3 * (last - first) + 1e-3 * log
    assert all(first - slack <= place <= last + slack for place, _ in ticks(domain))
    assert [framed(domain)[0][0], framed(domain)[-1][0]] == [first, last]


def test_places() -> None:
    assert position(Choice("a", "b"), "b") == 1.0
    assert position(Float(1e-3, 1, log=True), 0.01) == pytest.approx(-2)
    assert position(Int(0, 9), 4) == 4.0


@given(st.text(), st.integers(3, 60))
def test_text_for_figures_is_one_short_escaped_line(raw, width) -> None:
    made = text(raw, width)
    assert not set(made) & set("<>\n\r\u2028")
    assert len(made) <= 5 * width


def test_texts_keep_both_ends() -> None:
    assert text("a-very-long-name-of-a-worker-7", 16) == "a-very-lon…ker-7"


@given(st.dictionaries(st.text(), st.text()))
def test_json_in_a_script_is_the_same_value_without_a_sign_of_html(value) -> None:
    made = script_json(json.dumps(value, ensure_ascii=False))
    assert not set(made) & set("<>&\u2028\u2029")
    assert json.loads(made) == value


def test_the_value_axis_opens_on_what_matters_whichever_way_is_better() -> None:
    values = [0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.1]
    (low, high), (note,) = value_axis(Goal("m", True), values)[0]["range"], value_axis(Goal("m", True), values)[1]
    assert 0.85 < low < 0.9 < 0.97 < high < 1
    assert note.startswith("1 outlier is")
    assert value_axis(Goal("m", False), values)[1] == ()  # here the far value is the best one
