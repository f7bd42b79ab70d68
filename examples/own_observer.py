"""An observer of your own: writes each new best trial to bests.csv, in the current folder.

archsearch run examples/own_observer.py
"""

import csv
import sys
import time
from pathlib import Path

from archsearch import MLP, Choice, Float, Int, Observer, Recipe, Study, Supervised, digits


class BestsInCsv(Observer):
    """Appends the time, the number, the value and the configuration of each new best trial."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)  # not opened here, because each worker executes this file too

    def on_new_best(self, trial, history):
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow([time.ctime(), trial.number, history.value(trial), dict(trial.config)])

    def on_study_end(self, history):
        reason = history.session_ended.reason
        print(f"{reason}; the bests are in {self.path}", file=sys.stderr)  # stdout is for the result of the command


study = Study(
    name="own-observer",
    objective=Supervised(
        data=digits(),
        network=MLP(layers=Int(1, 2), units=Choice(32, 64, 128)),
        recipe=Recipe(learning_rate=Float(1e-4, 1e-1, log=True)),
    ),
    maximize="val_accuracy",
    observers=[BestsInCsv("bests.csv")],
    trials=20,
    budget=8,
)
