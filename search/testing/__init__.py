"""Test kits for your own strategies and pruners: classes of tests to subclass. They require pytest.

from archsearch.search.testing.strategies import StrategyContract

class TestMine(StrategyContract):
    make = staticmethod(lambda: Mine(population=4))
"""

import pytest

# With this, failing asserts of the kits show the compared values, as those of a test file do.
pytest.register_assert_rewrite("archsearch.search.testing.strategies", "archsearch.search.testing.pruners")
