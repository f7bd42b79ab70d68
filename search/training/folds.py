"""Cross-validation of a stack of trials: one whole training per fold, and after each the mean over the folds so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np

from archsearch.search.protocols import CheckpointWriter, Metrics, TrialContext
from archsearch.search.training.loop import Diverged, Result

Train = Callable[
    [Sequence[TrialContext], int], Iterator[Sequence[Result]]
]  # trials, fold -> their results, epoch by epoch


def cross_validate(train: Train, trials: Sequence[TrialContext], folds: int) -> Iterator[list[Result]]:
    """What became of each trial after each fold: the mean of each metric over its folds so far, each at its last epoch.

    A trial that diverges in a fold has diverged, and is not trained on the next ones. Each fold's training has a seed
    of its own, from the trial's. A checkpoint lies between two folds: a trial alone goes on with the next one.
    """
    first, *others = trials
    done = [] if others or first.restored is None else first.restored
    reports: list[list[Metrics]] = [list(done) for _ in trials]  # of each trial, one of each fold
    going = list(range(len(trials)))
    for fold in range(len(done), folds):
        seeded = [_on_fold(trials[row], fold) for row in going]
        results: list[Result] = [None] * len(trials)
        for row, last in zip(going, _lasts(train(seeded, fold)), strict=True):
            if isinstance(last, Mapping):
                reports[row].append(last)
                results[row] = {name: fmean(report[name] for report in reports[row]) for name in last}
            else:
                results[row] = Diverged(f"in fold {fold + 1}, {last}")
        if not others and first.save_due:
            first.save(list(reports[0]))
        yield results
        going = [row for row in going if isinstance(results[row], Mapping)]
        if not going:
            return


def _on_fold(trial: TrialContext, fold: int) -> TrialContext:
    return replace(trial, seed=fold_seed(trial.seed, fold), restored=None, checkpoint_writer=CheckpointWriter())


def fold_seed(seed: int, fold: int) -> int:
    """The seed of a trial's training on a fold, counted from 0."""
    return int(np.random.SeedSequence([seed, fold]).generate_state(1)[0])


def _lasts(epochs: Iterator[Sequence[Result]]) -> list[Result]:
    """The last result of each row; rows end at different epochs."""
    lasts = list(next(epochs))
    for results in epochs:
        lasts = [kept if result is None else result for kept, result in zip(lasts, results, strict=True)]
    return lasts
