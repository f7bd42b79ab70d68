"""A network of your own: a NetworkFamily with `space` and `build`, declared in the spec file.

    archsearch run examples/own_network.py

This one is a highway network for tables, in which each layer has a learned gate. Thirty configurations on
scikit-learn's breast cancer data take ten seconds on two cores.
"""

import torch
from torch import nn

from archsearch import (
    TPE,
    Choice,
    Float,
    Inputs,
    Int,
    Median,
    NetworkFamily,
    Recipe,
    Space,
    Study,
    Supervised,
    breast_cancer,
)


class Gated(nn.Module):
    """x → x + gate · (change - x), as Srivastava et al. (2015), "Training very deep networks", section 2."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.change = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout))
        self.gate = nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, -1.0)  # nearly closed, so a deep network starts like a shallow one

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.sigmoid(self.gate(x)) * (self.change(x) - x)


class Highway(NetworkFamily):
    """`space` declares the parameters, and `build` returns the network for one configuration."""

    space = Space(depth=Int(1, 8), width=Choice(8, 16, 32, 64, ordered=True), dropout=Float(0.0, 0.5))

    def build(self, config: dict, inputs: Inputs, outputs: int) -> nn.Module:
        (columns,), width = inputs.shape, config["width"]
        gated = [Gated(width, config["dropout"]) for _ in range(config["depth"])]
        return nn.Sequential(nn.Linear(columns, width), *gated, nn.Linear(width, outputs))


study = Study(
    name="own-network",
    objective=Supervised(
        data=breast_cancer(),
        network=Highway(),
        recipe=Recipe(learning_rate=Float(1e-3, 1e-1, log=True), batch_size=Choice(16, 32, 64, ordered=True)),
    ),
    minimize="val_loss",
    strategy=TPE(),
    pruner=Median(),
    trials=30,
    budget=15,
)
