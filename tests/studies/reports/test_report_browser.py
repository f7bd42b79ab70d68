"""The page in a real browser: it draws, sorts, filters and folds, fetches nothing, and runs nothing of a study's."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from archsearch import Choice, Float, Space, When
from archsearch.studies.goals import Goal, OutcomeConstraint
from archsearch.studies.records import Failed, Finished, Pruned
from archsearch.studies.reports import write

pytestmark = pytest.mark.browser

HOSTILE = (
    "</script><script>window.pwned=1</script><img src=x onerror='window.pwned=2'>"
    '<a href="javascript:window.pwned=3">x</a><b>%{x}</b>&lt;i&gt;'
)
GAP = "\N{EN DASH}"


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        reason = "no chromium, chromium-browser or google-chrome on the PATH"
        if os.environ.get("ARCHSEARCH_REQUIRE_BROWSER") == "1":
            pytest.fail(f"{reason}, and ARCHSEARCH_REQUIRE_BROWSER=1")
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # A profile of its own is what launch makes.
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


class OpenedPage:
    """A page, and everything that it complained of or asked for."""

    def __init__(self, browser, path: Path, script: str = "", **options) -> None:
        self.page = browser.new_page(viewport={"width": 1280, "height": 900}, **options)
        self.page.set_default_timeout(120_000)  # WebGL in software, on a busy machine
        self.page.add_init_script(script)
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.address = path.as_uri()

    def draw_all(self) -> int:
        """Scrolls every figure that is shown into view; how many were drawn."""
        figures = self.page.locator(".figure:visible")
        for index in range(figures.count()):
            figures.nth(index).scroll_into_view_if_needed()
            figures.nth(index).locator(".main-svg").first.wait_for()
        return figures.count()

    def cells(self, column: int) -> list[str]:
        """The texts of a column of the first sortable table, in the rows that the filter left."""
        script = """column => [...document.querySelector("table.sortable").tBodies[0].rows]
            .filter((row) => row.checkVisibility()).map((row) => row.cells[column - 1].textContent)"""
        return self.page.evaluate(script, column)

    def check_quiet(self) -> None:
        assert self.errors == []
        # blob: and data: are made by the page itself.
        assert [url for url in self.requests if not url.startswith(("blob:", "data:"))] == [self.address]


@pytest.fixture
def opened(browser, tmp_path) -> Iterator[object]:
    pages: list[OpenedPage] = []

    def open_page(histories, **options) -> OpenedPage:
        pages.append(OpenedPage(browser, write(histories, tmp_path / f"{len(pages)}.html"), **options))
        return pages[-1]

    yield open_page
    for each in pages:
        each.page.close()


@pytest.mark.parametrize("trials", [5, 60, 1000])
def test_draws_every_figure_without_a_complaint(trials, opened, make_synthetic) -> None:
    it = opened([make_synthetic(trials)])
    assert it.draw_all() == (5 if trials == 5 else 6)
    it.check_quiet()


@pytest.mark.parametrize("goals", [2, 3])
def test_draws_several_goals_constraints_and_repeats(goals, opened, make_synthetic) -> None:
    declared = (Goal("val_accuracy", True), Goal("parameters", False), Goal("step_ms", False))[:goals]
    constraint = OutcomeConstraint.from_text("step_ms < 0.35")
    it = opened([make_synthetic(60, goals=declared, outcome_constraints=(constraint,), repeats=3)])
    assert it.draw_all() == 8
    it.page.locator("summary").first.click()  # of the front, which is a sortable table
    assert 1 < len(it.cells(1)) < 60
    it.page.set_viewport_size({"width": 420, "height": 900})
    it.page.wait_for_function("document.querySelector('.figure .main-svg').getBoundingClientRect().width < 420")
    assert it.page.evaluate("document.documentElement.scrollWidth") == 420  # nothing sticks out of a narrow page
    it.check_quiet()


def test_sorts_by_click_and_by_key_with_gaps_last(opened, make_synthetic) -> None:
    it = opened([make_synthetic(60)])

    def button(column: str):
        return it.page.locator("table.sortable").get_by_role("button", name=column, exact=True)

    def numbers(column: int) -> list[float]:
        texts = it.cells(column)
        known = [float(text) for text in texts if text != GAP]
        assert GAP not in texts[: len(known)]
        return known

    assert it.cells(1) == [str(n) for n in range(60)]
    button("learning_rate").click()  # 6e-05 to 0.1: by the alphabet it would be another order
    assert numbers(12) == sorted(numbers(12))
    button("momentum").click()
    assert 10 < len(numbers(11)) < 50
    assert numbers(11) == sorted(numbers(11))
    button("momentum").focus()
    it.page.keyboard.press("Enter")
    assert numbers(11) == sorted(numbers(11), reverse=True)
    assert it.page.locator("th[aria-sort=descending]").inner_text().startswith("momentum")
    button("optimizer").click()
    assert it.cells(10) == sorted(it.cells(10))
    assert it.page.locator("th[aria-sort]").count() == 1
    it.check_quiet()


def test_filters_by_words(opened, make_synthetic) -> None:
    it = opened([make_synthetic(2000)])
    box = it.page.locator("input.filter")
    box.fill("pruned SGD")
    states, optimizers = it.cells(2), it.cells(10)
    assert set(states) == {"pruned"}
    assert set(optimizers) == {"sgd"}
    assert it.page.locator(".matches").inner_text() == f"{len(states):,} of 2,000 rows"
    box.fill("no such word")
    assert it.cells(1) == []
    box.fill("")
    assert it.page.locator(".matches").inner_text() == "2,000 rows"
    it.check_quiet()


def test_studies_open_one_at_a_time_and_draw(opened, make_synthetic) -> None:
    it = opened([make_synthetic(40, name=name) for name in ("one", "two", "three")])
    assert it.draw_all() == 3
    for index in range(3):
        it.page.locator("details.study > summary").nth(index).click()
        it.page.wait_for_function("document.querySelectorAll('details.study[open]').length === 1")
        assert it.draw_all() == 9
    it.page.locator("details.study > summary").nth(0).click()
    assert it.draw_all() == 9  # drawn again after they were put away
    assert it.page.locator("details.study[open] canvas").count() > 0
    assert it.page.locator("details.study:not([open]) canvas").count() == 0
    it.check_quiet()


def test_no_button_sends_the_data_away(opened, make_synthetic) -> None:
    it = opened([make_synthetic(30)])
    it.draw_all()
    buttons = it.page.locator(".modebar-btn").evaluate_all("list => list.map((b) => b.dataset.title)")
    assert "Zoom" in buttons
    assert not [title for title in buttons if re.search("share|cloud|studio", title or "", re.IGNORECASE)]


def test_colours_follow_the_system(opened, make_synthetic) -> None:
    it = opened([make_synthetic(30)], color_scheme="dark")
    it.draw_all()
    colour = "getComputedStyle(document.querySelector('.xtick text')).fill"
    dark = it.page.evaluate(colour)
    it.page.emulate_media(color_scheme="light")
    it.page.wait_for_function(f"{colour} !== {dark!r}")
    it.check_quiet()


def test_without_webgl_there_is_a_sentence(browser, make_synthetic, tmp_path) -> None:
    path = write([make_synthetic(800)], tmp_path / "page.html")
    it = OpenedPage(browser, path, "HTMLCanvasElement.prototype.getContext = () => null")
    for figure in it.page.locator(".figure").all():
        figure.scroll_into_view_if_needed()
    it.page.get_by_text("This figure needs WebGL, which this browser does not support.").wait_for()
    assert it.page.locator(".figure .scatterlayer").count() > 10  # the slices are drawn all the same
    it.page.close()


@pytest.mark.parametrize("policy", [True, False], ids=["with policy", "escaping alone"])
def test_a_hostile_study_runs_nothing(policy, browser, told, make_history, make_record, tmp_path) -> None:
    space = Space({HOSTILE: Choice(HOSTILE, "b"), "<i>p</i>": Float(1e-3, 1, log=True), "q": When("True", Float(0, 1))})
    goals = (Goal(HOSTILE, True), Goal("loss", False), Goal("x" + HOSTILE, True))
    study = make_record(name=HOSTILE, space=space, goals=goals, strategy=HOSTILE, pruner=HOSTILE)
    outcomes = [Failed(HOSTILE), Pruned(HOSTILE), Finished()]
    also = {"x" + HOSTILE: 1.0}
    trials = [told([0.1, i / 9], outcomes[i % 3], None, HOSTILE, f"{i % 2}{HOSTILE}", also=also) for i in range(40)]
    history = make_history(*trials, study=study)
    path = write([history, history], tmp_path / "page.html", metadata=[{HOSTILE: HOSTILE}] * 2)
    if not policy:
        html, times = re.subn(r"<meta http-equiv=[^\n]*\n", "", path.read_text(encoding="utf-8"))
        assert times == 1
        path.write_text(html, encoding="utf-8")

    it = OpenedPage(browser, path)
    it.page.locator("details.study > summary").first.click()
    assert it.draw_all() == 10  # without the hypervolume, for the third goal is the same in all
    for figure in it.page.locator(".figure:visible").all():  # hover texts are built late
        figure.scroll_into_view_if_needed()
        box = figure.bounding_box()
        for part in (0.25, 0.5, 0.75):
            it.page.mouse.move(box["x"] + part * box["width"], box["y"] + 0.6 * box["height"])
            it.page.wait_for_timeout(60)
    assert it.page.evaluate("window.pwned") is None
    assert it.page.locator("img, a[href^=javascript], svg a").count() == 0
    # Escaped once, and not twice, wherever it is shown.
    assert it.page.locator("h3").first.inner_text().startswith("</script><script>window.pwned=1</script><img")
    shown = it.page.locator("svg text:visible").all_text_contents()
    assert any("<i>p</i>" in text for text in shown)
    assert not any("&lt;" in text.replace("&lt;i&gt;", "") or "&amp;" in text for text in shown)
    it.check_quiet()
    it.page.close()
