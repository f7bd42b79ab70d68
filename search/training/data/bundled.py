"""The small data sets that come with scikit-learn: real data that needs no download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from archsearch.search.training.data.data_source import DataSource
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.samples import Samples

Name = Literal["digits", "iris", "wine", "breast_cancer", "diabetes"]


@dataclass(frozen=True, slots=True)
class Bundled(DataSource):
    """One of scikit-learn's bundled data sets, by name."""

    name: Name

    @property
    def task(self) -> Task:
        """What its targets are, known before they are read."""
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
