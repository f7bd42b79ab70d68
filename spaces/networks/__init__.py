"""The network families: for each its searchable parameters and its builder together. Importing this loads torch."""

from spaces.inputs import Inputs
from spaces.networks.base import Network, StackedNetwork, stack_key, stacked
from spaces.networks.mlp import MLP

__all__ = ["MLP", "Inputs", "Network", "StackedNetwork", "stack_key", "stacked"]
