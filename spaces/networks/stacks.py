"""Plain modules as stacks: one alone, or several with the same graph through torch.func.vmap.

The modules are a user's own, written for one network and torch's usual ways, so what those ways would spoil is mended
here: noise that comes from generators which everyone shares, and a last batch of one sample.
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

    Its noise, also in evaluation, comes from `seed` and from how often it was called, and from nothing else.
    """

    def __init__(self, module: nn.Module, seed: int = 0) -> None:
        super().__init__()
        self.module = module
        self._noise_seed = seed

    @property
    def rate_scales(self) -> Mapping[str, float]:
        """The module's own, by the names that its parameters have here."""
        return {f"module.{name}": scale for name, scale in _rate_scales(self.module).items()}

    # With it in state_dict(), a restored module goes on with the same noise.
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
    """K plain modules with the same graph as one: (K, batch, …) → (K, batch, outputs). It takes the modules over.

    Raises ValueError for modules that differ in more than their weights, and for layers that draw noise: under vmap it
    would come from one generator for all rows, so that a row's result depended on its neighbours. `forward` raises it
    for what vmap cannot do.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        first = modules[0]
        noisy = [name for name, layer in first.named_modules() if isinstance(layer, _NOISY)]
        if noisy:
            raise ValueError(f"layer '{noisy[0]}' draws noise, and cannot share a stack; let stack_key return None")
        graphs = [_graph(module) for module in modules]
        if differing := [name for graph in graphs for name in graph if any(g.get(name) != graph[name] for g in graphs)]:
            raise ValueError(f"networks of one stack_key differ in '{differing[0]}'; put what differs into the key")
        for tensors in (nn.Module.parameters, nn.Module.buffers):
            for same in zip(*map(tensors, modules), strict=True):
                same[0].data = torch.stack([tensor.detach() for tensor in same])
        self.rows = first  # with K rows in each of its tensors; what runs is one row of them

    @property
    def rate_scales(self) -> Mapping[str, float]:
        """The modules' own, by the names that their parameters have here."""
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
            said = " ".join(str(error).removeprefix("vmap: ").split()).partition(". ")[0].rstrip(".")
            raise ValueError(
                f"the network cannot share a stack, since vmap fails{_place(error)}: {said}; let stack_key return None"
            ) from None  # the traceback is a page of torch's own
        for name, buffer in replaced.items():
            buffers[name].copy_(buffer)
        return outputs  # type: ignore[no-any-return]  # vmap is untyped


class _WithBuffers(nn.Module):
    """Answers with the buffers too, for modules that do not write into theirs but put new ones in their place."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        outputs: Tensor = self.module(inputs)
        return outputs, dict(self.named_buffers())


@contextmanager
def _single_samples(module: nn.Module, batch: int) -> Iterator[None]:
    """Lets a batch of one through batch norm in training, as where an epoch's last batch has one sample left.

    A channel of one value has no variance, and torch raises. Such a layer normalises by its running statistics
    instead, and does not change them.
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
    """All that must be alike in the modules of a stack, by a name for each: everything but the weights' values."""
    graph: dict[str, Any] = {}
    for name, layer in module.named_modules():
        graph[name] = type(layer)
        graph |= {f"{name}.{key}".lstrip("."): _plain(value) for key, value in vars(layer).items()}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        graph[name] = (tensor.shape, tensor.requires_grad)
    return graph | {f"rate_scales of {name}": scale for name, scale in _rate_scales(module).items()}


def _plain(value: object) -> object:
    """The value in a form that can be compared: a function by its name; None where there is no such form."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value if isinstance(value, str | int | float) else getattr(value, "__qualname__", None)


def _rate_scales(module: nn.Module) -> dict[str, float]:
    """The module's `rate_scales`, checked."""
    scales: dict[str, float] = dict(getattr(module, "rate_scales", {}))
    names = [name for name, _ in module.named_parameters(remove_duplicate=False)] if scales else []
    for name, scale in scales.items():
        if name not in names:
            raise SpaceError(unknown("parameter in rate_scales", name, names))
        if not 0 < scale < float("inf"):
            raise SpaceError(f"rate_scales['{name}'] must be a number above 0, got {scale!r}; freeze it otherwise")
    return scales


def _place(error: BaseException) -> str:
    """` (spec.py, line 12)`: the innermost line of the user's own."""
    ours = (str(Path(torch.__file__).parent), __file__)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
