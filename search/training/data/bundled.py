"""The small data sets that come with scikit-learn: real data that needs no download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.raw import Raw, Table

Name = Literal["digits", "iris", "wine", "breast_cancer", "diabetes"]


@dataclass(frozen=True, slots=True)
class Bundled:
    """One of scikit-learn's bundled data sets, by name."""

    name: Name

    @property
    def task(self) -> Task:
        """What its targets are, known before they are read."""
        return "regression" if self.name == "diabetes" else "classification"

    def read(self) -> Raw:
        from sklearn import datasets  # here, not above: workers never read, and scikit-learn loads slowly

        bunch = getattr(datasets, f"load_{self.name}")()
        if self.name == "digits":
            return Raw(bunch.images, bunch.target, task=self.task)
        table = Table(bunch.data.astype(np.float64), tuple(str(name) for name in bunch.feature_names))
        if self.name == "diabetes":
            return Raw(table, bunch.target, task=self.task)
        return Raw(table, bunch.target_names[bunch.target], task=self.task)
