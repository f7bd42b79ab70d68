"""Warm starts: the best configurations of an earlier study as the first ones of a new study.

Configurations that were good for a similar problem are a better start than random ones. Feurer et al. 2015,
"Initializing Bayesian Hyperparameter Optimization via Meta-Learning", section 3, initialize a search with the best
configuration of each of the most similar data sets.
"""

from __future__ import annotations

from archsearch.spaces import Config, Space, translate_config
from archsearch.studies.goals import best_first
from archsearch.studies.history import History


def best_configs(history: History, space: Space, n: int) -> list[Config]:
    """The best configurations of an earlier study, translated to another space.

    Only finished trials count, as pruned ones reached their values at smaller budgets. With several goals, trials are
    ranked as by `best_first`; ties go to the older trial.

    Args:
        history: The earlier study.
        space: The space of the new study.
        n: The maximum number of configurations.

    Returns:
        Up to `n` different configurations of `space`, best first. If several translate to the same configuration, it
        appears once.
    """
    finished = [
        (trial, vector) for trial in history.in_state("finished") if (vector := history.objectives(trial)) is not None
    ]
    found: dict[str, Config] = {}
    for index in best_first([vector for _, vector in finished]):
        if len(found) >= n:
            break
        config = translate_config(finished[index][0].config, space)
        found.setdefault(repr(config), config)
    return list(found.values())
