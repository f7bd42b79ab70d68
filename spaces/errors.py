"""The error tree: every mistake that a person can mend is an ArchsearchError, and says what, got and fix.

ArchsearchError
├── SpaceError       a space, domain, condition or network family that cannot be meant
├── ConfigError      a configuration that does not lie in its space
├── SpecError        a spec file or Study declaration that cannot be run
├── DataError        a data file or array that is missing or malformed
├── StoreError       a store that is missing, locked, damaged, foreign or full
├── ExecutionError   workers that cannot be had or cannot load the study
└── StudyFailed      the study ran, and failed: its first trials all failed alike, or none finished

The tree lives in `spaces` because that is the package which the other two import.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ArchsearchError(Exception):
    """Root of all errors that are meant for the user; the command line prints its text alone and exits with 2."""


class SpaceError(ArchsearchError):
    """A space, domain, condition or network family that cannot be meant."""


class ConfigError(ArchsearchError):
    """A configuration outside its space.

    Attributes: parameter, the offending name; value, what was got (None when the parameter is missing).
    """

    def __init__(self, message: str, *, parameter: str, value: object = None) -> None:
        super().__init__(message)
        self.parameter = parameter
        self.value = value


class SpecError(ArchsearchError):
    """A spec file or Study declaration that cannot be run."""


class DataError(ArchsearchError):
    """A data file or array that is missing or malformed."""


class StoreError(ArchsearchError):
    """A store that is missing, locked, damaged, foreign or full."""


class ExecutionError(ArchsearchError):
    """Workers that cannot be had, or that cannot load the study."""


class StudyFailed(ArchsearchError):  # noqa: N818 - the study is what failed
    """The study ran, and failed: its first trials all failed alike, or none finished. The command exits with 1."""


def unknown(what: str, got: str, known: Iterable[str]) -> str:
    """`unknown WHAT 'GOT'; known: …; did you mean '…'?` — the one wording for every mistaken name."""
    names = sorted(known)
    text = f"unknown {what} '{got}'; known: {', '.join(names) or 'none'}"
    close = difflib.get_close_matches(got, names, n=1)
    return f"{text}; did you mean '{close[0]}'?" if close else text
