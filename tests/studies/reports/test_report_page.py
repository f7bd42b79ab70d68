"""The page as text: what is in it, what is not, and what a failing panel does to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

from archsearch.studies.reports import page, render, write

HOSTILE = "</script><script>pwned()</script><img src=x onerror=pwned()>&\u2028{{ 7*7 }}"


def own_text(html: str) -> str:
    """The page without plotly.js, which has thousands of addresses and signs of its own."""
    assert html.count(get_plotlyjs()) == 1
    return html.replace(get_plotlyjs(), "")


def texts_in(value: Any, *, only: str = "", inside: str = "") -> Iterator[str]:
    """All texts of a figure; or those under the key `only`."""
    if isinstance(value, dict):
        ours = ("hovertemplate", "dimensions.ticktext") if not only else ()
        for key, part in value.items():
            if key not in ours and f"{inside}.{key}" not in ours:
                yield from texts_in(part, only=only, inside=key)
    elif isinstance(value, list):
        for part in value:
            yield from texts_in(part, only=only, inside=inside)
    elif isinstance(value, str) and only in ("", inside):
        yield value


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_plotly_is_inside_exactly_once_and_nothing_is_fetched(make_synthetic) -> None:
    html = render([make_synthetic(30), make_synthetic(30, seed=1)])
    rest = own_text(html)
    assert not re.search(r"https?:|//cdn", rest)
    assert not [attrs for _, attrs in Tags(rest).found if {"src", "href", "srcset", "action"} & attrs.keys()]


def test_the_policy_names_every_script(make_synthetic) -> None:
    html = render([make_synthetic(5)])
    tags = Tags(own_text(html)).found
    policy = next(attrs["content"] for tag, attrs in tags if tag == "meta" and "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert policy.count("sha256-") == 2
    scripts = [attrs for tag, attrs in tags if tag == "script"]
    assert len([attrs for attrs in scripts if attrs.get("type") != "application/json"]) == 2


def test_every_text_of_a_study_is_escaped(told, make_history, make_record) -> None:
    from archsearch import Choice, Float, Space
    from archsearch.studies.goals import Goal, OutcomeConstraint
    from archsearch.studies.records import Failed, Pruned

    space = Space({HOSTILE: Choice(HOSTILE, "b"), "x" + HOSTILE: Float(0, 1)})
    goals = (Goal(HOSTILE, True), Goal("loss", False), Goal("x" + HOSTILE, True))
    constraint = OutcomeConstraint(HOSTILE, "<", 2.0)
    study = make_record(
        name=HOSTILE, space=space, goals=goals, outcome_constraints=(constraint,), strategy=HOSTILE, pruner=HOSTILE
    )
    trials = [
        told(
            *([0.1, i / 9], [Failed(HOSTILE), Pruned(HOSTILE), told().outcome][i % 3], None, HOSTILE, HOSTILE),
            also={"x" + HOSTILE: i % 7},
        )
        for i in range(40)
    ]
    history = make_history(*trials, study=study)
    html = own_text(render([history, history], metadata=[{HOSTILE: HOSTILE}] * 2))
    assert "<img" not in html
    assert "<script>pwned" not in html
    assert "{{ 7*7 }}" in html
    assert {tag for tag, _ in Tags(html).found} <= {
        *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "noscript", "section", "div"),
        *("h1", "h2", "h3", "h4", "p", "strong", "code", "details", "summary", "script", "label", "input", "span"),
        *("table", "caption", "thead", "tbody", "tr", "th", "td", "button"),
    }
    data = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert len(data) == 19  # 3 for the comparison, 8 for each study
    assert not any(set(text) & set("<>&\u2028") for text in data)
    # What plotly will read as HTML: every text of a figure, but for our own templates and parcoords' ticks.
    texts = [text for figure in data for text in texts_in(json.loads(figure))]
    assert any("&lt;/script&gt;" in text for text in texts)
    assert not any("<" in text for text in texts)
    templates = [text for figure in data for text in texts_in(json.loads(figure), only="hovertemplate")]
    assert templates
    assert not any("script" in text for text in templates)


def test_a_panel_that_raises_is_a_card_and_the_rest_comes(make_synthetic, monkeypatch) -> None:
    def broken(history):
        raise ZeroDivisionError("by <zero>")

    panels = [(title, broken if title == "Learning curves" else panel) for title, panel in page.PANELS]
    monkeypatch.setattr(page, "PANELS", panels)
    html = own_text(render([make_synthetic(30)]))
    assert "The panel “Learning curves” failed." in html
    assert "ZeroDivisionError: by &lt;zero&gt; (test_report_page.py, line" in html
    assert html.count("application/json") == 5
    assert "All trials</h2>" in html


def test_a_study_without_trials_is_a_page_of_sentences(make_history) -> None:
    html = own_text(render([make_history()]))
    assert "No trial has reported yet." in html
    assert 'class="error"' not in html


def test_the_same_histories_give_the_same_bytes(make_synthetic) -> None:
    assert render([make_synthetic(30)]) == render([make_synthetic(30)])


def test_write_leaves_the_page_and_nothing_else(make_synthetic, tmp_path) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    assert write([make_synthetic(5)], target, metadata=[{"torch": "2.13"}]) == target
    assert "<td>2.13</td>" in target.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [target]


def test_what_cannot_be_reported_is_said(make_history) -> None:
    with pytest.raises(ValueError, match="give at least one"):
        render([])
    with pytest.raises(ValueError, match="got 1 for 2 histories"):
        render([make_history(), make_history()], metadata=[{}])


def test_accessible_structure(make_synthetic) -> None:
    html = own_text(render([make_synthetic(30)]))
    tags = Tags(html).found
    assert ("html", {"lang": "en"}) in tags
    assert html.count("<caption>") == html.count("<table")
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in tags if "aria-labelledby" in a} <= set(ids)


def test_a_thousand_trials_take_less_than_three_megabytes(make_synthetic) -> None:
    assert len(own_text(render([make_synthetic(1000)])).encode()) < 3e6


def test_the_constraints_of_the_space_are_told(told, make_history, make_record) -> None:
    from archsearch import Float, Space, constraint

    plain, held = Space(x=Float(0, 1)), Space(constraint("x < 0.5"), x=Float(0, 1))
    pages = [render([make_history(told([0.1, 0.2]), study=make_record(space=space))]) for space in (plain, held)]
    assert ["Constraints of the search space" in page for page in pages] == [False, True]
    assert "x &lt; 0.5" in pages[1]
