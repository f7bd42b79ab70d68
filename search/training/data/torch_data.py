"""A `torch.utils.data.Dataset` of (input, target) pairs, read into arrays once, so that no epoch waits for it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.blocks import GrowingArray
from archsearch.search.training.data.data_source import DataSource
from archsearch.search.training.data.image_folders import GREY, check_depth, pixels
from archsearch.search.training.data.loaded import Pair
from archsearch.search.training.data.memory import Arrays
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.samples import Samples
from archsearch.search.training.data.streaming import Allocate
from archsearch.search.training.data.targets import check_task
from archsearch.search.user_code import describe
from archsearch.spaces.errors import DataError
from archsearch.studies.formatting import count

INITIAL_ROWS = 1024  # of the array for a dataset of unknown length, which doubles when it is full


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TorchDataset(DataSource):
    """A dataset and optionally its official test part; see `dataset` for each field."""

    dataset: Any
    test: Any
    task: Task | None

    def __post_init__(self) -> None:
        check_task(self.task)
        _check(self.dataset, "the dataset")
        if self.test is not None:
            _check(self.test, "test")

    def __str__(self) -> str:
        return "dataset()"

    def __repr__(self) -> str:
        test = "" if self.test is None else f", test={type(self.test).__name__}"
        return f"TorchDataset({type(self.dataset).__name__}{test})"

    def load(self) -> Samples:
        return self.load_into(np.empty)

    def load_into(self, allocate: Allocate) -> Samples:
        inputs, targets = _collect(self.dataset, allocate, "")
        test = None if self.test is None else _collect(self.test, allocate, "test ")
        return Arrays(inputs, targets, self.task, test).load_into(allocate)


def _check(dataset: Any, what: str) -> None:
    from torch.utils.data import DataLoader, IterableDataset  # late: the other sources need no torch

    if isinstance(dataset, DataLoader):
        raise DataError(f"{what} is a DataLoader; pass its dataset, loader.dataset (the recipe makes the batches)")
    if isinstance(dataset, type) or not (
        isinstance(dataset, IterableDataset) or (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"))
    ):
        raise DataError(
            f"{what} must be a torch Dataset with len(), or an IterableDataset, got {dataset!r}; add __len__, "
            "or use arrays()"
        )


def _collect(dataset: Any, allocate: Allocate, part: str) -> Pair:
    """(inputs (n, ...), targets (n,)). Raises DataError for an item that is no pair, or of another shape."""
    rows = _rows(dataset)
    inputs, targets = GrowingArray(allocate, rows), GrowingArray(np.empty, rows)
    for row, item in enumerate(_items(dataset, part)):
        what = f"{part}item {row}"
        if not isinstance(item, tuple | list) or len(item) != 2:
            got = count(len(item), "value") if isinstance(item, tuple | list) else f"a {type(item).__name__}"
            raise DataError(f"{what} of the dataset is {got}, expected a pair (input, target); wrap the dataset")
        for values, new, name in ((inputs, item[0], "input"), (targets, item[1], "target")):
            array = _array(new, f"{name} of {what}")
            if len(values) and array.shape != values.row_shape:
                raise DataError(
                    f"{name} of {what} has shape {array.shape}, but that of item 0 {values.row_shape}; give all the "
                    "same shape (for images: resize them, or convert('RGB'))"
                )
            values.append(array)
    if not len(inputs):
        raise DataError(f"the {part}dataset is empty; give at least one item")
    return inputs.array(), targets.array()


def _rows(dataset: Any) -> int:
    """How many rows to allocate; the `len` of an IterableDataset may be missing or wrong."""
    from torch.utils.data import IterableDataset

    return INITIAL_ROWS if isinstance(dataset, IterableDataset) else max(1, len(dataset))


def _items(dataset: Any, part: str) -> Iterator[Any]:
    """The items in order. Raises DataError, which names the item, for any exception of the dataset."""
    from torch.utils.data import IterableDataset

    # A plain iterator over a map-style dataset would rely on IndexError, which not every dataset raises.
    streams = isinstance(dataset, IterableDataset)
    items = iter(dataset) if streams else (dataset[row] for row in range(len(dataset)))
    for row in itertools.count():
        try:
            item = next(items)
        except StopIteration:
            return
        except Exception as error:
            fix = "fix the dataset" if streams else "fix the dataset, or leave the item out with torch's Subset"
            raise DataError(f"{part}item {row} of the dataset cannot be read: {describe(error)}; {fix}") from error
        yield item


def _array(value: Any, what: str) -> npt.NDArray[Any]:
    import torch
    from PIL.Image import Image

    try:
        if isinstance(value, torch.Tensor):
            return value.detach().cpu().numpy()
        if isinstance(value, Image):
            check_depth(value, what)
            return pixels(value, 1 if value.mode in GREY else 3)
        return np.asarray(value)
    except (TypeError, ValueError) as error:  # ragged lists, bfloat16
        raise DataError(
            f"{what} cannot be converted to an array: {error}; give a tensor or an array of numbers"
        ) from error
