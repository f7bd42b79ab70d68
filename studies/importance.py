"""Parameter importance: the out-of-bag permutation importance of a random forest (Breiman 2001, "Random Forests",
section 10).

A forest learns to predict the value from the configuration. Then each parameter is shuffled, and its importance is the
loss of accuracy on the out-of-bag trials, those that a tree was not trained on. The report states these rules:

- The value is that of the first goal; outcome constraints are ignored.
- Finished trials count with their value, and pruned and paused trials with their last reported value. Without the
  latter, the data would be biased towards good configurations. Failed, waiting and running trials are ignored.
- Values beyond the upper quartile by more than 1.5 interquartile ranges are clipped to that bound, so that a single
  diverged run has little influence.
- "Inactive" is an additional value of a parameter, so conditional parameters are included. Shuffling a conditional
  parameter permutes its values among the trials in which it is active. Shuffling a parameter that others are
  conditional on activates and deactivates those accordingly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from archsearch.spaces import Config, Encoding, Parameter, Space
from archsearch.studies.history import History

MIN_TRIALS = 20
MAX_TRIALS = 2_000  # of more trials a random sample is used: the result barely changes, but the time would
TREES = 100
SHUFFLES = 5
INACTIVE = -0.5  # outside the unit interval, so that a tree can separate it

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Importance:
    """The importance of one parameter.

    Attributes:
        parameter: The name of the parameter.
        share: The drop as a share of the sum of all positive drops, 0 … 1.
        drop: The decrease of the out-of-bag R² when the parameter is shuffled, as a mean over the shuffles.
        spread: The standard deviation of the drop over the shuffles.
    """

    parameter: str
    share: float
    drop: float
    spread: float


@dataclass(frozen=True, slots=True)
class Importances:
    """The importance of each free parameter, and the accuracy of the forest.

    Attributes:
        explained: The out-of-bag R² of the forest. The importances are meaningless if it is low.
        trials: The number of trials that the forest was trained on.
        of: The number of trials with a value, of which those are a sample.
        parameters: All free parameters, the most important first.
    """

    explained: float
    trials: int
    of: int
    parameters: tuple[Importance, ...]


@dataclass(frozen=True, slots=True)
class NotYet:
    """The importance cannot be computed yet.

    Attributes:
        reason: Why, as a sentence for the report.
    """

    reason: str


def importances(history: History) -> Importances | NotYet:
    """Compute the importance of each free parameter. The result is deterministic.

    Args:
        history: The study.

    Returns:
        The importances, or NotYet if there are too few trials or nothing to compare.
    """
    rng = np.random.default_rng(0)
    space = history.study.space
    if not space.free:
        return NotYet("The space has no free parameter, so there is nothing to compare.")
    known = [
        (t.config, loss)
        for t in history.in_state("finished", "paused", "pruned")
        if (loss := history.loss(t)) is not None
    ]
    known = [(config, loss) for config, loss in known if np.isfinite(loss)]
    if len(known) < MIN_TRIALS:
        return NotYet(f"Parameter importance needs {MIN_TRIALS} trials with a value; there are {len(known)} so far.")
    of = len(known)
    if of > MAX_TRIALS:
        known = [known[i] for i in np.sort(rng.choice(of, MAX_TRIALS, replace=False))]
    configs = [config for config, _ in known]
    losses = _clipped(np.array([loss for _, loss in known]))  # (trials,)
    if np.ptp(losses) == 0:
        return NotYet(f"All {of} trials have the same value, so no parameter made a difference.")

    bag = _Bag(encode(space, configs), losses)
    drops = {
        parameter.name: bag.drops([_shuffled(space, parameter, configs, rng) for _ in range(SHUFFLES)])
        for parameter in space.free
    }
    total = sum(max(float(drop.mean()), 0.0) for drop in drops.values())
    parts = [
        Importance(name, max(float(d.mean()), 0.0) / total if total else 0.0, float(d.mean()), float(d.std()))
        for name, d in drops.items()
    ]
    return Importances(bag.explained, len(known), of, tuple(sorted(parts, key=lambda part: -part.drop)))


def encode(space: Space, configs: Iterable[Config]) -> Matrix:
    """Encode configurations as points of the unit cube, with INACTIVE for inactive parameters.

    Returns:
        (configs, free parameters).
    """
    return Encoding(space, fill=INACTIVE).encode(configs)


class _Bag:
    """A random forest with out-of-bag predictions: of each tree, only for trials that it was not trained on."""

    def __init__(self, points: Matrix, losses: Matrix) -> None:
        self.losses = losses
        self.forest = RandomForestRegressor(n_estimators=TREES, min_samples_leaf=2, random_state=0).fit(points, losses)
        unseen = np.ones((TREES, len(losses)), dtype=bool)  # (trees, trials)
        for row, seen in zip(unseen, self.forest.estimators_samples_, strict=True):
            row[seen] = False
        self.unseen = unseen
        self.judged = unseen.any(axis=0)  # without the trials that all trees were trained on
        self.explained = self._explained([points])[0]

    def drops(self, shuffled: list[Matrix]) -> Matrix:
        """The decrease of R² for each of the shuffled matrices."""
        return self.explained - np.array(self._explained(shuffled))

    def _explained(self, stack: list[Matrix]) -> list[float]:
        # Each tree predicts all matrices in one call, as the overhead of the calls dominates.
        rows = np.concatenate(stack).astype(np.float32)  # (matrices * trials, parameters)
        sums = np.zeros((len(stack), len(self.losses)))
        for tree, unseen in zip(self.forest.estimators_, self.unseen, strict=True):
            sums += tree.tree_.predict(rows).reshape(sums.shape) * unseen
        predictions = (sums / np.maximum(self.unseen.sum(axis=0), 1))[:, self.judged]
        losses = self.losses[self.judged]
        errors = ((predictions - losses) ** 2).mean(axis=1)
        return [float(1 - error / losses.var()) for error in errors]


def _shuffled(space: Space, parameter: Parameter, configs: list[Config], rng: np.random.Generator) -> Matrix:
    """The configurations with the values of one parameter shuffled. They stay valid, see the rules of the module."""
    name = parameter.name
    active = [i for i, config in enumerate(configs) if name in config]
    shuffled = [dict(config) for config in configs]
    for i, j in zip(active, rng.permutation(active), strict=True):
        shuffled[i][name] = configs[j][name]
    if not any(p.condition and name in p.condition.names for p in space.parameters):
        return encode(space, shuffled)
    return encode(space, [_completed(space, config, configs, rng) for config in shuffled])


def _completed(space: Space, config: Config, donors: list[Config], rng: np.random.Generator) -> Config:
    """A valid configuration: parameters that became inactive are removed, those that became active get the value of
    another trial.
    """

    def value_of(parameter: Parameter) -> object:
        if parameter.name in config:
            return config[parameter.name]
        for j in rng.integers(len(donors), size=20):
            if parameter.name in donors[j]:
                return donors[j][parameter.name]
        return parameter.domain.sample(rng)

    return space.walk(value_of)  # type: ignore[arg-type]


def _clipped(losses: Matrix) -> Matrix:
    low, high = np.quantile(losses, [0.25, 0.75])
    return np.minimum(losses, high + 1.5 * (high - low)) if high > low else losses
