"""Checks the answers of a strategy, which may be the user's own, and makes their values plain.

What is recorded must be the same after the store is read again, or a resumed study would decide otherwise. So numbers
and texts of NumPy become Python's, and the state becomes what JSON makes of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from archsearch.spaces import Config, ConfigError, Space, SpecError
from archsearch.spaces.argument_checks import whole_number
from archsearch.spaces.completion import completed
from archsearch.studies.formatting import count
from archsearch.studies.history import History
from archsearch.studies.records import Extension, Proposal

T = TypeVar("T")


def checked_proposals(history: History, proposals: object, n: int, default_proposer: str) -> list[Proposal]:
    """Check what `Strategy.ask` returned.

    Args:
        history: The history that it was given.
        proposals: What it returned.
        n: How many proposals it was asked for.
        default_proposer: The proposer of proposals without one.

    Returns:
        The proposals, with plain values and complete configurations.

    Raises:
        SpecError: It is not a list of at most `n` valid proposals.
    """
    proposals = _listed(proposals, Proposal, "ask")
    if len(proposals) > n:
        raise SpecError(f"it returned {count(len(proposals), 'proposal')}, but at most {n} may be returned")
    return [_checked_proposal(history, proposal, default_proposer) for proposal in proposals]


def _checked_proposal(history: History, proposal: Proposal, default_proposer: str) -> Proposal:
    budget = proposal.budget
    return replace(
        proposal,
        config=_checked_config(history.study.space, proposal.config),
        budget=None if budget is None else _checked_budget(budget, "Proposal", 1, history.study.budget),
        proposer=_text(proposal.proposer, "Proposal.proposer") or default_proposer,
        reason=_text(proposal.reason, "Proposal.reason"),
        drawn_at_random=_flag(proposal.drawn_at_random, "Proposal.drawn_at_random"),
        state=_as_stored(proposal.state, "Proposal.state"),
    )


def _checked_config(space: Space, config: Config) -> Config:
    config = completed(config, space)
    try:
        space.check(config)
    except ConfigError as error:
        raise SpecError(
            f"it proposed a configuration that is not in the space: {error}; start from space.sample(rng) or "
            "mutate(space, config, rng), and clip numbers that you compute to the bounds of their domain"
        ) from error
    return config


def checked_extensions(history: History, extensions: object, free: int) -> list[Extension]:
    """Check what `Strategy.promote` returned.

    Args:
        history: The history that it was given.
        extensions: What it returned.
        free: How many trials it was asked for.

    Returns:
        The extensions, with plain values.

    Raises:
        SpecError: It is not a list of at most `free` valid extensions.
    """
    extensions = _listed(extensions, Extension, "promote")
    numbers = [whole_number(extension.trial, "Extension.trial", least=0) for extension in extensions]
    if len(numbers) > free or len(set(numbers)) < len(numbers):
        raise SpecError(f"it promoted trials {numbers}, but at most {free} may be promoted, each once")
    return [_checked_extension(history, each, number) for each, number in zip(extensions, numbers, strict=True)]


def _checked_extension(history: History, extension: Extension, number: int) -> Extension:
    paused = {trial.number: trial for trial in history.open_trials("paused")}
    most = history.study.budget
    if number not in paused or most is None:
        raise SpecError(f"{extension!r} must name a paused trial; these are {sorted(paused)}")
    return Extension(
        number,
        _checked_budget(extension.budget, "Extension", paused[number].step + 1, most),
        _text(extension.reason, "Extension.reason"),
        _as_stored(extension.state, "Extension.state"),
    )


def _listed(answer: object, kind: type[T], method: str) -> list[T]:
    """The answer as a list; SpecError unless it is a list or tuple of values of this kind."""
    if not isinstance(answer, list | tuple):
        raise SpecError(f"{method} must return a list of {kind.__name__} objects, got {answer!r}")
    for each in answer:
        if not isinstance(each, kind):
            raise SpecError(f"{method} must return a list of {kind.__name__} objects, got {each!r} in it")
    return list(answer)


def _checked_budget(budget: object, kind: str, least: int, most: int | None) -> int:
    number = whole_number(budget, f"{kind}.budget", least=least)
    if most is not None and number > most:
        raise SpecError(f"{kind}.budget must be at most {most}, the study's budget, got {budget!r}")
    return number


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise SpecError(f"{name} must be a text, got {value!r}")
    return str(value)


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool | np.bool):
        raise SpecError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def _as_stored(state: object, name: str) -> Mapping[str, Any]:
    """The state as it will be read from the store."""
    if not isinstance(state, Mapping):
        raise SpecError(f"{name} must be a dict, got {state!r}")
    try:
        text = json.dumps(dict(state), allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise SpecError(f"{name} must be JSON data: {error}") from error
    stored: dict[str, Any] = json.loads(text)
    return stored


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON serializable")
