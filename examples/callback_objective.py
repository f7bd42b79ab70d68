"""A training loop with callbacks, as in Lightning, Keras or Hugging Face: a callback reports, and stops the loop.

archsearch run examples/callback_objective.py
"""

import torch
from sklearn.datasets import load_digits

from archsearch import Float, Int, Median, Space, Study


class Trainer:
    """A stand-in for the trainer of a library: it calls its callbacks after each epoch, until `should_stop` is set."""

    def __init__(self, max_epochs, callbacks):
        self.max_epochs, self.callbacks, self.should_stop, self.metrics = max_epochs, callbacks, False, {}

    def fit(self, model, optimizer, train, validation):
        for _ in range(self.max_epochs):
            for inputs, targets in zip(*(part.split(64) for part in train), strict=True):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(inputs), targets).backward()
                optimizer.step()
            with torch.no_grad():
                inputs, targets = validation
                self.metrics["val_accuracy"] = (model(inputs).argmax(1) == targets).float().mean()
            for callback in self.callbacks:
                callback.on_validation_end(self)
            if self.should_stop:
                return


class ReportToArchsearch:
    """The callback, similar for every library: reports the metrics, and stops the trainer when the trial is over."""

    def __init__(self, trial):
        self.trial = trial

    def on_validation_end(self, trainer):
        if not self.trial.report(trainer.metrics):
            trainer.should_stop = True


def load():
    inputs, targets = load_digits(return_X_y=True)
    return torch.tensor(inputs / 16, dtype=torch.float32), torch.tensor(targets)


def train(trial):
    inputs, targets = (part.to(trial.device) for part in load())
    width = trial.config["width"]
    model = torch.nn.Sequential(torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, 10))
    optimizer = torch.optim.Adam(model.to(trial.device).parameters(), trial.config["lr"])
    trainer = Trainer(max_epochs=trial.budget, callbacks=[ReportToArchsearch(trial)])
    trainer.fit(model, optimizer, (inputs[:1200], targets[:1200]), (inputs[1200:1500], targets[1200:1500]))


study = Study(
    name="callback-objective",
    space=Space(width=Int(8, 128, log=True), lr=Float(1e-4, 1e-1, log=True)),
    objective=train,
    maximize="val_accuracy",
    pruner=Median(),
    trials=30,
    budget=10,
)
