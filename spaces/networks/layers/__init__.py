"""Layers over a stack of K networks: every parameter has a leading axis of K rows, and rows meet in no operation.

Two layouts, each where it is quickest: features (K, batch, …, features), for linear layers, embeddings and layer norm;
maps (batch, K * channels, …), for convolutions, pooling and batch norm, in which every row's channels are channels of
one torch operation. `to_maps` and `to_rows` lead from one to the other.

A layer draws its start, row by row, from the generators that it is given. On the meta device nothing is drawn.
"""

from spaces.networks.layers.activations import ACTIVATIONS
from spaces.networks.layers.attention import SelfAttention
from spaces.networks.layers.convolution import Conv, SeparableConv
from spaces.networks.layers.dense import Dense
from spaces.networks.layers.dropout import Dropout, MapDropout
from spaces.networks.layers.embedding import Embedding
from spaces.networks.layers.layouts import to_maps, to_rows
from spaces.networks.layers.linear import Linear, Output
from spaces.networks.layers.norms import BatchNorm, LayerNorm
from spaces.networks.layers.pooling import HALVINGS, SMOOTHINGS
from spaces.networks.layers.positions import POSITIONS, LearnedPositions, SinusoidalPositions
from spaces.networks.layers.starts import STARTS, start

__all__ = [
    "ACTIVATIONS",
    "HALVINGS",
    "POSITIONS",
    "SMOOTHINGS",
    "STARTS",
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
    "start",
    "to_maps",
    "to_rows",
]
