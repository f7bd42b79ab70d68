"""Training: the objective `Supervised`, its `Recipe` and the data sources. Importing this package loads torch."""

from archsearch.search.training.data import (
    Split,
    Streaming,
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
from archsearch.search.training.recipe import Recipe
from archsearch.search.training.supervised import Supervised

__all__ = [
    "Recipe",
    "Split",
    "Streaming",
    "Supervised",
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
