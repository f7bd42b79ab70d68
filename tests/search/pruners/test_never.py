"""No pruning keeps the contract too."""

from __future__ import annotations

from archsearch.search.pruners.never import Never
from archsearch.search.testing.pruners import PrunerContract


class TestNever(PrunerContract):
    make = staticmethod(lambda: Never())
