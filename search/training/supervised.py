"""Supervised: the objective that trains networks of a family on data. It defines its own search space."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from archsearch.search.protocols import Metrics, Objective, TrialContext
from archsearch.search.training.allocation import keep_freed_memory
from archsearch.search.training.class_balance import constant_labels_warning, imbalance_warning
from archsearch.search.training.data import Data, DataSource, Prepared
from archsearch.search.training.data.preparation import as_data
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.streaming import Scratch
from archsearch.search.training.data.summary import data_warnings, summary
from archsearch.search.training.folds import cross_validate
from archsearch.search.training.loop import Diverged, Loop, Result
from archsearch.search.training.metrics import (
    COSTS,
    EXTRA,
    LOSSES,
    STANDARD,
    Given,
    Metric,
    check_name,
    check_scores,
    explain_task,
    metric_names,
    own_metrics,
)
from archsearch.search.training.optimizers import MEMORY_COPIES, OWN_MEMORY_COPIES
from archsearch.search.training.recipe import Recipe, check_fits, check_streams, reduction_of
from archsearch.search.training.recipe import stack_key as recipe_key
from archsearch.search.training.reduction import reduced, reduced_inputs
from archsearch.search.training.rehearsal import rehearse_functions, rehearse_training
from archsearch.search.training.tensors import Tensors
from archsearch.search.validation import check_int
from archsearch.spaces import Config, DataError, ExecutionError, Space, SpecError
from archsearch.spaces.inputs import Inputs
from archsearch.spaces.networks import Network, StackedNetwork, stack_key
from archsearch.spaces.networks.arguments import extremes
from archsearch.spaces.networks.base import check_family
from archsearch.spaces.networks.costs import Costs, costs
from archsearch.spaces.networks.rehearsal import rehearse
from archsearch.studies.formatting import file_size


@dataclass(frozen=True)
class Supervised(Objective):
    """Trains networks of a family on data, and reports their training and validation metrics.

        Supervised(data=digits(), network=MLP(layers=Int(1, 4), units=64), recipe=Recipe(batch_size=Choice(32, 64)))

    One unit of budget is one epoch. With cross-validation, `Split(folds=k)`, it is one fold, on which the network is
    trained from scratch for `epochs` epochs. Each report then contains the mean of each metric over the folds so far,
    and the budget is k, or less for a faster, less certain estimate.

    Trials with equal `stack_key` may train as one program (`run_stack`); the results are the same as if each trained
    alone. A pickled objective does not contain the data passed to `attach`.

    Args:
        data: A data source, such as `digits()` or `csv(...)`.
        network: A network family, such as `MLP(...)` or your own.
        recipe: How the networks are trained. By default, `Recipe()`.
        metrics: The metrics to report in addition to train_loss, val_loss, and val_accuracy or val_rmse. (With several
            labels per sample, val_accuracy is the share of labels that are right; with several numbers, val_rmse is the
            mean over the targets.) A tuple or
            list of names and functions, or a mapping from names to functions: `metrics=("val_f1", my_metric)`,
            `metrics={"gap": lambda predictions, targets: ...}`.

            The names are those of scores ("val_auroc", "val_balanced_accuracy", "val_f1", "val_precision",
            "val_recall" and "val_top_K" for classification; of these "val_auroc", "val_f1", "val_precision" and
            "val_recall" also for several labels; "val_mae" and "val_r2" for regression), of measurements of
            the training ("gradient_norm", "learning_rate", "peak_memory_bytes", "samples_per_second"), and of the
            network's costs ("parameters", and the "flops" of a forward pass of one sample).

            A function `metric(predictions, targets)` returns a number for the validation data, and is reported under
            its `__name__`, or its name in the mapping, with the prefix "val_". Both arguments are tensors on the CPU.
            For classification: the class probabilities (n, classes) and the class indices (n,). For several labels:
            the probability of each label and zeros and ones, both (n, labels). For regression: values (n,), or (n, k),
            in the units of the target.
        epochs: The number of epochs to train on each fold, at least 1. Only set with `Split(folds=...)`; None, the
            default, without it.

    Raises:
        SpecError: An argument has another type, or a metric is unknown.
    """

    needs_budget: ClassVar[bool] = True  # declaring a study without a budget is an error
    optional_metrics: ClassVar[tuple[str, ...]] = EXTRA
    default_settings: ClassVar[bool] = True  # with another default dtype, networks would not fit the data

    data: Data | DataSource
    network: Network | StackedNetwork
    recipe: Recipe = field(default_factory=Recipe)
    metrics: Given = ()
    epochs: int | None = None
    _attached: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _counted: dict[Hashable, Costs] = field(default_factory=dict, init=False, repr=False, compare=False)
    _scratch: list[Scratch] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", as_data(self.data))
        for name, members, example in (
            ("data", ("prepare",), "digits()"),
            ("network", ("space", "build", "stack"), "MLP(layers=2, units=64)"),
        ):
            value = getattr(self, name)
            if isinstance(value, type) or not any(hasattr(value, member) for member in members):
                hint = f"{value.__name__}(...)" if callable(value) and hasattr(value, "__name__") else example
                raise SpecError(f"Supervised {name} must be an object such as {example}, got {value!r}; write {hint}")
        check_family(self.network)
        if not isinstance(self.recipe, Recipe):
            raise SpecError(f"Supervised recipe must be a Recipe(...), got {self.recipe!r}")
        object.__setattr__(self, "metrics", own_metrics(self.metrics))
        for metric in self.metrics:
            if not isinstance(metric, Metric):
                check_name(metric)
        check_int(self, "epochs", least=1, allow_none=True)

    @property
    def space(self) -> Space:  # type: ignore[override]  # derived from the parts, so read-only
        """The parameters of the network and of the recipe."""
        return self.network.space | self.recipe.space

    def known_metrics(self) -> tuple[str, ...]:
        """The names of the reported metrics, before the data is read.

        If the source does not tell whether the task is classification or regression, the names of both are returned.

        Raises:
            SpecError: A metric is not defined for the task.
        """
        if self._declared_task is not None:
            return metric_names(self._declared_task, self.metrics)
        asked = (each.name if isinstance(each, Metric) else str(each) for each in self.metrics)
        return tuple(dict.fromkeys((*LOSSES, *STANDARD.values(), *asked)))

    def peek_metrics(self) -> tuple[str, ...]:
        """The names that it yields, once the targets have been read; those of either task if they cannot be read alone.

        Raises:
            DataError: The targets cannot be used.
            SpecError: One of `metrics` is not one of the task.
        """
        task = self.data.task() if isinstance(self.data, Data) else None
        return self.known_metrics() if task is None else self._metric_names(task)

    def metrics_of(self, shared: Prepared) -> tuple[str, ...]:
        """The names of the reported metrics.

        These are train_loss, val_loss, val_rmse (regression) or val_accuracy (otherwise), and those of `metrics`.

        Args:
            shared: The data that `prepare` returned.

        Raises:
            SpecError: A metric is not defined for the task.
        """
        return self._metric_names(shared.task)

    def explain_metric(self, metric: str, known: Collection[str]) -> str | None:
        """Why a metric of another task is not reported: the task that the targets imply."""
        standard = {*STANDARD.values()}.intersection(known)
        if len(standard) != 1:  # unknown before the data is read
            return None
        task = next(task for task, name in STANDARD.items() if name in standard)
        return explain_task(metric, task, inferred=self._declared_task is None)

    def _metric_names(self, task: Task) -> tuple[str, ...]:
        return metric_names(task, self.metrics, inferred=self._declared_task is None)

    @property
    def _declared_task(self) -> Task | None:
        """The task that the source declares; None if it is inferred from the targets."""
        task: Task | None = getattr(getattr(self.data, "source", None), "task", None)
        return task

    def prepare(self) -> Prepared:
        """Load and check the data.

        Returns:
            The data without its test part, which the search must not use.

        Raises:
            DataError: The data is invalid, a metric is not defined on its validation part, or a batch size exceeds the
                number of training samples.
            SpecError: A technique of the recipe does not apply to the data, or `epochs` is missing or superfluous.
        """
        prepared = as_data(self.data).prepare().without_test()
        self._scratch[:] = [] if prepared.scratch is None else [prepared.scratch]  # to remove its files later
        if len(prepared.folds) > 1 and self.epochs is None:
            raise SpecError(
                f"the data has {len(prepared.folds)} folds, but epochs is not set; set how many epochs to train on "
                "each fold, such as Supervised(..., epochs=20)"
            )
        if len(prepared.folds) == 1 and self.epochs is not None:
            raise SpecError(
                f"epochs={self.epochs} applies to the folds of Split(folds=...), but the data has none; remove it, and "
                f"write Study(..., budget={self.epochs})"
            )
        if prepared.streamed:
            check_streams(self.recipe)
        for fold in prepared.folds:
            check_fits(self.recipe, fold.inputs, len(fold.train), task=prepared.task)
            check_scores(self.metrics, fold)
        samples = min(len(fold.train) for fold in prepared.folds)
        largest = max(size for size in extremes(self.recipe.batch_size) if isinstance(size, int))
        if largest > samples:
            raise DataError(
                f"batch_size may be {largest}, but there are only {samples} training samples; "
                f"lower the recipe's batch_size to at most {samples}"
            )
        return prepared

    def check_budget(self, budget: int | None, shared: Prepared) -> None:
        """Raise SpecError for a budget of more folds than the data has."""
        if self.epochs is not None and budget is not None and budget > len(shared.folds):
            raise SpecError(
                f"one unit of budget is one of {len(shared.folds)} folds, got budget={budget}; write "
                f"Study(..., budget={len(shared.folds)}) (the epochs per fold are set by Supervised(..., "
                f"epochs={self.epochs}))"
            )

    def fingerprint_of(self, shared: Prepared) -> str | None:
        """A digest of the data, its task and its split."""
        return shared.fingerprint

    def summary_of(self, shared: Prepared) -> str | None:
        """One line about the data: what it was taken for, its size, what was cleaned (in the first fold, if there are
        several), the number of folds, and whether it is streamed from files.
        """
        told = [] if shared.cleaning is None else [summary(shared)]
        if shared.others:
            told.append(f"{len(shared.folds)} folds")
        if shared.streamed:
            size = file_size(sum(part.inputs.nbytes for part in shared.streamed))
            told.append(f"streams {size} from files in {Path(str(shared.streamed[0].file)).parent.parent}")
        return "; ".join(told) or None

    def costs(self, config: Config, shared: Prepared) -> Costs:
        """The costs of a trial of the config: parameters, operations and memory.

        With several folds, the network is that of the first one, and the data of all folds is in memory at once.

        Raises:
            Exception: Any error while the network is built or called.
        """
        parts = [part for fold in shared.folds for part in (fold.train, fold.validation)]
        arrays = [array for part in parts for array in (part.inputs, part.targets)]
        mapped = sum(part.inputs.nbytes for part in shared.streamed)  # in the page cache, which the system can reclaim
        sizes: dict[str, Any] = {
            "batch_size": config["batch_size"],
            "optimizer_copies": MEMORY_COPIES.get(str(config["optimizer"]), OWN_MEMORY_COPIES),
            "data_bytes": sum(array.nbytes for array in arrays) - mapped,
        }
        inputs = reduced_inputs(shared.inputs, *reduction_of(config))
        return replace(self._network_costs(config, inputs, shared.outputs), **sizes)

    def rehearse(self, config: Config, shared: Prepared) -> None:
        """Build the config's network and call it on two training samples; also try custom functions and techniques.

        Raises:
            Exception: Any error that a trial of the config would raise there.
        """
        batch: Any = config["batch_size"]
        inputs = reduced_inputs(shared.inputs, *reduction_of(config))
        samples = _few_samples(shared, inputs, min(batch, 2))
        rehearse(self.network, config, inputs, shared.outputs, samples)
        if self.recipe.has_own_parts:
            tensors = Tensors.from_samples(samples, shared, inputs)
            rehearse_training(self.network, self.recipe, config, tensors)

    def data_warnings(self, shared: Prepared) -> list[str]:
        """Warnings about columns of a table, imbalanced classes, and labels that cannot be learned."""
        found = (imbalance_warning(shared, self.recipe, self.metrics), constant_labels_warning(shared))
        return [*data_warnings(shared), *filter(None, found)]

    def check_functions(self, shared: Prepared) -> None:
        """Try each custom function of the recipe once, on a few training samples.

        Raises:
            SpecError: A function fails or returns an invalid value. The message names it, and the line that failed.
        """
        if not self.recipe.functions:
            return
        config = self.space.walk(lambda parameter: parameter.domain.from_unit(0.0))  # the smallest is the fastest
        if not self.space.legal(config):
            config = self.space.sample(np.random.default_rng(0))
        inputs = reduced_inputs(shared.inputs, *reduction_of(config))
        # Not as many samples as outputs: a loss that reduces the wrong axis would have the right shape.
        samples = _few_samples(shared, inputs, 3 if shared.outputs == 2 else 2)
        tensors = Tensors.from_samples(samples, shared, inputs)
        rehearse_functions(self.network, self.recipe, config, tensors)

    def attach(self, shared: Prepared) -> None:
        """Set the data for all following trials in this process. The arrays are not copied, and never written to."""
        keep_freed_memory()
        self._attached.clear()
        self._attached["prepared"] = shared

    def release(self) -> None:
        """Remove the files that `prepare` created for data larger than memory. No trial can run afterwards."""
        for scratch in self._scratch:
            if scratch.folder is not None:
                self._attached.clear()  # an open memory map would keep the disk space in use
                scratch.remove()

    def __call__(self, trial: TrialContext) -> Iterator[Metrics]:
        """Train one trial.

        Args:
            trial: The trial, with its config, budget, seed and device.

        Yields:
            The metrics after each epoch, or after each fold.

        Raises:
            Diverged: The loss is NaN, infinite, or too large.
            MemoryError: The device is out of memory.
        """
        try:
            for (result,) in self.run_stack([trial]):
                if isinstance(result, Diverged):
                    raise result
                if result is not None:
                    yield result
            return
        except torch.OutOfMemoryError as error:
            said = str(error).splitlines()[0]
        # Outside of the except block, the exception and the frames that referenced the tensors have been released.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise MemoryError(f"out of memory on {trial.device}; make the network or its batch smaller ({said})")

    def stack_key(self, config: Config) -> Hashable | None:
        """Trials with equal keys, budgets and devices can train as one stack; a trial with key None trains alone."""
        key = stack_key(self.network, config)
        return (key, recipe_key(config)) if key is not None and self.recipe.stacks(config) else None

    def run_stack(self, trials: Sequence[TrialContext]) -> Iterator[Sequence[Result]]:
        """Train several trials as one stack.

        Args:
            trials: The trials, with equal `stack_key`, budget and device.

        Yields:
            After each epoch, or after each fold, the result of each trial: its metrics; Diverged, once, if its training
            diverged; None if it ended before.

        Raises:
            SpecError: The budget is missing or too large.
            ValueError: The trials do not have the same budget and device.
        """
        settings = {(trial.budget, trial.device) for trial in trials}
        if len(settings) != 1:
            raise ValueError(
                f"trials of one stack must share budget and device, got {settings}; run them in separate stacks"
            )
        ((budget, _),) = settings
        if budget is None:
            raise SpecError("Supervised needs a budget, got None; set the number of epochs: Study(..., budget=30)")
        self.check_budget(budget, self._prepared)
        if self.epochs is None:
            yield from self._train(budget, trials)
        else:
            yield from cross_validate(partial(self._train, self.epochs), trials, budget)

    def _train(self, epochs: int, trials: Sequence[TrialContext], fold: int = 0) -> Iterator[Sequence[Result]]:
        """Train the trials on one fold of the data. A single trial resumes from its checkpoint, if it has one."""
        tensors = self._tensors(trials[0].device, trials[0].config, fold)
        constants = [self._constants(trial.config, tensors) for trial in trials]
        names = [name for name in self._metric_names(tensors.task) if name not in COSTS]
        own = [metric for metric in self.metrics if isinstance(metric, Metric)]
        loop = Loop(self.network, tensors, trials, epochs, names, self.recipe, own)
        first, *others = trials
        if not others and first.restored is not None:
            loop.restore(first.restored)
        while not loop.over:
            results = loop.epoch()
            if not others and isinstance(results[0], Mapping) and first.save_due:
                first.save(loop.state())
            pairs = zip(results, constants, strict=True)
            yield [{**row, **constant} if isinstance(row, Mapping) else row for row, constant in pairs]

    def _constants(self, config: Config, tensors: Tensors) -> Metrics:
        """The requested metrics that are constant during a trial."""
        named = [name for name in self._metric_names(tensors.task) if name in COSTS]
        if not named:
            return {}
        counted = self._network_costs(config, tensors.inputs, tensors.outputs)
        return {name: float(getattr(counted, name)) for name in named}

    def _network_costs(self, config: Config, inputs: Inputs, outputs: int) -> Costs:
        """The costs of the config's network, computed once for all configs with the same graph."""
        graph = stack_key(self.network, config)
        if graph is None:
            graph = tuple((name, config[name]) for name in self.network.space if name in config)
        key = (graph, inputs, outputs)
        if key not in self._counted:
            self._counted[key] = costs(self.network, config, inputs, outputs)
        return self._counted[key]

    @property
    def _prepared(self) -> Prepared:
        if "prepared" not in self._attached:
            raise ExecutionError("Supervised has no data yet; call attach(prepare()) before the first trial")
        prepared: Prepared = self._attached["prepared"]
        return prepared

    def _tensors(self, device: str, config: Config, fold: int) -> Tensors:
        """One fold of the data on the device, with the config's reduction; cached."""
        key = (device, fold, *reduction_of(config))
        if key not in self._attached:
            self._attached[key] = Tensors.from_prepared(
                device, reduced(self._prepared.folds[fold], *reduction_of(config))
            )
        tensors: Tensors = self._attached[key]
        return tensors

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_attached": {}, "_counted": {}, "_scratch": []}


def _few_samples(prepared: Prepared, inputs: Inputs, count: int) -> Tensor:
    """The inputs of the first training samples, (count, *inputs.shape); zeros if `inputs` are reduced.

    A real reduction would take as long as in a trial.
    """
    if inputs != prepared.inputs:
        return torch.zeros(min(count, len(prepared.train)), *inputs.shape)
    return torch.tensor(prepared.train.inputs[:count])
