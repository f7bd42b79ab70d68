"""Supervised: the objective that trains a network from a family on data, by a recipe. It carries its own space."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch

from archsearch.search.protocols import Metrics, Objective, TrialContext
from archsearch.search.training.allocation import keep_freed_memory
from archsearch.search.training.data import Data, DataSource, Prepared
from archsearch.search.training.data.preparation import as_data
from archsearch.search.training.data.streaming import Scratch
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
    metric_names,
    own_metrics,
)
from archsearch.search.training.optimizers import MEMORY_COPIES, OWN_MEMORY_COPIES
from archsearch.search.training.recipe import Recipe, check_fits, check_streams, reduction_of
from archsearch.search.training.recipe import stack_key as recipe_key
from archsearch.search.training.reduction import reduced, reduced_inputs
from archsearch.search.training.rehearsal import rehearse_training
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
    """`Supervised(data=digits(), network=MLP(layers=Int(1, 4), units=64), recipe=Recipe(batch_size=Choice(32, 64)))`.

    One unit of budget is one epoch. With data in k folds, `Split(folds=k)`, it is one fold, in which the network is
    trained anew for `epochs`: each report holds the mean of each metric over the folds so far, and the budget is k, or
    less where less certainty will do.

    Trials whose `stack_key` is equal may train as one program (`run_stack`); each gets the numbers that it would get
    alone. Pickles without the data that `attach` was given.

    Args:
        data: A source such as `digits()` or `csv(...)`.
        network: A family such as `MLP(...)`, or your own.
        recipe: How the networks are trained.
        metrics: What every report holds beside the losses and the accuracy or RMSE. Names, see `metrics` and
            `progress` ("parameters" and "flops", of a forward pass of one sample, are constant within a trial). And
            functions of your own: `metric(predictions, targets)` returns a number for the validation part, and is
            reported as "val_" and its `__name__`, or the name that a mapping gives it: `metrics={"gap": lambda p, t:
            ...}`, `metrics=("val_f1", my_metric)`. Both are tensors on the CPU: of classes the probabilities (n,
            classes) and whole numbers (n,), of a regression (n,) each in the target's own units.
        epochs: How long to train on each of several folds; None where there is one.

    Raises:
        SpecError: For arguments of other kinds, and unknown metrics.
    """

    needs_budget: ClassVar[bool] = True  # a study without a budget is refused at its declaration
    optional_metrics: ClassVar[tuple[str, ...]] = EXTRA

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
                raise SpecError(f"Supervised {name} must be something like {example}, got {value!r}; write {hint}")
        check_family(self.network)
        if not isinstance(self.recipe, Recipe):
            raise SpecError(f"Supervised recipe must be a Recipe(...), got {self.recipe!r}")
        object.__setattr__(self, "metrics", own_metrics(self.metrics))
        for metric in self.metrics:
            if not isinstance(metric, Metric):
                check_name(metric)
        check_int(self, "epochs", least=1, allow_none=True)

    @property
    def space(self) -> Space:  # type: ignore[override]  # of the parts, so it cannot be set
        """The network's parameters and the recipe's."""
        return self.network.space | self.recipe.space

    def known_metrics(self) -> tuple[str, ...]:
        """The names that it yields; before the data is read, those of either task unless the source tells the task.

        Raises SpecError for one of `metrics` that the task does not have.
        """
        task = getattr(getattr(self.data, "source", None), "task", None)
        if task is not None:
            return metric_names(task == "classification", self.metrics)
        asked = (each.name if isinstance(each, Metric) else str(each) for each in self.metrics)
        return tuple(dict.fromkeys((*LOSSES, *STANDARD.values(), *asked)))

    def peek_metrics(self) -> tuple[str, ...]:
        """The names that it yields, once the targets have been read; those of either task if they cannot be read alone.

        Raises:
            DataError: The targets cannot be used.
            SpecError: One of `metrics` is not one of the task.
        """
        task = self.data.task() if isinstance(self.data, Data) else None
        return self.known_metrics() if task is None else metric_names(task == "classification", self.metrics)

    def metrics_of(self, shared: Prepared) -> tuple[str, ...]:
        """The names that it yields: train_loss, val_loss, val_accuracy (classes) or val_rmse (numbers); and `metrics`.

        Raises SpecError for a metric that the task does not have.
        """
        return metric_names(shared.task == "classification", self.metrics)

    def prepare(self) -> Prepared:
        """Loads and checks the data; without its test part, which a search must never see.

        Raises DataError for data that cannot be used, a metric that has no value on its validation part, or a batch
        size above the number of training samples; SpecError for a technique of the recipe that the data cannot have, or
        `epochs` that are missing or mean nothing.
        """
        prepared = as_data(self.data).prepare().without_test()
        self._scratch[:] = [] if prepared.scratch is None else [prepared.scratch]  # as long as its files are needed
        if len(prepared.folds) > 1 and self.epochs is None:
            raise SpecError(
                f"the data is in {len(prepared.folds)} folds, and nothing says how long to train on each; write "
                "Supervised(..., epochs=20)"
            )
        if len(prepared.folds) == 1 and self.epochs is not None:
            raise SpecError(
                f"epochs={self.epochs} is for each fold of Split(folds=5), and the data is in none; drop it, and write "
                f"Study(..., budget={self.epochs})"
            )
        if prepared.streamed:
            check_streams(self.recipe)
        classification = prepared.task == "classification"
        for fold in prepared.folds:
            check_fits(self.recipe, fold.inputs, len(fold.train), classification=classification)
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
        """Raises SpecError for one of more folds than there are."""
        if self.epochs is not None and budget is not None and budget > len(shared.folds):
            raise SpecError(
                f"a unit of budget is one of {len(shared.folds)} folds, got budget={budget}; write "
                f"Study(..., budget={len(shared.folds)}): how long to train on each says Supervised(..., "
                f"epochs={self.epochs})"
            )

    def fingerprint_of(self, shared: Prepared) -> str | None:
        """A digest of the data, its task and its split."""
        return shared.fingerprint

    def summary_of(self, shared: Prepared) -> str | None:
        """How much data there is, what of it was cleaned (for the first fold, where there are any), and whether it
        streams from files, in one line.
        """
        told = [] if shared.cleaning is None else [str(shared.cleaning)]
        if shared.others:
            told.append(f"{len(shared.folds)} folds")
        if shared.streamed:
            size = file_size(sum(part.inputs.nbytes for part in shared.streamed))
            told.append(f"streams {size} from files in {Path(str(shared.streamed[0].file)).parent.parent}")
        return "; ".join(told) or None

    def costs(self, config: Config, shared: Prepared) -> Costs:
        """What a trial of the config costs. Raises what goes wrong when its network is built or takes samples.

        Of folds, the network is that of the first; the data of all of them is held at once.
        """
        parts = [part for fold in shared.folds for part in (fold.train, fold.validation)]
        arrays = [array for part in parts for array in (part.inputs, part.targets)]
        mapped = sum(part.inputs.nbytes for part in shared.streamed)  # the system's cache, which gives way
        sizes: dict[str, Any] = {
            "batch_size": config["batch_size"],
            "optimizer_copies": MEMORY_COPIES.get(str(config["optimizer"]), OWN_MEMORY_COPIES),
            "data_bytes": sum(array.nbytes for array in arrays) - mapped,
        }
        inputs = reduced_inputs(shared.inputs, *reduction_of(config))
        return replace(self._network_costs(config, inputs, shared.outputs), **sizes)

    def rehearse(self, config: Config, shared: Prepared) -> None:
        """Builds the config's network for two training samples. Raises what goes wrong, as its trial would."""
        batch: Any = config["batch_size"]
        inputs = reduced_inputs(shared.inputs, *reduction_of(config))
        samples = torch.tensor(shared.train.inputs[: min(batch, 2)])
        if inputs != shared.inputs:
            samples = torch.zeros(len(samples), *inputs.shape)  # to reduce them here would take a worker's time
        rehearse(self.network, config, inputs, shared.outputs, samples)
        if self.recipe.has_own_parts:
            tensors = Tensors.from_samples(samples, shared, inputs)
            rehearse_training(self.network, self.recipe, config, tensors)

    def attach(self, shared: Prepared) -> None:
        """The data for all coming trials in this process. The arrays are shared, not copied, and never written to."""
        keep_freed_memory()
        self._attached.clear()
        self._attached["prepared"] = shared

    def release(self) -> None:
        """Removes the files that `prepare` has made for data larger than memory; no trial can follow then."""
        for scratch in self._scratch:
            if scratch.folder is not None:
                self._attached.clear()  # a map would keep the disk's room taken
                scratch.remove()

    def __call__(self, trial: TrialContext) -> Iterator[Metrics]:
        """The metrics of one trial after each epoch, or fold.

        Raises Diverged when its training comes to nothing, and MemoryError when the device has no room for it.
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
        # Out here the exception is gone, and with it the frames that held the trial's tensors.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise MemoryError(f"out of memory on {trial.device}; make the network or its batch smaller ({said})")

    def stack_key(self, config: Config) -> Hashable | None:
        """Trials with equal keys (and budgets, and devices) can train as one stack; None trains alone."""
        key = stack_key(self.network, config)
        return (key, recipe_key(config)) if key is not None and self.recipe.stacks(config) else None

    def run_stack(self, trials: Sequence[TrialContext]) -> Iterator[Sequence[Result]]:
        """The metrics of each trial after each epoch, or fold; once, Diverged, where it comes to nothing; None after
        its end.

        Raises SpecError for a budget that cannot be, and ValueError for trials that do not share budget and device.
        """
        settings = {(trial.budget, trial.device) for trial in trials}
        if len(settings) != 1:
            raise ValueError(f"trials of one stack share budget and device, got {settings}")
        ((budget, _),) = settings
        if budget is None:
            raise SpecError("Supervised needs a budget, got none; say how many epochs: Study(..., budget=30)")
        self.check_budget(budget, self._prepared)
        if self.epochs is None:
            yield from self._train(budget, trials)
        else:
            yield from cross_validate(partial(self._train, self.epochs), trials, budget)

    def _train(self, epochs: int, trials: Sequence[TrialContext], fold: int = 0) -> Iterator[Sequence[Result]]:
        """One whole training of each trial, on that fold of the data; of one alone, from its checkpoint on."""
        tensors = self._tensors(trials[0].device, trials[0].config, fold)
        constants = [self._constants(trial.config, tensors) for trial in trials]
        names = [name for name in metric_names(tensors.classification, self.metrics) if name not in COSTS]
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
        """The named metrics that do not change while a trial trains."""
        named = [name for name in metric_names(tensors.classification, self.metrics) if name in COSTS]
        if not named:
            return {}
        counted = self._network_costs(config, tensors.inputs, tensors.outputs)
        return {name: float(getattr(counted, name)) for name in named}

    def _network_costs(self, config: Config, inputs: Inputs, outputs: int) -> Costs:
        """Counted once for all configs whose networks have the same graph."""
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
        """That fold of the data on the device as this config wants it; made once."""
        key = (device, fold, *reduction_of(config))
        if key not in self._attached:
            self._attached[key] = Tensors.from_prepared(
                device, reduced(self._prepared.folds[fold], *reduction_of(config))
            )
        tensors: Tensors = self._attached[key]
        return tensors

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_attached": {}, "_counted": {}, "_scratch": []}
