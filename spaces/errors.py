"""The error tree: every mistake that a user can fix is an ArchsearchError, which says what, got and fix.

ArchsearchError
├── SpaceError       a space, domain, condition or network family is invalid
├── ConfigError      a configuration is not in its space
├── SpecError        a spec file or Study declaration cannot be run
├── DataError        a data file or array is missing or malformed
├── StoreError       a store is missing, locked, damaged, full, or not one of archsearch
├── ExecutionError   no workers are available, or they cannot load the study
└── StudyFailed      the study ran and failed: its first trials all failed with the same error, or none finished

The tree is defined in `spaces`, the package that the other two import.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ArchsearchError(Exception):
    """Base class of all errors that a user can fix. The command line prints the message alone and exits with 2."""


class SpaceError(ArchsearchError):
    """A space, domain, condition or network family is invalid."""


class ConfigError(ArchsearchError):
    """A configuration is not in its space.

    Args:
        message: The text of the error.
        parameter: The name of the parameter, or of the constraint, at fault; kept as an attribute.
        value: The value at fault, None if the parameter is missing; kept as an attribute.
    """

    def __init__(self, message: str, *, parameter: str, value: object = None) -> None:
        super().__init__(message)
        self.parameter = parameter
        self.value = value


class SpecError(ArchsearchError):
    """A spec file or Study declaration cannot be run."""


class DataError(ArchsearchError):
    """A data file or array is missing or malformed."""


class StoreError(ArchsearchError):
    """A store is missing, locked, damaged, full, or not one of archsearch."""


class ExecutionError(ArchsearchError):
    """No workers are available, or they cannot load the study."""


class StudyFailed(ArchsearchError):  # noqa: N818 - the study is what failed
    """The study ran and failed: its first trials all failed with the same error, or none finished. Exit status 1."""


def unknown(what: str, got: str, known: Iterable[str]) -> str:
    """`unknown WHAT 'GOT'; known: …; did you mean '…'?` — the one wording for every mistaken name."""
    names = sorted(known)
    text = f"unknown {what} '{got}'; known: {', '.join(names) or 'none'}"
    close = difflib.get_close_matches(got, names, n=1)
    return f"{text}; did you mean '{close[0]}'?" if close else text
