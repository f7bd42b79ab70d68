"""What the text families share: the check of their inputs, the mask of padding, and pooling over tokens."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from archsearch.spaces.errors import SpaceError
from archsearch.spaces.inputs import Inputs

PADDING = 0  # the code after the end of a text; see Inputs
# The initial standard deviation of token vectors (Radford et al., 2018, "Improving language understanding by generative
# pre-training", section 4.1). With torch's default of 1, the few updates of a rare word would hardly change its vector.
EMBEDDING_STD = 0.02


def vocabulary_of(inputs: Inputs, family: str) -> int:
    """The number of codes. Raises SpaceError if the inputs are not text."""
    if inputs.vocabulary is None:
        raise SpaceError(
            f"{family} needs text, got inputs of shape {inputs.shape} without a vocabulary; use data=text(...), or "
            "another family, such as MLP"
        )
    return inputs.vocabulary


def token_mask(tokens: Tensor) -> Tensor:
    """The mask of tokens that are not padding: (…, tokens) codes → (…, tokens) booleans.

    It always includes the first token, so that the mean over an empty text is not a division by 0.
    """
    mask = tokens != PADDING
    mask[..., 0] = True
    return mask


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """The mean over the tokens in the mask (…, tokens): (…, tokens, width) → (…, width)."""
    weights = mask.unsqueeze(-1).to(x.dtype)
    return (x * weights).sum(-2) / weights.sum(-2)


def masked_max(x: Tensor, mask: Tensor) -> Tensor:
    """The maximum over the tokens in the mask (…, tokens): (…, tokens, width) → (…, width)."""
    return torch.where(mask.unsqueeze(-1), x, -math.inf).amax(-2)


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"average": masked_mean, "max": masked_max}
