"""The network families: each declares its parameters and builds its networks. Importing this package loads torch."""

from archsearch.spaces.inputs import Inputs
from archsearch.spaces.networks.base import Network, NetworkFamily, StackedNetwork, stack_key, stacked
from archsearch.spaces.networks.cells import Cells
from archsearch.spaces.networks.cnn import CNN
from archsearch.spaces.networks.mlp import MLP
from archsearch.spaces.networks.pretrained import Pretrained
from archsearch.spaces.networks.text_cnn import TextCNN
from archsearch.spaces.networks.text_transformer import TextTransformer

__all__ = [
    "CNN",
    "MLP",
    "Cells",
    "Inputs",
    "Network",
    "NetworkFamily",
    "Pretrained",
    "StackedNetwork",
    "TextCNN",
    "TextTransformer",
    "stack_key",
    "stacked",
]
