"""Recipe: how a network is trained, as far as it may be searched. Each technique is described in its own module."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archsearch.search.training.augmentation import MOVES, switched_on
from archsearch.search.training.averaging import AVERAGES
from archsearch.search.training.block_updates import LOCAL_UPDATES
from archsearch.search.training.functions import Function, check_function, name_of, named
from archsearch.search.training.losses import CLASS_WEIGHTS, LOSSES
from archsearch.search.training.optimizers import OPTIMIZERS, stacks, takes
from archsearch.search.training.reduction import REDUCTIONS
from archsearch.search.training.schedules import SCHEDULES, Schedule
from archsearch.search.training.technique import Technique
from archsearch.spaces import Choice, Domain, Space, SpecError, When
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
OWN = ("augmentation", "loss", "optimizer", "schedule")  # where a function of the user's own may stand

# Which settings mean something only under some names of another one.
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
class Recipe:
    """How networks are trained: `Recipe(optimizer=Choice("sgd", "adamw"), learning_rate=Float(1e-4, 1e-1, log=True))`.

    Each argument is a fixed value or a domain, and a parameter by its name. What is left at its default, and is not one
    of the first five, is off and is no parameter. All counts are whole numbers of at least 1 unless said otherwise.

    `optimizer`, `schedule`, `loss` and `augmentation` also take a function of your own, which a config names by its
    `__name__`. To search for it beside others, name it in a `Choice`, and give the function in `functions`:

        Recipe(loss=focal)
        Recipe(loss=Choice("auto", "focal"), functions={"focal": focal})

    Args:
        optimizer: A name in OPTIMIZERS; "adamw" needs the least tuning. Or your own: a class of torch.optim, a function
            `optimizer(params, lr, weight_decay)` that returns an object of one (both train each trial alone), or a
            class of OptimizerRule.
        learning_rate: Above 0; 1e-3 is what Kingma and Ba (2015, section 2) found good for Adam.
        momentum: In [0, 1), for "sgd" alone; 0.9 is the custom of the field.
        batch_size: Samples in a batch; 64 is small enough to generalise and large enough to be quick.
        weight_decay: At least 0; decoupled in AdamW and Lion, added to the gradient in the others, as in torch.optim.
        nesterov: For "sgd" alone.
        schedule: A name in SCHEDULES. Or your own `schedule(epoch, epochs)`: the factor for the learning rate after
            that many epochs, such as 2.5, of so many.
        schedule_decay: In (0, 1], for exponential, plateau and step; None is 0.95 for exponential and 0.1 for the
            others.
        schedule_epochs: For plateau and step.
        warmup_epochs: From 0.
        l1: Penalty, at least 0.
        l2: Penalty, at least 0.
        label_smoothing: In [0, 1), for classes and the loss "auto".
        clip_norm: Above 0; None does not clip.
        clip_value: Above 0; None does not clip.
        class_weights: "balanced" or "none".
        accumulate: Batches whose gradients make one step.
        precision: "bfloat16" is torch's autocast, which is quick on a GPU; or "float32".
        patience: Early stopping, after so many epochs without a lower validation loss; None goes to the end.
        averaging: A name in AVERAGES.
        ema_decay: In (0, 1), for "ema"; 0.999 is usual.
        swa_start: In [0, 1), for "swa", as a share of the epochs.
        rotation: In degrees, at least 0; 15 is usual.
        shift: In pixels, from 0.
        flip: Whether half of the images are mirrored.
        cutout: In pixels, from 0.
        noise: In standard deviations, at least 0.
        mixup: At least 0.
        local_updates: A name in LOCAL_UPDATES.
        block_fraction: In (0, 1], of the layers, for local updates.
        max_norm: Above 0, of each weight tensor; None is no limit.
        reduction: A name in REDUCTIONS.
        reduction_dimension: Of the inputs, where they are reduced.
        loss: "auto" is cross entropy for classes and squared error for numbers. Or your own `loss(predictions,
            targets)` for one network, which returns a tensor with the loss of each sample, or their mean: of classes
            from logits (batch, classes) and whole numbers (batch,), of a regression from (batch,) each, in standard
            deviations. `val_loss` stays that of "auto", so that trials compare whatever they were trained with.
        augmentation: "none", or your own `augmentation(inputs, generator)`, from inputs (batch, *shape) to inputs of
            the same shape, which draws from the torch.Generator alone. The built-in ones are arguments of their own.
        functions: Your own functions by name, where the arguments above give names.
        techniques: Objects of classes of your own, see Technique; they act in this order.

    Raises:
        SpaceError: For a value outside these bounds, a domain that reaches outside, or an unknown name.
        SpecError: For a function that cannot be called as it will be, or is not used.
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
        """The first five arguments, and what else is not left at its default, each where it means something.

        With techniques of the user's own, the names of their classes, and their own parameters.
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
        """Whether functions or techniques of the user's own take part."""
        return bool(self.functions or self.techniques)

    def function(self, argument: str, config: Mapping[str, Any]) -> Function | None:
        """The user's function that the config names for one of the arguments OWN; None where that is built in."""
        return self.functions.get(config[argument])

    def stacks(self, config: Mapping[str, Any]) -> bool:
        """Whether trials of the config can share a stack, as far as the user's own parts go."""
        optimizer = self.functions.get(config["optimizer"])
        return all(each.stackable for each in self.techniques) and (optimizer is None or stacks(optimizer))

    def _name_functions(self) -> None:
        """Put names in the place of functions, which go to `functions`."""
        if not isinstance(self.functions, Mapping):
            raise SpecError(f"Recipe functions must be a mapping, got {self.functions!r}; write {{'focal': focal}}")
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
                raise SpecError(f"Recipe has two functions called {name}; define them with def and names of their own")
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
                f"Recipe functions has '{min(unused)}', which no argument names; write "
                f"Recipe(loss='{min(unused)}') or the like, or drop it"
            )
        object.__setattr__(self, "functions", functions)
        loss: Any = self.loss
        if non_default(self, "label_smoothing") and "auto" not in extremes(loss):
            raise SpecError(f"Recipe label_smoothing is for the loss 'auto', got loss {loss!r}; drop one of them")

    def _check_decay(self, name: str, optimizer: Function) -> None:
        """Raises SpecError for a weight decay that the user's optimizer would not be told."""
        if self.weight_decay != 0 and not takes(optimizer, "weight_decay"):
            raise SpecError(
                f"Recipe weight_decay={self.weight_decay} means nothing to the optimizer {name}, which does not take "
                "weight_decay; add the argument, or drop Recipe weight_decay"
            )

    def _check_techniques(self) -> None:
        if not isinstance(self.techniques, list | tuple):
            raise SpecError(f"Recipe techniques must be a list, got {self.techniques!r}; write techniques=[...]")
        for each in self.techniques:
            if isinstance(each, type) and issubclass(each, Technique):
                raise SpecError(f"Recipe techniques must hold objects, got {each!r}; write {each.__name__}()")
            if not isinstance(each, Technique):
                raise SpecError(
                    f"Recipe techniques must hold objects of classes of Technique, got {each!r}; write "
                    "class MyTechnique(Technique)"
                )
            if not isinstance(each.space, Space):
                raise SpecError(f"the space of {each!r} must be a Space, got {each.space!r}; write Space(...)")
        object.__setattr__(self, "techniques", tuple(self.techniques))

    def _where(self, name: str, value: Argument) -> list[Argument | When]:
        """The setting under the condition that gives it a meaning; nothing where it never has one."""
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
    """Trials whose keys are equal can train as one stack; whatever else the recipe says is each row's own."""
    said = with_defaults(Recipe, config)
    return (*(said[name] for name in _SHARED), switched_on(config), reduction_of(config))


def schedule_of(config: Mapping[str, Any], epochs: int, steps: int, recipe: Recipe | None = None) -> Schedule:
    """The learning rate's schedule of a trial of so many epochs of so many steps; the recipe has the user's own."""
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
    """How the inputs are reduced, and to how many; the number means nothing where they are not."""
    said = with_defaults(Recipe, config)
    kind = said["reduction"]
    return kind, 0 if kind == "none" else said["reduction_dimension"]


def check_streams(recipe: Recipe) -> None:
    """Raises SpecError for a technique that needs all of the data in memory."""
    if non_default(recipe, "reduction"):
        raise SpecError(
            "Recipe reduction needs all inputs in memory, and these are larger and stream from files; leave it out, or "
            "allow them more memory, streaming=Streaming(above_bytes=...)"
        )


def check_fits(recipe: Recipe, inputs: Inputs, samples: int, *, classification: bool) -> None:
    """Raises SpecError for a technique that the data, with so many training samples, cannot have."""
    reduces = set(extremes(recipe.reduction)) != {"none"}
    most = min(math.prod(inputs.shape), samples - 1)
    widest = max(size for size in extremes(recipe.reduction_dimension) if isinstance(size, int))
    if reduces and widest > most:
        raise SpecError(
            f"Recipe reduction_dimension may be {widest}, and the data has room for {most} (its inputs, and less than "
            "its training samples); lower it"
        )
    text, image = inputs.vocabulary is not None, inputs.vocabulary is None and len(inputs.shape) >= 2
    refused = {
        "images": () if image and not reduces else (*MOVES, "cutout"),
        "numbers, not the words of a text": ("noise", "mixup", "reduction") if text else (),
        "numbers, not the codes of categories": ("noise", "mixup", "reduction") if inputs.categories else (),
        "classes": () if classification else ("label_smoothing", "class_weights"),
    }
    for needs, names in refused.items():
        for name in names:
            if non_default(recipe, name):
                raise SpecError(f"Recipe {name} is for {needs}, and the data has none; leave it out")
