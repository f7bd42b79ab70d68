"""The network families: for each its searchable parameters and its builder together. Importing this loads torch."""

from spaces.inputs import Inputs
from spaces.networks.base import Network, StackedNetwork, stack_key, stacked
from spaces.networks.cells import Cells
from spaces.networks.cnn import CNN
from spaces.networks.mlp import MLP
from spaces.networks.pretrained import Pretrained
from spaces.networks.text_cnn import TextCNN
from spaces.networks.text_transformer import TextTransformer

__all__ = [
    "CNN",
    "MLP",
    "Cells",
    "Inputs",
    "Network",
    "Pretrained",
    "StackedNetwork",
    "TextCNN",
    "TextTransformer",
    "stack_key",
    "stacked",
]
