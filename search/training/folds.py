"""Cross-validation of a stack of trials: one training from scratch per fold, and a report after each fold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np

from archsearch.search.protocols import CheckpointWriter, Metrics, TrialContext
from archsearch.search.training.loop import Diverged, Result

# (trials, fold) -> the result of each trial after each epoch
Train = Callable[[Sequence[TrialContext], int], Iterator[Sequence[Result]]]


def cross_validate(train: Train, trials: Sequence[TrialContext], folds: int) -> Iterator[list[Result]]:
    """Train the trials on each fold, and average their metrics over the folds completed so far.

    A trial that diverges on one fold counts as diverged, and is not trained on the remaining ones. Each fold is trained
    with its own seed, derived from the trial's. A single trial is checkpointed after each fold, and resumes with the
    next one.

    Args:
        train: Trains the trials on one fold, given its index; yields the result of each trial after each epoch.
        trials: The trials of the stack.
        folds: How many folds to train on.

    Yields:
        After each fold, the result of each trial: the mean of each metric's final value over the folds so far,
        Diverged, or None if it diverged on an earlier fold.
    """
    first, *others = trials
    done = [] if others or first.restored is None else first.restored
    reports: list[list[Metrics]] = [list(done) for _ in trials]  # for each trial, one report per fold
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
    """The seed for training a trial on a fold. Folds are counted from 0."""
    return int(np.random.SeedSequence([seed, fold]).generate_state(1)[0])


def _lasts(epochs: Iterator[Sequence[Result]]) -> list[Result]:
    """The last result of each row. Rows may end at different epochs."""
    lasts = list(next(epochs))
    for results in epochs:
        lasts = [kept if result is None else result for kept, result in zip(lasts, results, strict=True)]
    return lasts
