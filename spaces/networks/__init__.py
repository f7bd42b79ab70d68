"""The network families: for each its searchable parameters and its builder together. Importing this loads torch."""

from spaces.networks.base import Network
from spaces.networks.mlp import MLP

__all__ = ["MLP", "Network"]
