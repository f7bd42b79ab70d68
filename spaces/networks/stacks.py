"""Plain modules as stacks: one alone, or several with the same graph through torch.func.vmap."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

_NOISY = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.RReLU)


class Alone(nn.Module):
    """One plain module as a stack of one: (1, batch, …) → (1, batch, outputs)."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    @property
    def rate_scales(self) -> Mapping[str, float]:
        """The module's own, by the names that its parameters have here."""
        return {f"module.{name}": scale for name, scale in getattr(self.module, "rate_scales", {}).items()}

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.module(inputs[0])
        return outputs.unsqueeze(0)


class Mapped(nn.Module):
    """K plain modules with the same graph as one: (K, batch, …) → (K, batch, outputs).

    Raises ValueError for modules whose parameters differ in shape, and for layers that draw noise: under vmap it would
    come from one generator for all rows, so that a row's result depended on its neighbours.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        noisy = [name for name, layer in modules[0].named_modules() if isinstance(layer, _NOISY)]
        if noisy:
            raise ValueError(f"layer '{noisy[0]}' draws noise, and cannot share a stack; let stack_key return None")
        shapes = [{name: tensor.shape for name, tensor in module.state_dict().items()} for module in modules]
        if any(other != shapes[0] for other in shapes):
            raise ValueError("the modules of one stack_key differ in their parameters; put what differs into the key")
        # In a tuple, so that the base is no part of this module: it only lends its graph.
        self._base = (copy.deepcopy(modules[0]).to("meta"),)
        self._names = [name for name, _ in modules[0].named_parameters()]
        self._buffer_names = [name for name, _ in modules[0].named_buffers()]
        parameters = [[p.detach() for _, p in module.named_parameters()] for module in modules]
        self.rows = nn.ParameterList(
            nn.Parameter(torch.stack(same), requires_grad=first.requires_grad)
            for same, first in zip(zip(*parameters, strict=True), modules[0].parameters(), strict=True)
        )
        for index, same in enumerate(zip(*([b for _, b in m.named_buffers()] for m in modules), strict=True)):
            self.register_buffer(f"buffer_{index}", torch.stack(same))

    @property
    def rate_scales(self) -> Mapping[str, float]:
        """The first module's, by the names that its parameters have here."""
        scales = getattr(self._base[0], "rate_scales", {})
        return {f"rows.{self._names.index(name)}": scale for name, scale in scales.items()}

    def train(self, mode: bool = True) -> Mapped:
        self._base[0].train(mode)
        return super().train(mode)

    def forward(self, inputs: Tensor) -> Tensor:
        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
            outputs: Tensor = functional_call(self._base[0], (parameters, buffers), (x,))
            return outputs

        parameters = dict(zip(self._names, self.rows, strict=True))
        buffers = {name: getattr(self, f"buffer_{index}") for index, name in enumerate(self._buffer_names)}
        return vmap(one, randomness="error")(parameters, buffers, inputs)
