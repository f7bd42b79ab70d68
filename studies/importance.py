"""Which parameters mattered: a random forest learns config → value, then each parameter is shuffled and the forest's
loss of accuracy is read off, on the trials that each tree was not shown (out-of-bag).

Rules, all of which the report states:

- Of several goals the first one counts, and no constraint on metrics does.
- Finished trials count with their value. Pruned and paused ones count with the last value that they reported: leaving
  them out would leave only what was let through. Failed, waiting and running trials are left out.
- Values far worse than most (beyond the upper quartile by 1.5 times the distance between the quartiles) count as that
  far, so that one diverged run does not decide.
- A parameter that is not active in a trial is a value of its own, so conditional parameters stay in. Shuffling a
  conditional parameter moves its values among the trials where it is active; shuffling one that conditions read
  switches the others on and off as the conditions say.

Method: Breiman, Random Forests, 2001, section 10.
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
MAX_TRIALS = 2_000  # beyond, a sample of this many: the answer no longer changes, the time would
TREES = 100
SHUFFLES = 5
INACTIVE = -0.5  # as far from the unit interval's ends as a tree needs to tell it apart

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Importance:
    """One parameter's part. `drop` is how much of the explained variance goes when the parameter is shuffled."""

    parameter: str
    share: float  # of all drops together; shares sum to 1
    drop: float
    spread: float  # standard deviation of `drop` over the shuffles


@dataclass(frozen=True, slots=True)
class Importances:
    """All free parameters, the most important first, and how far the forest may be believed."""

    explained: float  # out-of-bag R²: 1 is everything, 0 nothing
    trials: int  # how many the forest learned from
    of: int  # how many it might have
    parameters: tuple[Importance, ...]


@dataclass(frozen=True, slots=True)
class NotYet:
    """Why there is no answer."""

    reason: str


def importances(history: History) -> Importances | NotYet:
    """The importance of every free parameter of the study; the same history gives the same answer."""
    rng = np.random.default_rng(0)
    space = history.study.space
    if not space.free:
        return NotYet("The space has no free parameter, so there is nothing to weigh.")
    known = [
        (t.config, loss)
        for t in history.in_state("finished", "paused", "pruned")
        if (loss := history.loss(t)) is not None
    ]
    known = [(config, loss) for config, loss in known if np.isfinite(loss)]
    if len(known) < MIN_TRIALS:
        return NotYet(f"Importance needs {MIN_TRIALS} trials with a value; so far there are {len(known)}.")
    of = len(known)
    if of > MAX_TRIALS:
        known = [known[i] for i in np.sort(rng.choice(of, MAX_TRIALS, replace=False))]
    configs = [config for config, _ in known]
    losses = _fenced(np.array([loss for _, loss in known]))  # (trials,)
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
    """Configs as points of the unit cube, one column for each free parameter; INACTIVE where it is not active."""
    return Encoding(space, fill=INACTIVE).encode(configs)


class _Bag:
    """The forest, asked only about trials that each tree was not shown."""

    def __init__(self, points: Matrix, losses: Matrix) -> None:
        self.losses = losses
        self.forest = RandomForestRegressor(n_estimators=TREES, min_samples_leaf=2, random_state=0).fit(points, losses)
        unseen = np.ones((TREES, len(losses)), dtype=bool)  # (trees, trials)
        for row, seen in zip(unseen, self.forest.estimators_samples_, strict=True):
            row[seen] = False
        self.unseen = unseen
        self.judged = unseen.any(axis=0)  # a trial that every tree was shown cannot be judged
        self.explained = self._explained([points])[0]

    def drops(self, shuffled: list[Matrix]) -> Matrix:
        """How much less is explained, for each of the shuffled matrices."""
        return self.explained - np.array(self._explained(shuffled))

    def _explained(self, stack: list[Matrix]) -> list[float]:
        # All matrices pass through a tree in one call; the calls are what costs.
        rows = np.concatenate(stack).astype(np.float32)  # (matrices * trials, parameters)
        sums = np.zeros((len(stack), len(self.losses)))
        for tree, unseen in zip(self.forest.estimators_, self.unseen, strict=True):
            sums += tree.tree_.predict(rows).reshape(sums.shape) * unseen
        guesses = (sums / np.maximum(self.unseen.sum(axis=0), 1))[:, self.judged]
        losses = self.losses[self.judged]
        errors = ((guesses - losses) ** 2).mean(axis=1)
        return [float(1 - error / losses.var()) for error in errors]


def _shuffled(space: Space, parameter: Parameter, configs: list[Config], rng: np.random.Generator) -> Matrix:
    """The configs with this parameter's values dealt anew, and legal still: see the module's rules."""
    name = parameter.name
    active = [i for i, config in enumerate(configs) if name in config]
    dealt = [dict(config) for config in configs]
    for i, j in zip(active, rng.permutation(active), strict=True):
        dealt[i][name] = configs[j][name]
    if not any(p.condition and name in p.condition.names for p in space.parameters):
        return encode(space, dealt)
    return encode(space, [_completed(space, config, configs, rng) for config in dealt])


def _completed(space: Space, config: Config, donors: list[Config], rng: np.random.Generator) -> Config:
    """Walks the space anew: what falls inactive goes, and what becomes active takes a value that some trial had."""

    def value_of(parameter: Parameter) -> object:
        if parameter.name in config:
            return config[parameter.name]
        for j in rng.integers(len(donors), size=20):
            if parameter.name in donors[j]:
                return donors[j][parameter.name]
        return parameter.domain.sample(rng)

    return space.walk(value_of)  # type: ignore[arg-type]


def _fenced(losses: Matrix) -> Matrix:
    low, high = np.quantile(losses, [0.25, 0.75])
    return np.minimum(losses, high + 1.5 * (high - low)) if high > low else losses
