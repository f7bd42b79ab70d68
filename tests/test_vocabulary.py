"""The words that were replaced stay away: names of modules and identifiers, and phrases of messages and documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CODE = [path for folder in ("search", "spaces", "studies", "examples") for path in (ROOT / folder).rglob("*.py")]
DOCS = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]

# What the CHANGELOG's table names.
MODULES = (
    "advice|anatomy|belief|distinct|ending|fixing|generations|localised|look|moves|names|observed|offspring|order|origin|"
    "settings|standing|starts|structure"
)
IDENTIFIERS = (
    r"Advisor|Advice|Belief|Closed|LeaningTPE|NameTable|Observed|Opened|Point|Promoting|Repeated|Running|Standing|"
    r"check_whole|point_at|advice|anatomy|belief|localised|offspring|standing"
)
# Riddles, and words that the docs of the field do not have.
PHRASES = r"cannot be meant|can be meant|\bmend(s|ed|ing)?\b|\bnobody\b|is none of (those|these)|is no \w+ of"


def test_no_module_has_an_old_name() -> None:
    assert [path for path in CODE if re.fullmatch(MODULES, path.stem)] == []


@pytest.mark.parametrize("path", [*CODE, *DOCS], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_old_word_is_left(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    words = rf"\b({IDENTIFIERS})\b" if path.suffix == ".py" else r"(?!)"
    found = [
        f"{number}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(words, line) or re.search(PHRASES, line, flags=re.IGNORECASE)
    ]
    assert found == []
