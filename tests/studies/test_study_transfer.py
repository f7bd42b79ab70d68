"""What is taken over from an earlier study: the best, once each, as configs of the new space."""

from __future__ import annotations

import pytest

from archsearch import Config, Float, Int, Space, constraint
from archsearch.studies.goals import Goal
from archsearch.studies.history import History
from archsearch.studies.records import (
    Ended,
    Failed,
    Finished,
    Outcome,
    Proposal,
    Proposed,
    Pruned,
    Report,
    Reported,
    Started,
    StudyRecord,
)
from archsearch.studies.transfer import best_configs

SPACE = Space(rate=Float(0, 1), layers=Int(1, 9))


def history_of(*trials: tuple[Config, float | None, Outcome | None], maximize: bool = False) -> History:
    """Trials by number: config, value, and how it ended; None: it has not."""
    study = StudyRecord("earlier", SPACE, (Goal("loss", maximize),), None, 0, strategy="", pruner="")
    history = History(study)
    for number, (config, value, outcome) in enumerate(trials):
        history = history.apply(Proposed(0.0, number, Proposal(config, None), history.seq))
        history = history.apply(Started(0.0, number, 1, "worker"))
        if value is not None:
            history = history.apply(Reported(0.0, number, Report(1, {"loss": value}, 0.0)))
        if outcome is not None:
            history = history.apply(Ended(0.0, number, outcome))
    return history


def config(rate: float, layers: int) -> Config:
    return {"rate": rate, "layers": layers}


HISTORY = (
    (config(0.1, 1), 3.0, Finished()),
    (config(0.2, 2), 1.0, Finished()),
    (config(0.3, 3), 0.0, Pruned("behind")),
    (config(0.4, 4), 0.0, Failed("no luck")),
    (config(0.5, 5), 1.0, Finished()),
    (config(0.6, 6), None, Finished()),
    (config(0.7, 7), 0.0, None),
    (config(0.8, 8), 2.0, Finished()),
)


@pytest.mark.parametrize("maximize", [False, True])
def test_the_best_finished_trials_come_first_and_the_older_of_equals(maximize: bool) -> None:
    layers = [made["layers"] for made in best_configs(history_of(*HISTORY, maximize=maximize), SPACE, 9)]
    assert layers == ([1, 8, 2, 5] if maximize else [2, 5, 8, 1])


@pytest.mark.parametrize(("n", "layers"), [(0, []), (1, [2]), (2, [2, 3]), (9, [2, 3, 1])])
def test_what_is_carried_to_one_place_counts_once_and_the_next_moves_up(n: int, layers: list[int]) -> None:
    narrower = Space(constraint("layers <= 3"), layers=Int(1, 3), width=Int(8, 8))
    made = best_configs(history_of(*HISTORY), narrower, n)
    assert made == [{"layers": count, "width": 8} for count in layers]


def test_a_study_without_a_finished_trial_has_none() -> None:
    assert best_configs(history_of(*HISTORY[2:4]), SPACE, 3) == []
