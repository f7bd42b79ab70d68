"""What a later study may take over from an earlier one: its best configurations.

A search that begins with what was good on something alike is ahead of one that begins at random (Feurer et al. 2015,
"Initializing Bayesian Hyperparameter Optimization via Meta-Learning", section 3, whose initial design is the best
configuration of each of the most similar data sets).
"""

from __future__ import annotations

from archsearch.spaces import Config, Space, translate_config
from archsearch.studies.goals import order
from archsearch.studies.history import History


def best_configs(history: History, space: Space, n: int) -> list[Config]:
    """The configs of the best finished trials of an earlier study, best first, each carried into this space.

    Up to `n`, all different: what is carried to where a better one already is gives way to the next of the ranking. Of
    equal values the older trial comes first; with several goals they rank by fronts. A pruned trial is not in question:
    its value was reached at a smaller budget.
    """
    finished = [
        (trial, point) for trial in history.in_state("finished") if (point := history.objectives(trial)) is not None
    ]
    found: dict[str, Config] = {}
    for place in order([point for _, point in finished]):
        if len(found) >= n:
            break
        config = translate_config(finished[place][0].config, space)
        found.setdefault(repr(config), config)
    return list(found.values())
