"""Custom functions, which a recipe takes in place of the name of a built-in technique.

Configs, stores and reports contain only the name of a function; the function itself is part of the spec.
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

# The call signature of each kind of function.
CALLS = {
    "augmentation": "augmentation(inputs, generator)",
    "loss": "loss(predictions, targets)",
    "metric": "metric(predictions, targets)",
    "optimizer": "optimizer(params, lr=..., weight_decay=...)",
    "schedule": "schedule(epoch, epochs)",
}


def name_of(function: Function) -> str:
    """The name of a function or class, of what a `partial` wraps, or of the class of any other callable object."""
    if isinstance(function, partial):
        return name_of(function.func)
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__


def check_function(what: str, kind: str, function: Any) -> None:
    """Check that a function accepts the arguments that it will be called with.

    Args:
        what: The argument that it was passed as, for error messages, such as "Recipe loss".
        kind: A key of CALLS.
        function: The value that was passed.

    Raises:
        SpecError: It is not callable, or has another signature.
    """
    if not callable(function):
        raise SpecError(f"{what} must be a function, got {function!r}; write def {CALLS[kind]}: ...")
    name = name_of(function)
    if isinstance(function, type) and issubclass(function, nn.Module):
        raise SpecError(f"{what} must be a function, got the class {name}; pass an instance, {name}()")
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
            f"{what} is called as {call}, got {name}{inspect.signature(function)}; change it to take exactly these "
            "arguments"
        )


def named(functions: Mapping[str, Function], known: Collection[str]) -> dict[str, Function]:
    """A copy of the functions by name, with their names checked.

    Args:
        functions: Custom functions by name.
        known: The names of the built-in techniques.

    Raises:
        SpecError: A name is not a non-empty string, or is the name of a built-in technique.
    """
    for name in functions:
        if not isinstance(name, str) or not name:
            raise SpecError(
                f"Recipe functions must have strings as keys, got {name!r}; write functions={{'my_loss': my_loss}}"
            )
        if name in known:
            raise SpecError(f"'{name}' is the name of a built-in technique; rename your function")
    return dict(functions)


def _fits(function: Function, *given: Any, **named: Any) -> bool:
    try:
        inspect.signature(function).bind(*given, **named)
    except TypeError:
        return False
    except ValueError:  # some functions written in C have no signature
        return True
    return True
