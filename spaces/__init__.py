"""Search spaces: domains, priors, conditions and constraints, and the `Space` that combines them.

Importing this package loads neither torch nor ray; the network families in `archsearch.spaces.networks` load torch.
"""

from archsearch.spaces.changes import Change
from archsearch.spaces.constraints import Constraint, RejectionRates, constraint, forbidden
from archsearch.spaces.domains import Choice, Domain, Float, Int, Value
from archsearch.spaces.encoding import Encoding
from archsearch.spaces.errors import (
    ArchsearchError,
    ConfigError,
    DataError,
    ExecutionError,
    SpaceError,
    SpecError,
    StoreError,
    StudyFailed,
)
from archsearch.spaces.flattening import Parameter, Repeat, When
from archsearch.spaces.mutation import crossover, mutate, neighbour, repair
from archsearch.spaces.priors import Prior
from archsearch.spaces.space import Config, Space
from archsearch.spaces.transfer import translate_config

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
    "RejectionRates",
    "Repeat",
    "Space",
    "SpaceError",
    "SpecError",
    "StoreError",
    "StudyFailed",
    "Value",
    "When",
    "constraint",
    "crossover",
    "forbidden",
    "mutate",
    "neighbour",
    "repair",
    "translate_config",
]
