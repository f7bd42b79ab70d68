"""Arrays that the user already holds in memory, or mapped from a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.blocks import concatenate
from archsearch.search.training.data.data_source import DataSource
from archsearch.search.training.data.loaded import Pair, checked_pair, checked_targets
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.samples import Samples
from archsearch.search.training.data.streaming import Allocate
from archsearch.search.training.data.targets import check_task
from archsearch.spaces.errors import DataError


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Arrays(DataSource):
    """Inputs (n, features) or (n, ...), targets (n,) or (n, k), and optionally an official test part likewise."""

    inputs: npt.NDArray[Any]
    targets: npt.NDArray[Any]
    task: Task | None = None
    test: Pair | None = None

    def __post_init__(self) -> None:
        check_task(self.task)

    def __str__(self) -> str:
        return "arrays()"

    def __repr__(self) -> str:
        test = "" if self.test is None else f", test={self.test[0].shape}"
        return f"Arrays({self.inputs.dtype} {self.inputs.shape}, {self.targets.dtype} {self.targets.shape}{test})"

    def load(self) -> Samples:
        return self.load_into(np.empty)

    def load_targets(self) -> npt.NDArray[Any]:
        if self.test is None:
            return self.targets
        return _joined(checked_targets(self.targets), checked_targets(self.test[1], "test "))

    def load_into(self, allocate: Allocate) -> Samples:
        if self.test is None:
            return Samples(self.inputs, self.targets, self.task)
        inputs, targets = checked_pair(self.inputs, self.targets)
        test_inputs, test_targets = checked_pair(*self.test, "test ")
        if test_inputs.shape[1:] != inputs.shape[1:]:
            raise DataError(
                f"test inputs have shape (n, *{test_inputs.shape[1:]}), the others (n, *{inputs.shape[1:]}); "
                "give both the same features"
            )
        joined = concatenate(allocate, inputs, test_inputs)
        return Samples(joined, _joined(targets, test_targets), self.task, len(test_targets))


def _joined(targets: npt.NDArray[Any], test: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if test.shape[1:] != targets.shape[1:]:
        raise DataError(
            f"test targets have shape {test.shape}, the others {targets.shape}; give both as many targets per row"
        )
    return np.concatenate([targets, test])
