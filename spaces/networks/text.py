"""What the families for text share: the check of their inputs, where a text ends, how its tokens become one vector."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from archsearch.spaces.errors import SpaceError
from archsearch.spaces.inputs import Inputs

PADDING = 0  # the code that fills up a text; see Inputs
# How the vectors of tokens start (Radford et al., 2018, "Improving language understanding by generative pre-training",
# section 4.1). At 1, as torch's own, the few steps that a rare word gets would hardly move it.
EMBEDDING_STD = 0.02


def vocabulary_of(inputs: Inputs, family: str) -> int:
    """How many codes there are. Raises SpaceError for inputs that are no text."""
    if inputs.vocabulary is None:
        raise SpaceError(
            f"{family} reads texts, got inputs of shape {inputs.shape} without a vocabulary; give it data=text(...), "
            "or take a family for such inputs, as MLP"
        )
    return inputs.vocabulary


def token_mask(tokens: Tensor) -> Tensor:
    """Which tokens are part of their text: (…, tokens) codes → (…, tokens) bools.

    The first always is, so that a text of padding alone is one token that says nothing, and no mean over none.
    """
    mask = tokens != PADDING
    mask[..., 0] = True
    return mask


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """(…, tokens, width) → (…, width): the mean over the tokens that the mask (…, tokens) has."""
    weights = mask.unsqueeze(-1).to(x.dtype)
    return (x * weights).sum(-2) / weights.sum(-2)


def masked_max(x: Tensor, mask: Tensor) -> Tensor:
    """(…, tokens, width) → (…, width): the maximum over the tokens that the mask (…, tokens) has."""
    return torch.where(mask.unsqueeze(-1), x, -math.inf).amax(-2)


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"average": masked_mean, "max": masked_max}
