"""Recipe: how a network is trained. Each technique is documented in its own module."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archsearch.search.training.augmentation import MOVES, switched_on
from archsearch.search.training.averaging import AVERAGES
from archsearch.search.training.block_updates import LOCAL_UPDATES
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.functions import Function, check_function, name_of, named
from archsearch.search.training.losses import CLASS_WEIGHTS, LOSSES
from archsearch.search.training.optimizers import OPTIMIZERS, stacks, takes
from archsearch.search.training.reduction import LLE_NEIGHBORS, REDUCTIONS
from archsearch.search.training.schedules import SCHEDULES, Schedule
from archsearch.search.training.technique import Technique
from archsearch.spaces import Choice, Domain, Space, SpecError, When
from archsearch.spaces.argument_hints import ArgumentHints
from archsearch.spaces.inputs import Inputs
from archsearch.spaces.networks.arguments import (
    Argument,
    check_flag,
    check_int,
    check_name,
    check_number,
    extremes,
    non_default,
    with_defaults,
)

PRECISIONS = ("bfloat16", "float32")
OWN = ("augmentation", "loss", "optimizer", "schedule")  # the arguments that accept a custom function

# Arguments that apply only to certain values of another argument.
_UNDER = {
    "momentum": ("optimizer", ("sgd",)),
    "nesterov": ("optimizer", ("sgd",)),
    "schedule_decay": ("schedule", ("exponential", "plateau", "step")),
    "schedule_epochs": ("schedule", ("plateau", "step")),
    "ema_decay": ("averaging", ("ema",)),
    "swa_start": ("averaging", ("swa",)),
    "block_fraction": ("local_updates", ("cyclic", "last", "random")),
    "reduction_dimension": ("reduction", ("lle", "pca")),
    "label_smoothing": ("loss", ("auto",)),
}


@dataclass(frozen=True, slots=True)
class Recipe(ArgumentHints):
    """How networks are trained: `Recipe(optimizer=Choice("sgd", "adamw"), learning_rate=Float(1e-4, 1e-1, log=True))`.

    Each argument except the last two is a fixed value or a domain, and becomes a parameter of the same name. The first
    five are always parameters; any other argument left at its default is not, and most techniques are off by default.

    `optimizer`, `schedule`, `loss` and `augmentation` also accept a custom function, which appears in configs under its
    `__name__`. To search over it together with other values, name it in a `Choice`, and pass it in `functions`:

        Recipe(loss=focal)
        Recipe(loss=Choice("auto", "focal"), functions={"focal": focal})

    Args:
        optimizer: "adagrad", "adam", "adamw", "lion", "rmsprop" or "sgd". The default, "adamw", needs the least tuning.
            Or a custom optimizer: a class of torch.optim, a function `optimizer(params, lr, weight_decay)` that returns
            a torch.optim.Optimizer (both train each trial by itself, not in a stack), or a subclass of OptimizerRule.
        learning_rate: Above 0. The default of 1e-3 is recommended for Adam by Kingma and Ba (2015, algorithm 1).
        momentum: In [0, 1), only used by "sgd". The default of 0.9 is the most common value.
        batch_size: Samples per batch, at least 1. The default of 64 is small enough to generalize well, and large
            enough to be fast.
        weight_decay: At least 0. Decoupled from the gradient for "adamw" and "lion"; for the others it is added to the
            gradient (L2), as in torch.optim.
        nesterov: Whether to use Nesterov momentum (Sutskever et al., 2013), only used by "sgd".
        schedule: The learning rate schedule: "constant", "cosine", "exponential", "one_cycle", "plateau" or "step". Or
            a custom function `schedule(epoch, epochs)`, which returns the factor for the learning rate; `epoch` is the
            number of epochs since the warm-up, a fraction such as 2.5, and `epochs` their total number.
        schedule_decay: The factor of each decay, in (0, 1], only used by "exponential", "plateau" and "step". None, the
            default, stands for 0.95 for "exponential", and for 0.1, the default of torch, for the others.
        schedule_epochs: For "step", the number of epochs between two decays; for "plateau", the number of epochs
            without improvement that are allowed before one. At least 1; the default of 10 is torch's for "plateau".
        warmup_epochs: The number of epochs of linear warm-up, at least 0.
        l1: The coefficient of the L1 penalty of the weights, at least 0.
        l2: The coefficient of the L2 penalty of the weights, at least 0.
        label_smoothing: In [0, 1), for classification with the loss "auto". 0.1 is a common value (Szegedy et al.,
            2016).
        clip_norm: The maximum Euclidean norm of the gradient of a network, above 0. None, the default: no clipping.
        clip_value: The maximum absolute value of each entry of the gradient, above 0. None, the default: no clipping.
        class_weights: "balanced" gives all classes the same total weight in the loss; "none" does not weight them.
        accumulate: The number of batches whose gradients are accumulated for one optimizer step, at least 1.
        precision: "float32", or "bfloat16" for mixed precision with torch.autocast, which is faster on a GPU.
        patience: Early stopping: a trial ends after this many epochs without a lower validation loss, at least 1. None,
            the default, trains for all epochs.
        averaging: Which average of the weights is evaluated: "ema" (exponential moving average), "swa" (stochastic
            weight averaging) or "none".
        ema_decay: The decay per step, in (0, 1), only used by "ema". The default of 0.999 averages over about 1,000
            steps.
        swa_start: The fraction of the epochs after which averaging starts, in [0, 1), only used by "swa". The default
            of 0.75 averages over the last quarter.
        rotation: The maximum rotation of images, in degrees, at least 0. 15 is a common value.
        shift: The maximum translation of images along each axis, in pixels, at least 0.
        flip: Whether to mirror images horizontally with probability 0.5.
        cutout: The side length of the square that is set to 0 in each image, in pixels, at least 0.
        noise: The standard deviation of Gaussian noise added to the standardized inputs, at least 0.
        mixup: The parameter of the Beta distribution from which mixup weights are drawn, at least 0. Zhang et al.
            (2018) report the best results on ImageNet with 0.1 to 0.4.
        local_updates: How the block of layers that a step updates is chosen: "cyclic", "last" or "random". "none", the
            default, updates all layers.
        block_fraction: The size of that block as a fraction of the layers, in (0, 1], only used with `local_updates`.
        max_norm: The maximum Euclidean norm of each weight tensor, above 0. None, the default: no limit.
        reduction: The dimensionality reduction of the inputs: "lle" (locally linear embedding), "pca" or "none".
        reduction_dimension: The number of dimensions of the reduced inputs, at least 1, only used with `reduction`. The
            default is 2.
        loss: "auto" is cross entropy for classification, the mean binary cross entropy for several labels, and squared
            error for regression. Or a custom function `loss(predictions, targets)` for one network, which returns a
            tensor with the loss of each sample, (batch,), or their mean. For classification, `predictions` are logits
            (batch, classes) and `targets` class indices (batch,); for several labels, logits and zeros and ones, both
            (batch, labels); for regression, both are standardized values, (batch,) or (batch, k). `val_loss` is always
            that of "auto", so that it can be compared across trials with different losses.
        augmentation: A custom function `augmentation(inputs, generator)`, which maps inputs (batch, *shape) to inputs
            of the same shape and dtype, and must draw random numbers only from `generator`, a torch.Generator. "none",
            the default, for no such function. The built-in augmentations are separate arguments.
        functions: The custom functions that other arguments refer to by name.
        techniques: Instances of your own subclasses of Technique, in the order in which they are called.

    Raises:
        SpaceError: A value, or a value of a domain, is out of bounds, or a name is unknown.
        SpecError: A custom function has the wrong signature or is not used, or arguments contradict each other.
    """

    optimizer: str | Choice | Function = "adamw"
    learning_rate: float | Domain = 1e-3
    momentum: float | Domain = 0.9
    batch_size: int | Domain = 64
    weight_decay: float | Domain = 0.0
    nesterov: bool | Choice = False
    schedule: str | Choice | Function = "constant"
    schedule_decay: float | Domain | None = None
    schedule_epochs: int | Domain = 10
    warmup_epochs: int | Domain = 0
    l1: float | Domain = 0.0
    l2: float | Domain = 0.0
    label_smoothing: float | Domain = 0.0
    clip_norm: float | Domain | None = None
    clip_value: float | Domain | None = None
    class_weights: str | Choice = "none"
    accumulate: int | Domain = 1
    precision: str | Choice = "float32"
    patience: int | Domain | None = None
    averaging: str | Choice = "none"
    ema_decay: float | Domain = 0.999
    swa_start: float | Domain = 0.75
    rotation: float | Domain = 0.0
    shift: int | Domain = 0
    flip: bool | Choice = False
    cutout: int | Domain = 0
    noise: float | Domain = 0.0
    mixup: float | Domain = 0.0
    local_updates: str | Choice = "none"
    block_fraction: float | Domain = 0.5
    max_norm: float | Domain | None = None
    reduction: str | Choice = "none"
    reduction_dimension: int | Domain = 2
    loss: str | Choice | Function = "auto"
    augmentation: str | Choice | Function = "none"
    functions: Mapping[str, Function] = field(default_factory=dict, repr=False, hash=False)
    techniques: Sequence[Technique] = ()

    def __post_init__(self) -> None:
        self._name_functions()
        self._check_techniques()
        for name, known in _NAMES.items():
            check_name(name, getattr(self, name), [*known, *(self.functions if name in OWN else ())])
        for name in ("nesterov", "flip"):
            check_flag(f"Recipe {name}", getattr(self, name))
        for name, low in (
            ("batch_size", 1),
            ("schedule_epochs", 1),
            ("accumulate", 1),
            ("warmup_epochs", 0),
            ("reduction_dimension", 1),
        ):
            check_int(f"Recipe {name}", getattr(self, name), low=low)
        for name in ("shift", "cutout"):
            check_int(f"Recipe {name}", getattr(self, name), low=0)
        check_int("Recipe patience", self.patience, low=1, allow_none=True)
        check_number("Recipe learning_rate", self.learning_rate, "above 0", above=0)
        for name in ("clip_norm", "clip_value", "max_norm"):
            check_number(f"Recipe {name}", getattr(self, name), "above 0", above=0, allow_none=True)
        for name in ("weight_decay", "l1", "l2", "rotation", "noise", "mixup"):
            check_number(f"Recipe {name}", getattr(self, name), "of at least 0", low=0)
        for name in ("momentum", "label_smoothing", "swa_start"):
            check_number(f"Recipe {name}", getattr(self, name), "in [0, 1)", low=0, below=1)
        check_number("Recipe ema_decay", self.ema_decay, "in (0, 1)", above=0, below=1)
        check_number("Recipe schedule_decay", self.schedule_decay, "in (0, 1]", above=0, high=1, allow_none=True)
        check_number("Recipe block_fraction", self.block_fraction, "in (0, 1]", above=0, high=1)

    @property
    def space(self) -> Space:
        """The parameters: the first five arguments, and those not left at their defaults.

        An argument that applies only to certain values of another one is conditional on it. For custom techniques, the
        space has the names of their classes and the parameters of their own spaces.
        """
        names = ("optimizer", "learning_rate", "momentum", "batch_size", "weight_decay")
        given = {name: getattr(self, name) for name in names} | non_default(self, *_OTHERS)
        space = Space({name: part for name, value in given.items() for part in self._where(name, value)})
        if self.techniques:
            space |= Space(techniques=", ".join(type(each).__name__ for each in self.techniques))
        for technique in self.techniques:
            space |= technique.space
        return space

    @property
    def has_own_parts(self) -> bool:
        """Whether there are custom functions or techniques."""
        return bool(self.functions or self.techniques)

    @property
    def own_functions(self) -> list[tuple[str, str]]:
        """The custom functions: the argument, and the name in `functions`, of each value that a config may have."""
        return [
            (argument, str(value))
            for argument in OWN
            for value in extremes(getattr(self, argument))
            if value in self.functions
        ]

    def function(self, argument: str, config: Mapping[str, Any]) -> Function | None:
        """The custom function that the config names for an argument in OWN; None if it names a built-in technique."""
        return self.functions.get(config[argument])

    def stacks(self, config: Mapping[str, Any]) -> bool:
        """Whether the custom functions and techniques allow trials of the config to train as one stack."""
        optimizer = self.functions.get(config["optimizer"])
        return all(each.stackable for each in self.techniques) and (optimizer is None or stacks(optimizer))

    def _name_functions(self) -> None:
        """Replace functions by their names, move them to `functions`, and check them."""
        if not isinstance(self.functions, Mapping):
            raise SpecError(
                f"Recipe functions must be a mapping, got {self.functions!r}; write functions={{'focal': focal}}"
            )
        functions = dict(self.functions)
        for argument in OWN:
            value = getattr(self, argument)
            if isinstance(value, str | Choice):
                continue
            if not callable(value):
                raise SpecError(
                    f"Recipe {argument} must be a name, a Choice of names or a function, got {value!r}; known names: "
                    f"{', '.join(_NAMES[argument])}"
                )
            name = name_of(value)
            if functions.setdefault(name, value) is not value:
                raise SpecError(f"Recipe has two functions named {name}; define each with def and its own name")
            object.__setattr__(self, argument, name)
        functions = named(functions, {name for known in _NAMES.values() for name in known})
        used = {argument: [v for v in extremes(getattr(self, argument)) if v in functions] for argument in OWN}
        for argument, names in used.items():
            for name in names:
                check_function(f"Recipe {argument}", argument, functions[str(name)])
                if argument == "optimizer":
                    self._check_decay(str(name), functions[str(name)])
        if unused := functions.keys() - {name for names in used.values() for name in names}:
            raise SpecError(
                f"Recipe functions contains '{min(unused)}', but no argument names it; write for example "
                f"Recipe(loss='{min(unused)}'), or remove it"
            )
        object.__setattr__(self, "functions", functions)
        loss: Any = self.loss
        if non_default(self, "label_smoothing") and "auto" not in extremes(loss):
            raise SpecError(f"Recipe label_smoothing needs the loss 'auto', got loss {loss!r}; remove one of them")

    def _check_decay(self, name: str, optimizer: Function) -> None:
        """Raise SpecError for a weight decay that a custom optimizer does not accept."""
        if self.weight_decay != 0 and not takes(optimizer, "weight_decay"):
            raise SpecError(
                f"Recipe weight_decay={self.weight_decay} has no effect, because the optimizer {name} does not take "
                "weight_decay; add this argument to it, or remove weight_decay from the Recipe"
            )

    def _check_techniques(self) -> None:
        if not isinstance(self.techniques, list | tuple):
            raise SpecError(f"Recipe techniques must be a list, got {self.techniques!r}; write techniques=[...]")
        for each in self.techniques:
            if isinstance(each, type) and issubclass(each, Technique):
                raise SpecError(
                    f"Recipe techniques must be instances of Technique, got {each!r}; write {each.__name__}()"
                )
            if not isinstance(each, Technique):
                raise SpecError(
                    f"Recipe techniques must be instances of Technique, got {each!r}; derive the class from Technique: "
                    "class MyTechnique(Technique)"
                )
            if not isinstance(each.space, Space):
                raise SpecError(f"the space of {each!r} must be a Space, got {each.space!r}; write Space(...)")
        object.__setattr__(self, "techniques", tuple(self.techniques))

    def _where(self, name: str, value: Argument) -> list[Argument | When]:
        """The argument, under the condition in which it applies; nothing if it never applies."""
        if name not in _UNDER:
            return [value]
        holder, names = _UNDER[name]
        possible = [each for each in extremes(getattr(self, holder)) if each in names]
        if not possible:
            return []
        if len(possible) == len(extremes(getattr(self, holder))):
            return [value]
        tests = f"== {possible[0]!r}" if len(possible) == 1 else f"in {tuple(possible)!r}"
        return [When(f"{holder} {tests}", value)]


_NAMES = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "class_weights": CLASS_WEIGHTS,
    "precision": PRECISIONS,
    "averaging": AVERAGES,
    "local_updates": LOCAL_UPDATES,
    "reduction": REDUCTIONS,
    "loss": LOSSES,
    "augmentation": ("none",),
}
_OTHERS = tuple(
    name
    for name in Recipe.__dataclass_fields__
    if name not in ("optimizer", "learning_rate", "momentum", "batch_size", "weight_decay", "functions", "techniques")
)
_SHARED = (
    "optimizer",
    "batch_size",
    "nesterov",
    "accumulate",
    "precision",
    "averaging",
    "local_updates",
    "loss",
    "augmentation",
)


def stack_key(config: Mapping[str, Any]) -> Hashable:
    """Trials with equal keys can train as one stack; the other parameters may differ between its rows."""
    said = with_defaults(Recipe, config)
    return (*(said[name] for name in _SHARED), switched_on(config), reduction_of(config))


def schedule_of(config: Mapping[str, Any], epochs: int, steps: int, recipe: Recipe | None = None) -> Schedule:
    """The learning rate schedule of a trial.

    Args:
        config: The trial's parameters.
        epochs: The number of epochs.
        steps: The number of steps per epoch.
        recipe: The recipe, which holds a custom schedule if there is one.
    """
    said = with_defaults(Recipe, config)
    name, decay = said["schedule"], said["schedule_decay"]
    return Schedule(
        name,
        epochs,
        steps,
        warmup_epochs=said["warmup_epochs"],
        decay=(0.95 if name == "exponential" else 0.1) if decay is None else decay,
        decay_epochs=said["schedule_epochs"],
        own=None if recipe is None else recipe.function("schedule", said),
    )


def reduction_of(config: Mapping[str, Any]) -> tuple[str, int]:
    """The kind of reduction of the inputs, and the number of dimensions; ("none", 0) without reduction."""
    said = with_defaults(Recipe, config)
    kind = said["reduction"]
    return kind, 0 if kind == "none" else said["reduction_dimension"]


def check_streams(recipe: Recipe) -> None:
    """Raise SpecError for a technique that needs all data in memory."""
    if non_default(recipe, "reduction"):
        raise SpecError(
            "Recipe reduction needs all inputs in memory, but this data is larger and is streamed from files; remove "
            "it, or allow more memory with streaming=Streaming(above_bytes=...)"
        )


def check_fits(recipe: Recipe, inputs: Inputs, samples: int, *, task: Task) -> None:
    """Raise SpecError for a technique that does not apply to the data.

    Args:
        recipe: The recipe.
        inputs: The inputs of the data, before any reduction.
        samples: The number of training samples.
        task: The task of the data.
    """
    reduces = set(extremes(recipe.reduction)) != {"none"}
    most = min(math.prod(inputs.shape), samples - 1)
    widest = max(size for size in extremes(recipe.reduction_dimension) if isinstance(size, int))
    if reduces and widest > most:
        raise SpecError(
            f"Recipe reduction_dimension may be {widest}, but the data allows at most {most} (the number of inputs, "
            "and less than the number of training samples); lower it"
        )
    if "lle" in extremes(recipe.reduction) and samples <= LLE_NEIGHBORS:
        raise SpecError(
            f"Recipe reduction 'lle' reconstructs each sample from its {LLE_NEIGHBORS} nearest neighbors, but there "
            f"are only {samples} training samples; use 'pca', or add samples"
        )
    text, image = inputs.vocabulary is not None, inputs.vocabulary is None and len(inputs.shape) >= 2
    no_images = "the reduction flattens them" if image else f"the inputs have shape {inputs.shape}"
    refused = {
        f"images, but {no_images}": () if image and not reduces else (*MOVES, "cutout"),
        "numeric inputs, but the data is text": ("noise", "mixup", "reduction") if text else (),
        "numeric inputs, but some columns are categorical": ("noise", "mixup", "reduction")
        if inputs.categories
        else (),
        f"classes, but the task is {task}": () if task == "classification" else ("label_smoothing", "class_weights"),
    }
    for needs, names in refused.items():
        for name in names:
            if non_default(recipe, name):
                raise SpecError(f"Recipe {name} needs {needs}; remove it")
