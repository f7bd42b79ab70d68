"""A table from names to classes, for the command line and for lists; nothing is imported before it is asked for.

A spec file is imported by every worker, and only the driver chooses and judges: scikit-optimize alone takes 1.5 s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from archsearch.spaces.errors import SpecError, unknown


class Registry(Mapping[str, str]):
    """`Registry("strategy", {"tpe": "archsearch.search.strategies.tpe:TPE"})`: name → module:class."""

    def __init__(self, what: str, places: Mapping[str, str]) -> None:
        self._what = what
        self._places = places

    def make(self, name: str) -> Any:
        """The named thing with its defaults; SpecError, with the nearest name, when there is none."""
        if name not in self._places:
            raise SpecError(unknown(self._what, name, self._places))
        return self._load(self._places[name])()

    def __getitem__(self, name: str) -> str:
        return self._places[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    @staticmethod
    def _load(place: str) -> Any:
        module, _, attribute = place.partition(":")
        return getattr(import_module(module), attribute)
