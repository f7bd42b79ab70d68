"""Normalization layers for a stack, with torch's constants."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-5


class BatchNorm(nn.Module):
    """Batch normalization of maps (batch, K * channels, …).

    See Ioffe and Szegedy, 2015, "Batch normalization: accelerating deep network training by reducing internal covariate
    shift", algorithms 1 and 2. Training uses the statistics of the batch and updates running ones, which evaluation
    uses. A channel with a single value, as in a last batch of one sample, has no variance: its output is the bias, and
    the running statistics are not updated.
    """

    running_mean: Tensor
    running_var: Tensor
    MOMENTUM = 0.1

    def __init__(self, rows: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(rows, channels))
        self.bias = nn.Parameter(torch.zeros(rows, channels))
        self.register_buffer("running_mean", torch.zeros(rows, channels))
        self.register_buffer("running_var", torch.ones(rows, channels))

    def forward(self, x: Tensor) -> Tensor:
        updates = x.numel() > x.shape[1] or not self.training
        return torch.batch_norm(
            x,
            self.weight.reshape(-1),
            self.bias.reshape(-1),
            self.running_mean.view(-1) if updates else None,
            self.running_var.view(-1) if updates else None,
            self.training,
            self.MOMENTUM,
            EPSILON,
            torch.backends.cudnn.enabled,
        )


class LayerNorm(nn.Module):
    """Layer normalization over the last axis of (K, batch, …, width) (Ba et al., 2016, "Layer normalization")."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(rows, width))
        self.bias = nn.Parameter(torch.zeros(rows, width))

    def forward(self, x: Tensor) -> Tensor:
        shape = (len(x), *(1,) * (x.dim() - 2), x.shape[-1])
        normal = functional.layer_norm(x, x.shape[-1:], eps=EPSILON)
        return torch.addcmul(self.bias.view(shape), normal, self.weight.view(shape))
