"""Training code of your own: a generator that yields its metrics. It needs no code for pruning.

archsearch run examples/own_objective.py
"""

import itertools

import torch
from sklearn.datasets import make_moons

from archsearch import TPE, Choice, Float, Int, Space, Study, SuccessiveHalving, When


def moons(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two interleaved half circles: points (400, 2) and their classes (400,)."""
    points, classes = make_moons(400, noise=0.2, random_state=seed)
    return torch.tensor(points, dtype=torch.float32), torch.tensor(classes)


def train(trial):
    config = trial.config  # a plain dict of the active parameters
    torch.manual_seed(trial.seed)
    widths = [2] + [config["width"]] * config["depth"]
    layers = [m for a, b in itertools.pairwise(widths) for m in (torch.nn.Linear(a, b), torch.nn.Tanh())]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], 2)).to(trial.device)
    if config["optimizer"] == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), config["lr"], momentum=config["momentum"])
    else:
        optimizer = torch.optim.Adam(model.parameters(), config["lr"])
    points, classes = (tensor.to(trial.device) for tensor in moons(seed=0))
    held_points, held_classes = (tensor.to(trial.device) for tensor in moons(seed=1))
    start = 0
    if trial.restored:  # the trial resumes from its last checkpoint
        start, model_state, optimizer_state = trial.restored
        model.load_state_dict(model_state)
        optimizer.load_state_dict(optimizer_state)
    for epoch in range(start, trial.budget):
        for _ in range(10):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(points), classes)
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = (model(held_points).argmax(1) == held_classes).float().mean()
        print(f"loss {loss.item():.3f}")  # stored with the trial: archsearch show own-objective.db 3 --log
        if trial.save_due:  # once a minute, unless Study(checkpoint_every=...) says otherwise
            trial.save((epoch + 1, model.state_dict(), optimizer.state_dict()))
        yield {"loss": loss.item(), "accuracy": accuracy.item()}


study = Study(
    name="own-objective",
    space=Space(
        depth=Int(1, 3),
        width=Int(4, 64, log=True),
        optimizer=Choice("sgd", "adam"),
        momentum=When("optimizer == 'sgd'", Float(0.0, 0.99)),  # active only with sgd
        lr=Float(1e-3, 1.0, log=True),
    ),
    objective=train,
    maximize="accuracy",
    strategy=TPE(),
    pruner=SuccessiveHalving(),
    trials=40,
    budget=20,
)
