"""The one training loop, over a stack of K >= 1 trials.

Every row has its own generator, from its trial's seed: it starts the weights, then shuffles each epoch. Rows meet in
no operation, so a trial's result does not depend on its neighbours, and a row that turns NaN hurts none. The data is
indexed on the device, and nothing waits for the device but the one transfer of metrics after each epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from search.protocols import Metrics, Running
from search.training.optimizers import Optimizer, optimizer_for, trained
from search.training.tensors import Tensors
from spaces.networks import Network, StackedNetwork, stacked

CHUNK = 1024  # validation samples at a time: large enough to be quick, small enough for any memory


def train(
    network: Network | StackedNetwork, data: Tensors, trials: Sequence[Running], epochs: int
) -> Iterator[list[Metrics]]:
    """After each epoch the metrics of every row, in the order of the trials.

    The trials' configs share the network's stack_key, the optimizer and the batch size. train_loss is the mean over
    the epoch's samples as they were trained on; val_loss and val_accuracy (or val_rmse, in the target's own units)
    are those of the validation part after the epoch.
    """
    configs = [trial.config for trial in trials]
    generators = [torch.Generator().manual_seed(trial.seed) for trial in trials]
    model = stacked(network, configs, data.inputs, data.outputs, generators).to(data.train_inputs.device)
    optimizer = optimizer_for(model, configs)
    batch_size = int(configs[0]["batch_size"])
    for _ in range(epochs):
        train_losses = _epoch(model, optimizer, data, generators, batch_size)
        yield _metrics(train_losses, *_evaluation(model, data, len(trials)), data)


def _epoch(
    model: nn.Module, optimizer: Optimizer, data: Tensors, generators: Sequence[torch.Generator], batch_size: int
) -> Tensor:
    """One pass over the training part, each row in its own order; the loss of each row and sample, (K, n)."""
    model.train()
    parameters = trained(model)
    inputs, targets, rows = data.train_inputs, data.train_targets, len(generators)
    orders = torch.stack([torch.randperm(len(inputs), generator=generator) for generator in generators])  # (K, n)
    epoch = []
    for index in torch.split(orders.to(inputs.device), batch_size, dim=1):  # (K, batch)
        flat = index.flatten()
        batch = inputs.index_select(0, flat).view(rows, -1, *data.inputs.shape)  # (K, batch, *shape)
        losses = _losses(model(batch), targets.index_select(0, flat).view(rows, -1), data)  # (K, batch)
        mean = torch.full_like(losses, 1 / losses.shape[1])  # each row's loss is its mean; rows are summed
        optimizer.step(torch.autograd.grad(losses, parameters, mean))
        epoch.append(losses.detach())
    return torch.cat(epoch, dim=1)


@torch.no_grad()
def _evaluation(model: nn.Module, data: Tensors, rows: int) -> tuple[Tensor, Tensor]:
    """Of each row and validation sample, (K, n): the loss, and the score.

    The score is whether the most likely class is the right one, or the squared error.
    """
    model.eval()
    losses, scores = [], []
    chunks = zip(torch.split(data.validation_inputs, CHUNK), torch.split(data.validation_targets, CHUNK), strict=True)
    for inputs, targets in chunks:
        outputs = model(inputs.expand(rows, *inputs.shape))  # (K, chunk, outputs)
        losses.append(_losses(outputs, targets.expand(rows, -1), data))
        scores.append(outputs.argmax(-1) == targets if data.classification else losses[-1])
    return torch.cat(losses, dim=1), torch.cat(scores, dim=1)


def _losses(outputs: Tensor, targets: Tensor, data: Tensors) -> Tensor:
    """Cross entropy (in nats) or squared error (of the standardised target) of each row and sample, (K, batch)."""
    if not data.classification:
        return (outputs.squeeze(-1) - targets).square()
    return cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


def metric_names(classification: bool) -> tuple[str, ...]:
    """The names of the metrics that `train` yields."""
    return ("train_loss", "val_loss", "val_accuracy" if classification else "val_rmse")


def _metrics(train_losses: Tensor, losses: Tensor, scores: Tensor, data: Tensors) -> list[Metrics]:
    """The means of each row, brought to the host at once."""
    score = _means(scores)
    if not data.classification:
        score = score.sqrt() * data.target_std
    table = torch.stack([_means(train_losses), _means(losses), score], dim=1)  # (K, 3)
    return [dict(zip(metric_names(data.classification), row, strict=True)) for row in table.tolist()]


def _means(values: Tensor) -> Tensor:
    """(K, n) → (K,), row by row: summed as one table, the order of the sum would depend on K."""
    return torch.stack([row.mean(dtype=torch.float64) for row in values])
