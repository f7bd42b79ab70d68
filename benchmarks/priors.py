"""What a prior brings, and what a wrong one costs: the best loss so far on `basin` of search.testing, paired seeds.

python benchmarks/priors.py --seeds 4 bayes gp
python benchmarks/priors.py --seeds 20 tpe evolution cmaes
"""

from __future__ import annotations

import argparse

import numpy as np

from archsearch.search.strategies import STRATEGIES, strategy
from archsearch.search.testing.problems import BASINS, basin
from archsearch.search.testing.simulation import simulated_history, study_of

TRIALS = {"bayes": 40, "gp": 40}  # costly to ask; 100 of the others
SHOWN = (10, 20, 30, 40, 60, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strategies", nargs="+", choices=list(STRATEGIES))
    parser.add_argument("--seeds", type=int, default=4)
    asked = parser.parse_args()
    print(f"| strategy | | {' | '.join(f'{trials} trials' for trials in SHOWN)} |")
    print(f"| --- {'| --- ' * (len(SHOWN) + 1)}|")
    for name in asked.strategies:
        for prior, space in BASINS.items():
            studies = [study_of(space, budget=1, seed=seed) for seed in range(asked.seeds)]
            histories = [simulated_history(strategy(name), s, basin, trials=TRIALS.get(name, 100)) for s in studies]
            losses = np.array([[basin(trial.config) for trial in history.trials] for history in histories])
            best = np.minimum.accumulate(losses, axis=1)  # (seeds, trials)
            error = best.std(axis=0, ddof=1) / asked.seeds**0.5
            cells = [f"{best[:, t - 1].mean():.3f} ± {error[t - 1]:.3f}" if t <= best.shape[1] else "" for t in SHOWN]
            print(f"| {name} | {prior} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
