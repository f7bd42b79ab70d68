"""What may be chosen: domains, conditions, and the space that they make together.

Importing `spaces` loads neither torch nor ray; the network families in `spaces.networks` load torch.
"""

from spaces.domains import Choice, Domain, Float, Int, Value
from spaces.errors import (
    ArchsearchError,
    ConfigError,
    DataError,
    ExecutionError,
    SpaceError,
    SpecError,
    StoreError,
    StudyFailed,
)
from spaces.space import Config, Parameter, Space, When

__all__ = [
    "ArchsearchError",
    "Choice",
    "Config",
    "ConfigError",
    "DataError",
    "Domain",
    "ExecutionError",
    "Float",
    "Int",
    "Parameter",
    "Space",
    "SpaceError",
    "SpecError",
    "StoreError",
    "StudyFailed",
    "Value",
    "When",
]
