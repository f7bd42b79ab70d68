"""Test kits for your own strategies, pruners and data sources: classes of tests to subclass. They require pytest.

from archsearch.search.testing.strategies import StrategyContract

class TestMine(StrategyContract):
    make = staticmethod(lambda: Mine(population=4))
"""

import pytest

# The kits' asserts then say what differed, as those of a test file do.
pytest.register_assert_rewrite(
    "archsearch.search.testing.data_sources",
    "archsearch.search.testing.pruners",
    "archsearch.search.testing.strategies",
)
