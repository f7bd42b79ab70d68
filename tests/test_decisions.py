"""Every decision is one numbered, dated file with the same four headings, and is listed in the index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "decisions"
DECISIONS = sorted(FOLDER.glob("0*.md"))


def test_the_numbers_are_those_from_one_on() -> None:
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_a_number_a_date_and_four_headings(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    title, date = text.splitlines()[0], text.splitlines()[2]
    assert title.startswith(f"# {int(path.name[:4])}. ")
    assert re.fullmatch(r"Date: \d{4}-\d\d-\d\d", date)
    assert re.findall(r"^## (.*)$", text, flags=re.M) == ["Context", "Decision", "Rejected", "Consequence"]
    assert not re.search(r"## \w+\s+(##|\Z)", text), "an empty section"
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"({path.name}) | {date.removeprefix('Date: ')} |" in index
