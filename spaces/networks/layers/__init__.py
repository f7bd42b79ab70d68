"""Layers for a stack of K networks: every parameter has a leading axis of K rows, and no operation mixes rows.

There are two layouts, each for the operations that are fastest with it: features (K, batch, …, features) for linear
layers, embeddings and layer norm; maps (batch, K * channels, …) for convolutions, pooling and batch norm, in which the
channels of all rows are channels of one torch operation. `to_maps` and `to_rows` convert between them.

Each row of a layer is initialized from its own random generator. On the meta device nothing is drawn.
"""

from archsearch.spaces.networks.layers.activations import ACTIVATIONS
from archsearch.spaces.networks.layers.attention import SelfAttention
from archsearch.spaces.networks.layers.convolution import Conv, SeparableConv
from archsearch.spaces.networks.layers.dense import Dense
from archsearch.spaces.networks.layers.dropout import Dropout, MapDropout
from archsearch.spaces.networks.layers.embedding import Embedding
from archsearch.spaces.networks.layers.initialization import INITIALIZATIONS, initialize
from archsearch.spaces.networks.layers.layouts import to_maps, to_rows
from archsearch.spaces.networks.layers.linear import Linear, Output
from archsearch.spaces.networks.layers.norms import BatchNorm, LayerNorm
from archsearch.spaces.networks.layers.pooling import HALVING_POOLINGS, SAME_SIZE_POOLINGS
from archsearch.spaces.networks.layers.positions import POSITIONS, LearnedPositions, SinusoidalPositions

__all__ = [
    "ACTIVATIONS",
    "HALVING_POOLINGS",
    "INITIALIZATIONS",
    "POSITIONS",
    "SAME_SIZE_POOLINGS",
    "BatchNorm",
    "Conv",
    "Dense",
    "Dropout",
    "Embedding",
    "LayerNorm",
    "LearnedPositions",
    "Linear",
    "MapDropout",
    "Output",
    "SelfAttention",
    "SeparableConv",
    "SinusoidalPositions",
    "initialize",
    "to_maps",
    "to_rows",
]
