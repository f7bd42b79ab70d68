"""Recipe: how a network is trained, as far as it may be searched. Each technique is described where it is done."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from archsearch.search.training.augmentation import MOVES, switched_on
from archsearch.search.training.averaging import AVERAGES
from archsearch.search.training.block_updates import LOCAL_UPDATES
from archsearch.search.training.losses import CLASS_WEIGHTS
from archsearch.search.training.optimizers import OPTIMIZERS
from archsearch.search.training.reduction import REDUCTIONS
from archsearch.search.training.schedules import SCHEDULES, Schedule
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
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """`Recipe(optimizer=Choice("sgd", "adamw"), learning_rate=Float(1e-4, 1e-1, log=True))`.

    Each argument is a fixed value or a domain, and a parameter by its name; what is left at its default, and is not one
    of the first five, is off and is no parameter. All counts are whole numbers of at least 1.

    optimizer: a name in OPTIMIZERS; AdamW, since it asks for the least tuning. learning_rate: above 0; 1e-3 is what
    Kingma and Ba (2015, section 2) found good for Adam. batch_size: samples in a step; 64 is small enough to generalise
    and large enough to be quick. weight_decay: at least 0; decoupled in AdamW and Lion, added to the gradient in the
    others, as in torch.optim. momentum: in [0, 1), of SGD alone; 0.9 is the custom of the field.

    nesterov: of SGD alone. schedule: a name in SCHEDULES. schedule_decay, in (0, 1], and schedule_epochs are its
    constants; None is 0.95 for exponential and 0.1 for the others. warmup_epochs: from 0.

    l1, l2: at least 0. label_smoothing: in [0, 1), of classes. clip_norm, clip_value: above 0; None does not clip.
    class_weights: "balanced" or "none". accumulate: batches whose gradients make one step. precision: "bfloat16" is
    torch's autocast, which is quick on a GPU.

    patience: early stopping, after so many epochs without a lower validation loss; None goes to the end. averaging: a
    name in AVERAGES; ema_decay in (0, 1), 0.999 is what is usual; swa_start in [0, 1), as a share of the epochs.

    rotation: in degrees, at least 0; 15 is usual. shift, cutout: in pixels, from 0. flip. noise, mixup: at least 0.

    local_updates: a name in LOCAL_UPDATES; block_fraction in (0, 1], of the layers. max_norm: above 0; None is no ball.

    reduction: a name in REDUCTIONS, of the inputs to reduction_dimension of them.

    Raises SpaceError for a value outside these bounds, or a domain that reaches outside.
    """

    optimizer: str | Choice = "adamw"
    learning_rate: float | Domain = 1e-3
    momentum: float | Domain = 0.9
    batch_size: int | Domain = 64
    weight_decay: float | Domain = 0.0
    nesterov: bool | Choice = False
    schedule: str | Choice = "constant"
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

    def __post_init__(self) -> None:
        for name, known in _NAMES.items():
            check_name(name, getattr(self, name), known)
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
        """The first five arguments, and what else is not left at its default, each where it means something."""
        names = ("optimizer", "learning_rate", "momentum", "batch_size", "weight_decay")
        given = {name: getattr(self, name) for name in names} | non_default(self, *_OTHERS)
        return Space({name: part for name, value in given.items() for part in self._where(name, value)})

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
}
_OTHERS = tuple(
    name
    for name in Recipe.__dataclass_fields__
    if name not in ("optimizer", "learning_rate", "momentum", "batch_size", "weight_decay")
)
_SHARED = ("optimizer", "batch_size", "nesterov", "accumulate", "precision", "averaging", "local_updates")


def stack_key(config: Mapping[str, Any]) -> Hashable:
    """Trials whose keys are equal can train as one stack; whatever else the recipe says is each row's own."""
    said = with_defaults(Recipe, config)
    return (*(said[name] for name in _SHARED), switched_on(config), reduction_of(config))


def schedule_of(config: Mapping[str, Any], epochs: int, steps: int) -> Schedule:
    """The learning rate's schedule of a trial of so many epochs of so many steps."""
    said = with_defaults(Recipe, config)
    name, decay = said["schedule"], said["schedule_decay"]
    return Schedule(
        name,
        epochs,
        steps,
        warmup_epochs=said["warmup_epochs"],
        decay=(0.95 if name == "exponential" else 0.1) if decay is None else decay,
        decay_epochs=said["schedule_epochs"],
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
