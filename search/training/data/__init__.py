"""The data side of `Supervised`: where data comes from, how it is split, and what a network is given.

    data = csv("bank.csv", target="y", split=Split(seed=1))     # a declaration; reads nothing
    prepared = data.prepare()                                   # arrays; statistics of the training part alone

NumPy only: processes share the arrays, and `training` turns them into tensors.
"""

from archsearch.search.training.data.bundled import breast_cancer, diabetes, digits, iris, wine
from archsearch.search.training.data.data_source import DataSource
from archsearch.search.training.data.preparation import Data
from archsearch.search.training.data.prepared import Part, Prepared
from archsearch.search.training.data.samples import Samples, Texts
from archsearch.search.training.data.sources import (
    arrays,
    csv,
    dataset,
    idx,
    image_folder,
    npz,
    parquet,
    text,
)
from archsearch.search.training.data.split import Split
from archsearch.search.training.data.streaming import Streaming

__all__ = [
    "Data",
    "DataSource",
    "Part",
    "Prepared",
    "Samples",
    "Split",
    "Streaming",
    "Texts",
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
