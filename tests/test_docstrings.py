"""Public docstrings: their examples run, and each lists its arguments or attributes."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import archsearch

STUB = Path(archsearch.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
# Each public name that is a class or a function; the others (Config, Constraint) are type aliases.
PUBLIC = {
    name: value
    for name in re.findall(r"^from \.\S+ import \w+ as (\w+)$", STUB, flags=re.M)
    if inspect.isclass(value := getattr(archsearch, name)) or inspect.isfunction(value)
}


def arguments_of(value: Any) -> list[str]:
    """The arguments that a caller gives; none for an exception that only takes a message, or for a protocol."""
    plain = (object.__init__, Exception.__init__, BaseException.__init__)
    if inspect.isclass(value) and (value.__init__ in plain or getattr(value, "_is_protocol", False)):
        return []
    return [name for name in inspect.signature(value).parameters if name != "self"]


@pytest.mark.parametrize("name", PUBLIC)
def test_the_examples_run(name: str) -> None:
    value = PUBLIC[name]
    module = importlib.import_module(value.__module__)
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_ONLY_FIRST_FAILURE)
    for test in doctest.DocTestFinder().find(value, name, module=module, globs={}):
        assert runner.run(test).failed == 0, test.name


@pytest.mark.parametrize("name", PUBLIC)
def test_each_argument_is_described(name: str) -> None:
    text = inspect.getdoc(PUBLIC[name]) or ""
    assert text.strip(), "no docstring"
    arguments = arguments_of(PUBLIC[name])
    if "\nArgs:\n" in text:
        assert described_in("Args", text) == arguments
    else:  # users receive its objects, and do not construct them
        assert set(arguments) <= set(described_in("Attributes", text))


def described_in(section: str, text: str) -> list[str]:
    """The names that a section of a docstring describes; "maximize, minimize:" describes two."""
    found = re.search(rf"^{section}:\n((?: {{4}}.*\n?|\n)*)", text, flags=re.M)
    entries = re.findall(r"^ {4}((?:\*{0,2}\w+, )*\*{0,2}\w+): ", found.group(1), flags=re.M) if found else []
    return [name.strip("* ") for entry in entries for name in entry.split(",")]


def test_the_list_is_not_empty() -> None:
    assert {
        "Space",
        "Float",
        "constraint",
        "MLP",
        "NetworkFamily",
        "ConfigError",
        "Study",
        "Session",
        "TPE",
    } <= PUBLIC.keys()
