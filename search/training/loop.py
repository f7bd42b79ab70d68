"""The one training loop, over a stack of K >= 1 trials.

Every row has its own generator, from its trial's seed: it starts the weights, seeds what draws noise of its own
(dropout, augmentation, local updates), then shuffles each epoch. Rows meet in no operation, so a trial's result does
not depend on its neighbours, and a row that turns NaN hurts none. The data is indexed on the device, or streams to it,
and nothing waits for the device but the transfer of losses and metrics after each epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archsearch.search.protocols import Metrics, TrialContext
from archsearch.search.training.augmentation import Augmentation, Epoch, mix
from archsearch.search.training.averaging import Averaging
from archsearch.search.training.block_updates import Ball, Blocks
from archsearch.search.training.early_stopping import Stopping
from archsearch.search.training.gradients import Gradients
from archsearch.search.training.losses import Losses
from archsearch.search.training.metrics import STANDARD, scores
from archsearch.search.training.optimizers import Rates, flat, flatten, optimizer_for, rate_scales, trained
from archsearch.search.training.progress import Progress
from archsearch.search.training.recipe import Recipe, schedule_of
from archsearch.search.training.tensors import Tensors, on_host
from archsearch.spaces.networks import Network, StackedNetwork, stacked
from archsearch.spaces.networks.arguments import with_defaults

CHUNK = 1024  # validation samples at a time: large enough to be quick, small enough for any memory
EXPLODED = 1e6  # a mean loss above this comes from weights that no later step brings back


class Diverged(Exception):  # noqa: N818 - what became of a trial, handed over as a value
    """A trial's training has come to nothing: its loss is NaN, infinite, or has exploded."""


Result = Metrics | Diverged | None  # of a row after an epoch; None: it ended before


class Loop:
    """K trials in training. Their configs share the network's stack_key and the recipe's.

    names: of the metrics to report. `state()` between two epochs is all that a new Loop of the same trials needs to go
    on with `restore`, bit for bit on the CPU.
    """

    def __init__(
        self,
        network: Network | StackedNetwork,
        data: Tensors,
        trials: Sequence[TrialContext],
        epochs: int,
        names: Sequence[str],
    ) -> None:
        configs = self._configs = [with_defaults(Recipe, trial.config) for trial in trials]
        self._data, self._names, self._rows, self._epochs = data, names, len(trials), epochs
        self._generators = [torch.Generator().manual_seed(trial.seed) for trial in trials]
        self._device = data.device
        own = [trial.config for trial in trials]
        self._model = stacked(network, own, data.inputs, data.outputs, self._generators).to(self._device)
        self._values = flatten(self._model, self._rows)  # (K, P)
        self._batch_size, self._accumulate = int(configs[0]["batch_size"]), int(configs[0]["accumulate"])
        self._half = configs[0]["precision"] == "bfloat16"
        self._steps = math.ceil(math.ceil(len(data.train_inputs) / self._batch_size) / self._accumulate)
        self._schedules = [schedule_of(config, epochs, self._steps) for config in configs]
        self._scales = rate_scales(self._model, self._values)
        self._losses = Losses(configs, data)
        self._augmentation = Augmentation(configs, data.inputs.shape, self._seeds(), self._device)
        self._gradients = Gradients(configs, self._values)
        self._blocks = Blocks(configs, self._values, self._model, self._seeds())
        self._optimizer = optimizer_for(self._values, configs)
        self._ball = Ball(configs, self._values, self._model)
        self._averaging = Averaging(configs, self._values, self._model, epochs)
        self._stopping = Stopping(configs, self._values, epochs)
        self._progress = Progress(names, self._rows, self._device)
        self._ended = [False] * self._rows
        self._done = 0  # epochs

    @property
    def over(self) -> bool:
        """Has every row had its last epoch?"""
        return self._done == self._epochs or all(self._ended)

    def epoch(self) -> list[Result]:
        """Train one epoch, and say what became of each row.

        train_loss is the mean over the epoch's samples as they were trained on; the validation metrics are those after
        the epoch, or of the best one where a row with `patience` ends.
        """
        losses = self._train()
        self._averaging.epoch(self._done)
        with self._averaging.in_place():
            evaluated = self._evaluate()
            lasts = self._stopping.epoch(self._done, evaluated, self._values)
        results: list[Result] = []
        self._done += 1
        for row, progress in enumerate(self._progress.metrics()):
            self._schedules[row].tell(evaluated[row]["val_loss"])
            report = {"train_loss": losses[row], **(lasts[row] or evaluated[row]), **progress}
            diverged = _divergence(report, self._done)
            results.append(None if self._ended[row] else diverged or {name: report[name] for name in self._names})
            self._ended[row] |= diverged is not None or lasts[row] is not None
        return results

    def _train(self) -> list[float]:
        """One pass over the training part, each row in its own order; the mean loss of each row."""
        self._model.train()
        parameters, samples, start = trained(self._model), len(self._data.train_inputs), 0
        orders = torch.stack([torch.randperm(samples, generator=generator) for generator in self._generators])  # (K, n)
        batches = self._data.batches(orders, self._batch_size)
        sizes = [min(self._batch_size, samples - first) for first in range(0, samples, self._batch_size)]
        noise = self._augmentation.epoch(samples)
        rates = self._rates()
        self._optimizer.epoch(rates)
        self._blocks.epoch(self._steps)
        self._progress.begin(samples, rates.table[-1])
        epoch: list[Tensor] = []
        for step in range(self._steps):
            group = sizes[step * self._accumulate : (step + 1) * self._accumulate]
            share = 1 / sum(group)  # each row's loss is its mean; rows are summed
            gradients: list[Tensor] = []  # (K, P) each
            for size in group:
                losses = self._batch_losses(*next(batches), noise, start)  # (K, batch)
                parts = torch.autograd.grad(losses, parameters, torch.full_like(losses, share), materialize_grads=True)
                gradients.append(flat(parts, self._rows))
                epoch.append(losses.detach())
                start += size
            self._step(step, gradients[0] if len(group) == 1 else torch.stack(gradients).sum(0))
        means: list[float] = _means(torch.cat(epoch, dim=1)).tolist()
        self._progress.end()
        return means

    def _step(self, step: int, gradient: Tensor) -> None:
        """One step along the gradient, (K, P), and what goes with it."""
        self._progress.step(gradient)
        self._gradients.shape(gradient)
        self._blocks.before()
        self._optimizer.step(step, gradient)
        self._blocks.after(step)
        self._ball.project()
        self._averaging.step()

    def _batch_losses(self, inputs: Tensor, targets: Tensor, noise: Epoch, start: int) -> Tensor:
        """The loss of each row and sample of a batch, (K, batch), whose first sample is the epoch's `start`-th."""
        inputs = self._augmentation.inputs(inputs, noise, start)
        if noise.share is None:
            return self._losses.trained(self._outputs(inputs), targets)
        share = noise.share[:, start : start + targets.shape[1]]
        outputs = self._outputs(mix(inputs, share))
        own, other = (self._losses.trained(outputs, labels) for labels in (targets, targets.roll(1, dims=1)))
        return share * own + (1 - share) * other

    def _outputs(self, inputs: Tensor) -> Tensor:
        """(K, batch, *shape) → (K, batch, outputs), in the recipe's precision within, and single outside."""
        if not self._half:
            return self._model(inputs)  # type: ignore[no-any-return]  # a module's call is untyped
        with torch.autocast(self._device.type, torch.bfloat16):
            return self._model(inputs).float()  # type: ignore[no-any-return]  # likewise

    @torch.no_grad()
    def _evaluate(self) -> list[Metrics]:
        """The metrics of each row on the validation part."""
        self._model.eval()
        data, losses, outputs = self._data, [], []
        for inputs, targets in data.validation_chunks(CHUNK):
            outputs.append(self._outputs(inputs.expand(self._rows, *inputs.shape)))  # (K, chunk, outputs)
            losses.append(self._losses.plain(outputs[-1], targets.expand(self._rows, -1)))  # (K, chunk)
        loss, output = torch.cat(losses, dim=1), torch.cat(outputs, dim=1)
        if data.classification:
            score = _means(output.argmax(-1) == data.validation_targets)
        else:
            score = _means(loss).sqrt() * data.target_std
        named = scores(self._names, output, data)
        standard = torch.stack([_means(loss), score], dim=1).tolist()  # (K, 2), brought to the host at once
        names = ("val_loss", STANDARD[data.classification])
        return [{**dict(zip(names, row, strict=True)), **more} for row, more in zip(standard, named, strict=True)]

    def _rates(self) -> Rates:
        """The learning rates of the coming epoch."""
        factors = np.stack([schedule.factors(self._done) for schedule in self._schedules], axis=1)  # (steps, K)
        base = np.array([config["learning_rate"] for config in self._configs])
        return Rates(torch.from_numpy(factors * base).unsqueeze(-1).to(self._device), self._scales)

    def _seeds(self) -> list[int]:
        """A seed from each row's generator, for what draws noise of its own."""
        return [int(torch.randint(2**63 - 1, (), generator=generator)) for generator in self._generators]

    def state(self) -> dict[str, Any]:
        """Everything, as it is between two epochs: plain values, and tensors of their own in the host's memory."""
        return {
            "done": self._done,
            "ended": list(self._ended),
            "generators": [generator.get_state() for generator in self._generators],
            "model": {name: on_host(kept) for name, kept in self._model.state_dict().items()},
            "optimizer": [on_host(kept) for kept in self._optimizer.memory],
            "schedules": [schedule.state() for schedule in self._schedules],
            **{name: part.state() for name, part in self._parts.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what another Loop of the same trials has saved."""
        self._done, self._ended = state["done"], list(state["ended"])
        for generator, kept in zip(self._generators, state["generators"], strict=True):
            generator.set_state(kept)
        self._model.load_state_dict(state["model"])
        for memory, kept in zip(self._optimizer.memory, state["optimizer"], strict=True):
            memory.copy_(kept)
        for schedule, kept in zip(self._schedules, state["schedules"], strict=True):
            schedule.restore(kept)
        for name, part in self._parts.items():
            part.restore(state[name])

    @property
    def _parts(self) -> dict[str, Averaging | Stopping | Blocks | Augmentation]:
        return {
            "averaging": self._averaging,
            "stopping": self._stopping,
            "blocks": self._blocks,
            "augmentation": self._augmentation,
        }


def _divergence(report: Metrics, epoch: int) -> Diverged | None:
    """Why the trial has come to nothing, if it has."""
    for name in ("train_loss", "val_loss"):
        if not abs(report[name]) <= EXPLODED:
            what = f"exploded to {report[name]:.3g}" if math.isfinite(report[name]) else f"is {report[name]}"
            return Diverged(f"{name} {what} after epoch {epoch}; lower the learning rate, or clip gradients")
    return None


def _means(values: Tensor) -> Tensor:
    """(K, n) → (K,), row by row: summed as one table, the order of the sum would depend on K."""
    return torch.stack([row.mean(dtype=torch.float64) for row in values])
