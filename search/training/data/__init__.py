"""The data side of `Supervised`: where data comes from, how it is split, and what a network is given.

    data = csv("bank.csv", target="y", split=Split(seed=1))     # declares; reads nothing
    prepared = data.prepare()                                   # arrays; statistics from the training part alone

Numpy only: the arrays are shared between processes, and what trains on them is not this package's business.
"""

from archsearch.search.training.data.preparation import Data
from archsearch.search.training.data.prepared import Part, Prepared
from archsearch.search.training.data.sources import (
    arrays,
    breast_cancer,
    csv,
    dataset,
    diabetes,
    digits,
    idx,
    image_folder,
    iris,
    npz,
    parquet,
    text,
    wine,
)
from archsearch.search.training.data.split import Split
from archsearch.search.training.data.streaming import Streaming

__all__ = [
    "Data",
    "Part",
    "Prepared",
    "Split",
    "Streaming",
    "arrays",
    "breast_cancer",
    "csv",
    "dataset",
    "diabetes",
    "digits",
    "idx",
    "image_folder",
    "iris",
    "npz",
    "parquet",
    "text",
    "wine",
]
