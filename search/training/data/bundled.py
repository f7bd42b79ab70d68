"""The small data sets that come with scikit-learn: real data that needs no download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from archsearch.search.training.data.data_source import DataSource
from archsearch.search.training.data.preparation import Data
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.samples import Samples
from archsearch.search.training.data.scaling import Scaling
from archsearch.search.training.data.split import DEFAULT_SPLIT, Split

Name = Literal["digits", "iris", "wine", "breast_cancer", "diabetes"]


def digits(*, scaling: Scaling = "standard", split: Split = DEFAULT_SPLIT) -> Data:
    """1,797 handwritten digits as grey images (8, 8) in 10 classes; bundled with scikit-learn.

    Args:
        scaling: "standard" scales to mean 0 and standard deviation 1, "min_max" the range of the training part to
            [0, 1]. Images share one mean and deviation over all pixels.
        split: How rows are divided into training, validation and test part; by default 0.6, 0.2 and 0.2 at random.
    """
    return Data(Bundled("digits"), split, scaling=scaling)


def iris(*, scaling: Scaling = "standard", split: Split = DEFAULT_SPLIT) -> Data:
    """150 iris flowers, 4 lengths in cm, 3 species (a classification); bundled with scikit-learn.

    Args:
        scaling: "standard" scales each numeric column to mean 0 and standard deviation 1, "min_max" the range of the
            training part to [0, 1].
        split: How rows are divided into training, validation and test part; by default 0.6, 0.2 and 0.2 at random.
    """
    return Data(Bundled("iris"), split, scaling=scaling)


def wine(*, scaling: Scaling = "standard", split: Split = DEFAULT_SPLIT) -> Data:
    """178 wines, 13 chemical measurements, 3 growers (a classification); bundled with scikit-learn.

    Args:
        scaling: "standard" scales each numeric column to mean 0 and standard deviation 1, "min_max" the range of the
            training part to [0, 1].
        split: How rows are divided into training, validation and test part; by default 0.6, 0.2 and 0.2 at random.
    """
    return Data(Bundled("wine"), split, scaling=scaling)


def breast_cancer(*, scaling: Scaling = "standard", split: Split = DEFAULT_SPLIT) -> Data:
    """569 tumours, 30 measurements, benign or malignant (a classification); bundled with scikit-learn.

    Args:
        scaling: "standard" scales each numeric column to mean 0 and standard deviation 1, "min_max" the range of the
            training part to [0, 1].
        split: How rows are divided into training, validation and test part; by default 0.6, 0.2 and 0.2 at random.
    """
    return Data(Bundled("breast_cancer"), split, scaling=scaling)


def diabetes(*, scaling: Scaling = "standard", split: Split = DEFAULT_SPLIT) -> Data:
    """442 patients, 10 measurements, disease progression after a year (a regression); bundled with scikit-learn.

    Args:
        scaling: "standard" scales each numeric column to mean 0 and standard deviation 1, "min_max" the range of the
            training part to [0, 1].
        split: How rows are divided into training, validation and test part; by default 0.6, 0.2 and 0.2 at random.
    """
    return Data(Bundled("diabetes"), split, scaling=scaling)


@dataclass(frozen=True, slots=True)
class Bundled(DataSource):
    """One of scikit-learn's bundled data sets, by name."""

    name: Name

    @property
    def task(self) -> Task:
        """The task, which is known before the data is read."""
        return "regression" if self.name == "diabetes" else "classification"

    def load(self) -> Samples:
        from sklearn import datasets  # late: workers never load data, and scikit-learn is slow to import

        bunch = getattr(datasets, f"load_{self.name}")()
        if self.name == "digits":
            return Samples(bunch.images, bunch.target, task=self.task)
        columns = {str(name): column for name, column in zip(bunch.feature_names, bunch.data.T, strict=True)}
        if self.name == "diabetes":
            return Samples(columns, bunch.target, task=self.task)
        return Samples(columns, bunch.target_names[bunch.target], task=self.task)
