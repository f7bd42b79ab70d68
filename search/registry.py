"""A table from names to classes, for the command line and for lists; nothing is imported before it is asked for.

A spec file is imported by every worker, and only the driver needs strategies and pruners: scikit-optimize alone takes
1.5 s to import.
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
        """The named thing with its defaults.

        Args:
            name: As in the table, or the name of the class; the case of letters, `-` and `_` do not matter.

        Raises:
            SpecError: There is none, with the nearest name.
        """
        places = {_plain(place.partition(":")[2]): place for place in self._places.values()}
        places |= {_plain(known): place for known, place in self._places.items()}
        if _plain(name) not in places:
            raise SpecError(unknown(self._what, name, self._places))
        return self._load(places[_plain(name)])()

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


def _plain(name: str) -> str:
    """`CMA-ES` and `cma_es` → `cmaes`."""
    return name.lower().replace("-", "").replace("_", "")
