"""Functions of the user's own, where the name of a built-in technique would stand.

Configs, stores and reports hold the function's name; the function itself travels with the spec.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from torch import nn

from archsearch.search.training.optimizers import OptimizerRule
from archsearch.spaces import SpecError

Function = Callable[..., Any]

# How each is called, as its user writes it.
CALLS = {
    "augmentation": "augmentation(inputs, generator)",
    "loss": "loss(predictions, targets)",
    "metric": "metric(predictions, targets)",
    "optimizer": "optimizer(params, lr=..., weight_decay=...)",
    "schedule": "schedule(epoch, epochs)",
}


def name_of(function: Function) -> str:
    """The name of a function, a class, a `partial` of one, or the class of another callable object."""
    if isinstance(function, partial):
        return name_of(function.func)
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__


def check_function(what: str, kind: str, function: Any) -> None:
    """Check that a function can be called as it will be.

    Args:
        what: The argument that it was given as, for messages: "Recipe loss".
        kind: A key of CALLS.
        function: What was given.

    Raises:
        SpecError: For what cannot be called so.
    """
    if not callable(function):
        raise SpecError(f"{what} must be a function, got {function!r}; write def {CALLS[kind]}: ...")
    name = name_of(function)
    if isinstance(function, type) and issubclass(function, nn.Module):
        raise SpecError(f"{what} must be a function, got the class {name}; give an object of it, {name}()")
    if isinstance(function, type) and issubclass(function, OptimizerRule):
        call = f"{name}(weights, weight_decay)"
        fits = _fits(function, None, None)
    elif kind == "optimizer":
        call = CALLS[kind]
        fits = _fits(function, None, lr=0.1) or _fits(function, None, lr=0.1, weight_decay=0.0)
    else:
        call = CALLS[kind]
        fits = _fits(function, None, None)
    if not fits:
        raise SpecError(
            f"{what} is called as {call}, got {name}{inspect.signature(function)}; give it these arguments alone"
        )


def named(functions: Mapping[str, Function], known: Collection[str]) -> dict[str, Function]:
    """The functions by their names.

    Raises:
        SpecError: For a name that is not text, or that of a built-in.
    """
    for name in functions:
        if not isinstance(name, str) or not name:
            raise SpecError(f"Recipe functions must have names, got {name!r}; write functions={{'my_loss': my_loss}}")
        if name in known:
            raise SpecError(f"'{name}' is the name of a built-in technique; give your own function another name")
    return dict(functions)


def _fits(function: Function, *given: Any, **named: Any) -> bool:
    try:
        inspect.signature(function).bind(*given, **named)
    except TypeError:
        return False
    except ValueError:  # some written in C do not say
        return True
    return True
