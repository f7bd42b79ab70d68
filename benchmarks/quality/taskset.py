"""Real training curves: TaskSet (Metz et al. 2020, "Using a Thousand Optimization Tasks to Learn Hyperparameter Search
Strategies"), 1,000 configurations of Adam with 8 hyperparameters on each of some recurrent text classifiers.

The space is the one that the configurations were drawn from, and a configuration in it trains as the nearest of the
thousand did (in the unit cube). The first of the 51 points is taken before training, so a full trial reports 50. The
loss is the published validation loss: some runs diverge to NaN, which fails the trial, and some to 1e16, which is
part of the problem. There is one run of each, so a configuration is scored by what was seen.
"""

from __future__ import annotations

import gzip
import json
import math
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archsearch import Config, Encoding, Float, Space
from quality.problem import Problem

TASKS = {
    "taskset-lstm": "imdb_patch128_LSTM128_avg_bs64",
    "taskset-gru": "imdb_patch32_GRU128_bs128",
    "taskset-irnn": "imdb_patch32_IRNN64_relu_avg_bs128",
    "taskset-lstm-embed": "imdb_patch128_LSTM128_embed128_bs64",
    "taskset-lstm-e": "imdb_patch32_LSTM128_E128_bs128",
    "taskset-vrnn": "imdb_patch32_VRNN128_tanh_bs128",
}
# The ranges of the paper's family Adam8p; the momenta are searched as their distance from 1.
SPACE = Space(
    learning_rate=Float(1e-8, 1e1, log=True),
    one_minus_beta1=Float(1e-4, 1.0, log=True),
    one_minus_beta2=Float(1e-6, 1.0, log=True),
    epsilon=Float(1e-10, 1e3, log=True),
    l1=Float(1e-8, 1e1, log=True),
    l2=Float(1e-8, 1e1, log=True),
    linear_decay=Float(1e-7, 1e-4, log=True),
    exponential_decay=Float(1e-6, 1e-3, log=True),
)
_ENCODING = Encoding(SPACE)


def problems(folder: Path) -> list[Problem]:
    """SystemExit when the folder does not hold the tasks: without them the benchmark would be another."""
    if missing := [name for name in TASKS.values() if not (folder / f"{name}.json.gz").is_file()]:
        raise SystemExit(
            f"{folder} holds no {missing[0]}.json.gz; --taskset wants the folder data/taskset of "
            "github.com/releaunifreiburg/DPL (or name --problems without TaskSet)"
        )
    return [_problem(name, folder / f"{task}.json.gz") for name, task in TASKS.items()]


def _problem(name: str, path: Path) -> Problem:
    def losses(config: Config) -> NDArray[np.float64]:
        points, curves = _runs(path)
        nearest = np.argmin(((points - _ENCODING.encode([config])[0]) ** 2).sum(axis=1))
        return curves[nearest]

    def score(config: Config, world: int) -> float:
        last = float(losses(config)[-1])
        return last if math.isfinite(last) else math.inf

    return Problem(
        name,
        f"validation loss of {path.name.removesuffix('.json.gz')}, 8 hyperparameters of Adam, 50 reports",
        SPACE,
        budget=50,
        curve=lambda config, world: [(1.0, loss) for loss in losses(config).tolist()],
        score=score,
        best=lambda world: float(np.nanmin(_runs(path)[1][:, -1])),
    )


@lru_cache(maxsize=8)
def _runs(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The configurations in the unit cube (1000, 8), and their validation losses after training began (1000, 50)."""
    runs = json.loads(gzip.decompress(path.read_bytes()))
    configs = [
        {
            "one_minus_beta1": 1 - run["hp"]["beta1"],
            "one_minus_beta2": 1 - run["hp"]["beta2"],
            **{name: run["hp"][name] for name in SPACE if name in run["hp"]},
        }
        for run in runs
    ]
    curves = [[math.nan if loss is None else loss for loss in run["valid"]["loss"][1:]] for run in runs]
    return _ENCODING.encode(configs), np.array(curves)
