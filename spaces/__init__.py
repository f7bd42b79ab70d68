"""What may be chosen: domains, priors, conditions, constraints, and the space that they make together.

Importing `spaces` loads neither torch nor ray; the network families in `spaces.networks` load torch.
"""

from spaces.changes import Change
from spaces.constraints import Constraint, Rejected, constraint, forbidden
from spaces.domains import Choice, Domain, Float, Int, Value
from spaces.encoding import Encoding
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
from spaces.moves import crossover, mutate, neighbour, repair
from spaces.priors import Prior
from spaces.space import Config, Space
from spaces.structure import Parameter, Repeat, When
from spaces.transfer import carried

__all__ = [
    "ArchsearchError",
    "Change",
    "Choice",
    "Config",
    "ConfigError",
    "Constraint",
    "DataError",
    "Domain",
    "Encoding",
    "ExecutionError",
    "Float",
    "Int",
    "Parameter",
    "Prior",
    "Rejected",
    "Repeat",
    "Space",
    "SpaceError",
    "SpecError",
    "StoreError",
    "StudyFailed",
    "Value",
    "When",
    "carried",
    "constraint",
    "crossover",
    "forbidden",
    "mutate",
    "neighbour",
    "repair",
]
