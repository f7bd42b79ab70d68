"""Turns plain torch modules into stacks: a single module as it is, several with the same graph by torch.func.vmap.

The modules are written by users for ordinary training. Two things that would go wrong here are handled: random numbers
from torch's global generators, and a last batch of one sample.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from archsearch.spaces.errors import SpaceError, unknown
from archsearch.spaces.networks.seeding import seeded

_NOISY = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.RReLU)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class SingleStack(nn.Module):
    """One plain module as a stack of one: (1, batch, …) → (1, batch, outputs).

    Its random numbers, also in evaluation mode, depend only on `seed` and on the number of calls so far.
    """

    def __init__(self, module: nn.Module, seed: int = 0) -> None:
        super().__init__()
        self.module = module
        self._noise_seed = seed

    @property
    def rate_scales(self) -> Mapping[str, float]:
        """The module's `rate_scales`, with the names that its parameters have here."""
        return {f"module.{name}": scale for name, scale in _rate_scales(self.module).items()}

    # Part of state_dict(), so that a restored module continues with the same random numbers.
    def get_extra_state(self) -> int:
        return self._noise_seed

    def set_extra_state(self, state: int) -> None:
        self._noise_seed = state

    def forward(self, inputs: Tensor) -> Tensor:
        self._noise_seed += 1
        with seeded(self._noise_seed, inputs.device), _single_samples(self.module, inputs.shape[1]):
            outputs: Tensor = self.module(inputs[0])
        return outputs.unsqueeze(0)


class VmapStack(nn.Module):
    """K plain modules with the same graph as one: (K, batch, …) → (K, batch, outputs). It takes ownership of them.

    Layers that draw random numbers are refused: under vmap, all rows would share one generator, so that a row's result
    would depend on the other rows.

    Raises:
        ValueError: The modules differ in more than their weights, or have layers that draw random numbers; or, in
            `forward`, vmap does not support an operation.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        first = modules[0]
        noisy = [name for name, layer in first.named_modules() if isinstance(layer, _NOISY)]
        if noisy:
            raise ValueError(
                f"layer '{noisy[0]}' draws random numbers, so the network cannot be stacked; return None as stack_key"
            )
        graphs = [_graph(module) for module in modules]
        if differing := [name for graph in graphs for name in graph if any(g.get(name) != graph[name] for g in graphs)]:
            raise ValueError(f"networks with equal stack_key differ in '{differing[0]}'; make it part of the key")
        for tensors in (nn.Module.parameters, nn.Module.buffers):
            for same in zip(*map(tensors, modules), strict=True):
                same[0].data = torch.stack([tensor.detach() for tensor in same])
        self.rows = first  # each of its tensors has K rows; vmap runs it on one row at a time

    @property
    def rate_scales(self) -> Mapping[str, float]:
        """The modules' `rate_scales`, with the names that their parameters have here."""
        return {f"rows.{name}": scale for name, scale in _rate_scales(self.rows).items()}

    def forward(self, inputs: Tensor) -> Tensor:
        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Any:
            outputs, after = functional_call(row, (parameters, buffers), (x,))
            return outputs, {name: buffer for name, buffer in after.items() if buffer is not buffers[name]}

        row = _WithBuffers(self.rows)
        buffers = dict(row.named_buffers())
        try:
            with _single_samples(self.rows, inputs.shape[1]):
                outputs, replaced = vmap(one, randomness="error")(dict(row.named_parameters()), buffers, inputs)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = " ".join(str(error).removeprefix("vmap: ").split()).partition(". ")[0].rstrip(".")
            raise ValueError(
                f"the network cannot be stacked, because vmap fails{_user_line(error)}: {reason}; "
                "return None as stack_key"
            ) from None  # the traceback is long and within torch
        for name, buffer in replaced.items():
            buffers[name].copy_(buffer)
        return outputs  # type: ignore[no-any-return]  # vmap is untyped


class _WithBuffers(nn.Module):
    """Returns the buffers too, for modules that replace their buffers instead of writing into them."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        outputs: Tensor = self.module(inputs)
        return outputs, dict(self.named_buffers())


@contextmanager
def _single_samples(module: nn.Module, batch: int) -> Iterator[None]:
    """Lets batch norm accept a batch of one sample in training, such as the last batch of an epoch.

    Such a batch has no variance, and torch raises an error. The layer then normalizes by its running statistics
    instead, and does not update them.
    """
    layers = module.modules() if batch == 1 else ()
    norms = [m for m in layers if isinstance(m, _BATCH_NORMS) and m.training and m.track_running_stats]

    def has_variance(layer: nn.Module, given: tuple[Tensor]) -> None:
        layer.training = given[0].numel() > given[0].shape[1]

    hooks = [layer.register_forward_pre_hook(has_variance) for layer in norms]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for layer in norms:
            layer.train()


def _graph(module: nn.Module) -> dict[str, Any]:
    """What must be equal in the modules of a stack, by name: everything but the values of the weights."""
    graph: dict[str, Any] = {}
    for name, layer in module.named_modules():
        graph[name] = type(layer)
        graph |= {f"{name}.{key}".lstrip("."): _plain(value) for key, value in vars(layer).items()}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        graph[name] = (tensor.shape, tensor.requires_grad)
    return graph | {f"rate_scales of {name}": scale for name, scale in _rate_scales(module).items()}


def _plain(value: object) -> object:
    """The value in a form that can be compared (a function by its name), or None."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value if isinstance(value, str | int | float) else getattr(value, "__qualname__", None)


def _rate_scales(module: nn.Module) -> dict[str, float]:
    """The module's `rate_scales`, after checking them."""
    scales: dict[str, float] = dict(getattr(module, "rate_scales", {}))
    names = [name for name, _ in module.named_parameters(remove_duplicate=False)] if scales else []
    for name, scale in scales.items():
        if name not in names:
            raise SpaceError(unknown("parameter in rate_scales", name, names))
        if not 0 < scale < float("inf"):
            raise SpaceError(
                f"rate_scales['{name}'] must be a number above 0, got {scale!r}; to freeze the parameter, set its "
                "requires_grad to False"
            )
    return scales


def _user_line(error: BaseException) -> str:
    """The innermost line of the traceback outside of torch and this file, as ` (spec.py, line 12)`."""
    ours = (str(Path(torch.__file__).parent), __file__)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
