"""The error tree: every mistake that a user can fix is an ArchsearchError, which says what, got and fix.

ArchsearchError
├── SpaceError       a space, domain, condition or network family is invalid
├── ConfigError      a configuration is not in its space
├── SpecError        a spec file or Study declaration cannot be run
│   ├── ArgumentError    an argument of a call, or an option of the command, is invalid
│   └── UnknownArgumentError    a call has an argument that does not exist (also a TypeError)
├── DataError        a data file or array is missing or malformed
├── StoreError       a store is missing, locked, damaged, full, or not one of archsearch
├── ExecutionError   no workers are available, or they cannot load the study
└── StudyFailed      the study ran and failed: its first trials all failed alike, or none finished

The tree is defined in `spaces`, the package that the other two import.
"""

from __future__ import annotations

import difflib
import re
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


class ArgumentError(SpecError):
    """An argument of a Python call, or an option of the command line, that is invalid.

    Attributes:
        argument: Its name in Python, such as `gpu_hours`.
        problem: What is wrong with it and how to fix it, without the name.
    """

    def __init__(self, argument: str, problem: str) -> None:
        super().__init__(argument, problem)
        self.argument = argument
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.argument} {self.problem}"

    @property
    def as_option(self) -> str:
        """The message as the command line prints it: with `--gpu-hours` for `gpu_hours`."""
        return f"--{self.argument.replace('_', '-')} {self.problem}"


class UnknownArgumentError(SpecError, TypeError):
    """A call has an argument that does not exist. A TypeError too, as Python raises for any other call."""


class DataError(ArchsearchError):
    """A data file or array is missing or malformed."""


class StoreError(ArchsearchError):
    """A store is missing, locked, damaged, full, or not one of archsearch."""


class ExecutionError(ArchsearchError):
    """No workers are available, or they cannot load the study."""


class StudyFailed(ArchsearchError):  # noqa: N818 - the study is what failed
    """The study ran and failed: its first trials all failed alike, or none finished. Exit status 1."""


# What people write for short, or know from another library, and the word that is used here.
_SHORT = {
    "acc": "accuracy",
    "act": "activation",
    "aug": "augmentation",
    "auc": "auroc",
    "bs": "batch_size",
    "bn": "batch_norm",
    "direction": "minimize",
    "epochs": "budget",
    "err": "error",
    "jobs": "workers",
    "lr": "learning_rate",
    "mom": "momentum",
    "opt": "optimizer",
    "optim": "optimizer",
    "params": "parameters",
    "sampler": "strategy",
    "sched": "schedule",
    "scheduler": "schedule",
    "valid": "val",
    "validation": "val",
    "wd": "weight_decay",
}


def unknown(what: str, got: str, known: Iterable[str], *, why: str | None = None) -> str:
    """The one wording for every mistaken name: `unknown WHAT 'GOT'; known: …; did you mean '…'?`.

    Args:
        what: What the name should name, such as "metric".
        got: The name that was given.
        known: The names that exist.
        why: What to say in place of a similar name, if it is known why this one does not exist.
    """
    names = sorted(known)
    text = f"unknown {what} '{got}'; known: {', '.join(names) or 'none'}"
    if why is not None:
        return f"{text}; {why}"
    near = nearest(got, names)
    return text if near is None else f"{text}; did you mean '{near}'?"


def nearest(got: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant; None when none is near.

    The case of letters does not matter, nor do separators. Usual short names are known: `lr`, `acc`, `bs`, `wd`.
    """
    names = {_plain(name): name for name in sorted(known, reverse=True)}
    short = _plain(got)
    full = "_".join(_SHORT.get(word, word) for word in short.split("_"))
    for wanted in (short, full, f"val_{short}", f"val_{full}"):
        if wanted in names:
            return names[wanted]
    squeezed = {name.replace("_", ""): name for name in names}
    for wanted in (full, short):
        if wanted.replace("_", "") in squeezed:
            return names[squeezed[wanted.replace("_", "")]]
        if close := difflib.get_close_matches(wanted, names, n=1):
            return names[close[0]]
        if len(wanted) > 1 and (parts := [name for name in names if f"_{wanted}_" in f"_{name}_"]):
            return names[parts[0]]
    # A name with a word too many, such as Optuna's `study_name` for `name`.
    return next((name for plain, name in names.items() if len(plain) > 3 and f"_{plain}_" in f"_{short}_"), None)


def _plain(name: str) -> str:
    """`Weight-Decay` → `weight_decay`, `valLoss` → `val_loss`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[-\s.]+", "_", name).lower()
