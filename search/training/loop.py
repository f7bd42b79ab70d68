"""The training loop, over a stack of K >= 1 trials.

Every row has its own generator, seeded with its trial's seed: it initializes the weights, seeds the other sources of
randomness (dropout, augmentation, techniques) and shuffles the samples of each epoch. No operation mixes rows, so the
result of a trial does not depend on the other trials of the stack, and a row that becomes NaN does not affect them. The
data is indexed on the device or streamed to it, and the host waits for the device only when the losses and metrics are
transferred after each epoch.

Everything around the optimizer's steps is a list of techniques; `technique` describes when their methods are called.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from archsearch.search.protocols import Metrics, TrialContext
from archsearch.search.training.augmentation import Augmentation, mix
from archsearch.search.training.averaging import Averaging
from archsearch.search.training.block_updates import Ball, Blocks
from archsearch.search.training.early_stopping import Stopping
from archsearch.search.training.gradients import Gradients
from archsearch.search.training.losses import Losses
from archsearch.search.training.metrics import PROGRESS, STANDARD, Metric, scores
from archsearch.search.training.optimizers import flat, flatten, optimizer_for, trained
from archsearch.search.training.progress import Progress
from archsearch.search.training.recipe import Recipe, schedule_of
from archsearch.search.training.schedules import Schedules
from archsearch.search.training.technique import Technique, Training
from archsearch.search.training.tensors import Tensors, on_host
from archsearch.spaces.networks import Network, StackedNetwork, stacked
from archsearch.spaces.networks.arguments import with_defaults

CHUNK = 1024  # validation samples per forward pass: large enough to be fast, small enough to fit into memory
EXPLODED = 1e6  # a training with a mean loss above this does not recover


class Diverged(Exception):  # noqa: N818 - the result of a trial, also passed as a value
    """The training of a trial diverged: its loss is NaN, infinite or above `EXPLODED`."""


Result = Metrics | Diverged | None  # of a row after an epoch; None if the row ended at an earlier epoch


class Loop:
    """Trains K trials, whose configs have the same `stack_key` of the network and of the recipe.

    A new Loop over the same trials continues from the `state()` of this one, taken between two epochs, with `restore`;
    the results on the CPU are bit-identical.

    Args:
        network: The network family.
        data: The training and validation data.
        trials: The trials, one per row.
        epochs: The number of epochs to train.
        names: The names of the metrics to report.
        recipe: The recipe, which holds the custom functions and techniques. By default, there are none.
        metrics: The custom metrics; `names` contains their names too.
    """

    def __init__(
        self,
        network: Network | StackedNetwork,
        data: Tensors,
        trials: Sequence[TrialContext],
        epochs: int,
        names: Sequence[str],
        recipe: Recipe | None = None,
        metrics: Sequence[Metric] = (),
    ) -> None:
        recipe = recipe or Recipe()
        configs = [with_defaults(Recipe, trial.config) for trial in trials]
        self._data, self._names, self._rows, self._metrics = data, names, len(trials), metrics
        self._generators = [torch.Generator().manual_seed(trial.seed) for trial in trials]
        self._device = data.device
        own = [trial.config for trial in trials]
        self._model = stacked(network, own, data.inputs, data.outputs, self._generators).to(self._device)
        weights = flatten(self._model, self._rows)  # (K, P)
        self._parameters = trained(self._model)
        samples = len(data.train_inputs)
        self._batch_size, self._accumulate = int(configs[0]["batch_size"]), int(configs[0]["accumulate"])
        self._half = configs[0]["precision"] == "bfloat16"
        self._losses = Losses(configs, data, recipe.function("loss", configs[0]))
        self._augmentation = Augmentation(self._seeds(), recipe.function("augmentation", configs[0]))
        self._training = Training(
            configs=configs,
            model=self._model,
            weights=weights,
            epochs=epochs,
            steps=math.ceil(math.ceil(samples / self._batch_size) / self._accumulate),
            samples=samples,
            shape=data.inputs.shape,
            seeds=self._seeds(),
        )
        self._optimizer = optimizer_for(weights, configs, self._model, recipe.function("optimizer", configs[0]))
        self._techniques = self._in_order(recipe)
        self._augments = self._augmentation in self._techniques
        with torch.no_grad():
            for technique in self._techniques:
                technique.training_begins(self._training)
        self._ended = [False] * self._rows
        self._done = 0  # epochs

    def _in_order(self, recipe: Recipe) -> list[Technique]:
        """The enabled techniques, in the order in which they are called. A new technique is one line here."""
        training, configs = self._training, self._training.configs
        techniques = (
            (Schedules([schedule_of(c, training.epochs, training.steps, recipe) for c in configs]), True),
            (self._augmentation, Augmentation.is_on(configs)),
            (Progress(self._names), any(name in PROGRESS for name in self._names)),
            (Gradients(), Gradients.is_on(configs)),
            (Blocks(), Blocks.is_on(configs)),
            (Ball(), Ball.is_on(configs)),
            *((copy.deepcopy(technique), True) for technique in recipe.techniques),
            (Averaging(), Averaging.is_on(configs)),
            (Stopping(), Stopping.is_on(configs)),
        )
        return [technique for technique, is_on in techniques if is_on]

    @property
    def over(self) -> bool:
        """Whether all rows have ended."""
        return self._done == self._training.epochs or all(self._ended)

    def epoch(self) -> list[Result]:
        """Train and evaluate one epoch.

        Returns:
            The result of each row. train_loss is the mean loss of the epoch's samples, as computed for the gradients
            (with augmentation, label smoothing and so on). The validation metrics are those after the epoch, or those
            of the best epoch if a row with `patience` ends.
        """
        self._training.epoch = self._done
        losses = self._train()
        evaluated = self._evaluate()
        with torch.no_grad():
            for technique in self._techniques:
                technique.epoch_ends(self._training, evaluated)
        self._done += 1
        lasts = self._training.ending()
        results: list[Result] = []
        for row, metrics in enumerate(evaluated):
            report = {"train_loss": losses[row], **metrics, **lasts.get(row, {})}
            diverged = _divergence(report, self._done)
            results.append(None if self._ended[row] else diverged or {name: report[name] for name in self._names})
            self._ended[row] |= diverged is not None or row in lasts
        return results

    def _train(self) -> list[float]:
        """Train for one pass over the training data, shuffled for each row by itself. Returns the mean losses, (K,)."""
        training, samples = self._training, self._training.samples
        self._model.train()
        orders = torch.stack([torch.randperm(samples, generator=generator) for generator in self._generators])  # (K, n)
        batches = self._data.batches(orders, self._batch_size)
        with torch.no_grad():
            for technique in self._techniques:
                technique.epoch_begins(training)
        self._optimizer.epoch_begins(training.rates)
        losses: list[Tensor] = []
        start = 0
        for step in range(training.steps):
            training.step = step
            most = min(self._accumulate * self._batch_size, samples - start)
            self._step(self._gradient(batches, start, most, losses))
            start += most
        means: list[float] = _means(torch.cat(losses, dim=1)).tolist()
        return means

    def _gradient(
        self, batches: Iterator[tuple[Tensor, Tensor]], start: int, samples: int, losses: list[Tensor]
    ) -> Tensor:
        """The gradient (K, P) of the mean loss of the next `samples` samples; `start` is the position of the first."""
        gradients: list[Tensor] = []
        stop = start + samples
        while start < stop:
            loss = self._batch_losses(*next(batches), start)  # (K, batch)
            # The mean over the samples of each row, summed over the rows.
            share = torch.full_like(loss, 1 / samples)
            parts = torch.autograd.grad(loss, self._parameters, share, materialize_grads=True)
            gradients.append(flat(parts, self._rows))
            losses.append(loss.detach())
            start += loss.shape[1]
        return gradients[0] if len(gradients) == 1 else torch.stack(gradients).sum(0)

    @torch.no_grad()
    def _step(self, gradient: Tensor) -> None:
        """Take one step of the optimizer with the gradient (K, P), and call the techniques before and after it."""
        for technique in self._techniques:
            technique.step_begins(self._training, gradient)
        self._optimizer.step(self._training.step, gradient)
        for technique in self._techniques:
            technique.step_ends(self._training)

    def _batch_losses(self, inputs: Tensor, targets: Tensor, start: int) -> Tensor:
        """The loss of each sample of a batch, (K, batch); `start` is the position of the first in the epoch."""
        share = None
        if self._augments:
            with torch.no_grad():
                inputs = self._augmentation.shown(inputs, start)
            share = self._augmentation.share(start, targets.shape[1])
        if share is None:
            return self._losses.trained(self._outputs(inputs), targets)
        outputs = self._outputs(mix(inputs, share))
        own, other = (self._losses.trained(outputs, labels) for labels in (targets, targets.roll(1, dims=1)))
        return share * own + (1 - share) * other

    def _outputs(self, inputs: Tensor) -> Tensor:
        """Forward pass, (K, batch, *shape) → (K, batch, outputs): in the recipe's precision, with float32 outputs."""
        if not self._half:
            return self._model(inputs)  # type: ignore[no-any-return]  # a module's call is untyped
        with torch.autocast(self._device.type, torch.bfloat16):
            return self._model(inputs).float()  # type: ignore[no-any-return]  # likewise

    @torch.no_grad()
    def _evaluate(self) -> list[dict[str, float]]:
        """The metrics of each row on the validation data."""
        for technique in self._techniques:
            technique.evaluation_begins(self._training)
        evaluated = self._validation_metrics()
        for technique in reversed(self._techniques):
            technique.evaluation_ends(self._training, evaluated)
        return evaluated

    def _validation_metrics(self) -> list[dict[str, float]]:
        self._model.eval()
        data, losses, outputs = self._data, [], []
        for inputs, targets in data.validation_chunks(CHUNK):
            outputs.append(self._outputs(inputs.expand(self._rows, *inputs.shape)))  # (K, chunk, outputs)
            losses.append(self._losses.plain(outputs[-1], targets.expand(self._rows, *targets.shape)))  # (K, chunk)
        loss, output = torch.cat(losses, dim=1), torch.cat(outputs, dim=1)
        score = _means(loss).sqrt() * data.target_std if data.one_number else _score(output, data)
        named = scores(self._names, output, data, self._metrics)
        standard = torch.stack([_means(loss), score], dim=1).tolist()  # (K, 2), in one transfer to the host
        names = ("val_loss", STANDARD[data.task])
        return [{**dict(zip(names, row, strict=True)), **more} for row, more in zip(standard, named, strict=True)]

    def _seeds(self) -> list[int]:
        """One seed per row, drawn from the row's generator, for techniques with generators of their own."""
        return [int(torch.randint(2**63 - 1, (), generator=generator)) for generator in self._generators]

    def state(self) -> dict[str, Any]:
        """The complete state between two epochs: plain values, and copies of all tensors in host memory."""
        return {
            "done": self._done,
            "ended": list(self._ended),
            "generators": [generator.get_state() for generator in self._every_generator],
            "model": {name: on_host(kept) for name, kept in self._model.state_dict().items()},
            "optimizer": self._optimizer.state(),
            "techniques": [on_host(technique.state()) for technique in self._techniques],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from the state of another Loop over the same trials."""
        self._done, self._ended = state["done"], list(state["ended"])
        for generator, kept in zip(self._every_generator, state["generators"], strict=True):
            generator.set_state(kept)
        self._model.load_state_dict(state["model"])
        self._optimizer.restore(state["optimizer"])
        for technique, kept in zip(self._techniques, state["techniques"], strict=True):
            technique.restore(kept)

    @property
    def _every_generator(self) -> list[torch.Generator]:
        return [*self._generators, *self._training.generators]


def _divergence(report: Metrics, epoch: int) -> Diverged | None:
    """Diverged, with the reason, if a loss is not finite or too large; None otherwise."""
    for name in ("train_loss", "val_loss"):
        if not abs(report[name]) <= EXPLODED:
            what = f"exploded to {report[name]:.3g}" if math.isfinite(report[name]) else f"is {report[name]}"
            return Diverged(f"{name} {what} after epoch {epoch}; lower the learning rate, or clip gradients")
    return None


def _score(outputs: Tensor, data: Tensors) -> Tensor:
    """The score that is always reported, (K,), for outputs (K, n, outputs) on the validation data.

    It is the accuracy; for several labels, the share of labels that are right; for several numbers, the mean over the
    targets of their root mean squared errors.
    """
    match data.task:
        case "classification":
            return _means(outputs.argmax(-1) == data.validation_targets)
        case "multilabel":
            return _means((outputs > 0) == (data.validation_targets > 0.5))
        case "regression":
            squares = (outputs - data.validation_targets).square()  # (K, n, k)
            errors = torch.stack([row.mean(0, dtype=torch.float64) for row in squares]).sqrt()  # (K, k)
            return _means(errors * torch.as_tensor(data.target_std, device=errors.device))


def _means(values: Tensor) -> Tensor:
    """The mean of each row, (K, n) → (K,). Row by row, because the summation order over the table depends on K."""
    return torch.stack([row.mean(dtype=torch.float64) for row in values])
