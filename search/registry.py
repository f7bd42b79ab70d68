"""A registry of classes by name, which imports a class only when it is used.

Each worker imports the spec file, but only the driver needs strategies and pruners, which are slow to import:
scikit-optimize alone takes 1.5 s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from archsearch.spaces.errors import SpecError, unknown


class Registry(Mapping[str, str]):
    """A mapping from names to classes, each given as "module:class".

        Registry("strategy", {"tpe": "archsearch.search.strategies.tpe:TPE"})

    Args:
        what: What the classes are, such as "strategy"; used in error messages.
        places: The place of each class by its name.
    """

    def __init__(self, what: str, places: Mapping[str, str]) -> None:
        self._what = what
        self._places = places

    def make(self, name: str) -> Any:
        """Create an instance of a class with its default arguments.

        Args:
            name: The name in the registry, or the name of the class. Case, `-` and `_` are ignored.

        Raises:
            SpecError: The name is unknown; the message suggests the closest one.
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
    """The name without case and separators: `cmaes` for `CMA-ES` and `cma_es`."""
    return name.lower().replace("-", "").replace("_", "")
