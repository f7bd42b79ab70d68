"""torch datasets: what they hold is read once, in order, and an item that does not fit is named."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from archsearch import Split, arrays, dataset
from archsearch.spaces.errors import DataError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 3
IMAGES = RNG.integers(0, 256, (60, 4, 5, 3), np.uint8)


class Items(Dataset):
    """Map-style; wraps around beyond its end, as some do, and counts how often it is asked."""

    def __init__(self, *items: object) -> None:
        self.items, self.asked = items, 0

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> object:
        self.asked += 1
        return self.items[row % len(self.items)]


class Stream(IterableDataset):
    def __init__(self, items: list[object]) -> None:
        self.items = items

    def __iter__(self):
        return iter(self.items)


PAIRS = TensorDataset(torch.tensor(X), torch.tensor(Y))


def error(torch_dataset: object, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        dataset(torch_dataset, **options).prepare()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "held",
    [
        PAIRS,
        Subset(PAIRS, range(60)),
        Stream(list(PAIRS)),
        Items(*((x, int(y)) for x, y in zip(X, Y, strict=True))),
        Items(*([x.tolist(), y] for x, y in zip(X.astype(np.float64), Y, strict=True))),
        Items(*((torch.tensor(x, requires_grad=True), torch.tensor(y)) for x, y in zip(X, Y, strict=True))),
    ],
    ids=["tensors", "subset", "iterable", "arrays and ints", "lists", "with gradients"],
)
def test_a_dataset_is_the_arrays_that_it_holds(held):
    prepared, known = dataset(held).prepare(), arrays(X, Y).prepare()
    assert (prepared.task, prepared.classes) == ("classification", ("0", "1", "2"))
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(prepared, part).inputs, getattr(known, part).inputs)
        np.testing.assert_array_equal(getattr(prepared, part).targets, getattr(known, part).targets)


def test_each_item_is_read_once_and_not_at_the_declaration():
    items = Items(*zip(X, Y, strict=True))
    data = dataset(items)
    assert items.asked == 0
    data.prepare()
    assert items.asked == 60


def test_pil_images_in_grey_and_colour():
    grey = Items(*((Image.fromarray(image[..., 0]), row % 2) for row, image in enumerate(IMAGES)))
    raw = dataset(grey).source.load()
    assert raw.inputs.dtype == np.uint8
    np.testing.assert_array_equal(raw.inputs, IMAGES[..., 0])
    colour = Items(*((Image.fromarray(image), row % 2) for row, image in enumerate(IMAGES)))
    np.testing.assert_array_equal(dataset(colour).source.load().inputs, IMAGES.transpose(0, 3, 1, 2))


def test_tensors_keep_their_type_and_shape():
    images = torch.tensor(IMAGES).permute(0, 3, 1, 2)
    raw = dataset(TensorDataset(images, torch.tensor(Y))).source.load()
    assert raw.inputs.dtype == np.uint8
    np.testing.assert_array_equal(raw.inputs, images.numpy())


def test_targets_of_text_and_quantities():
    words = Items(*((x, ("cat", "elephant")[y % 2]) for x, y in zip(X, Y, strict=True)))
    assert dataset(words).prepare().classes == ("cat", "elephant")
    prices = Items(*((x, 1.5 * row) for row, x in enumerate(X)))
    assert dataset(prices).prepare().task == "regression"
    assert dataset(PAIRS, task="regression").prepare().task == "regression"


def test_an_official_test_part():
    prepared = dataset(PAIRS, test=Subset(PAIRS, range(7)), split=Split(0.2, 0.5)).prepare()
    assert (len(prepared.train), len(prepared.validation), len(prepared.test)) == (48, 12, 7)
    np.testing.assert_array_equal(prepared.test.targets, Y[:7])
    assert "give both the same features" in error(PAIRS, test=Items((X[0, :2], 0)))
    assert "item 0 of the dataset is 3 values" in error(PAIRS, test=Items((1, 2, 3)))
    assert error(PAIRS, test=Items((1, 2, 3))).startswith("test item 0")
    assert "the test dataset is empty" in error(PAIRS, test=Items())


def test_what_is_no_dataset_fails_at_the_declaration():
    class Endless(Dataset):
        def __getitem__(self, row):
            return X[0], 0

    for given, message in (
        (DataLoader(PAIRS), "the dataset is a DataLoader; pass its dataset, loader.dataset"),
        (Endless(), "must be a torch Dataset with len"),
        (TensorDataset, "must be a torch Dataset with len"),
        (X.sum, "must be a torch Dataset with len"),
    ):
        with pytest.raises(DataError, match=message):
            dataset(given)
    with pytest.raises(DataError, match="test must be a torch Dataset"):
        dataset(PAIRS, test=3)
    with pytest.raises(DataError, match="unknown task 'classify'"):
        dataset(PAIRS, task="classify")


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "the dataset is empty; give at least one item"),
        ([(X[0], 0), {"x": X[0], "y": 1}], "item 1 of the dataset is a dict, expected a pair (input, target)"),
        ([(X[0], 0), (X[0], 0, 1)], "item 1 of the dataset is 3 values"),
        ([X[0]], "item 0 of the dataset is a ndarray"),
        (
            [(X[0], 0), (X[0, :2], 1)],
            "input of item 1 has shape (2,), but that of item 0 (3,); give all the same shape",
        ),
        ([(X[0], 0), (X[1], [1, 0])], "target of item 1 has shape (2,), but that of item 0 ()"),
        ([(X[0], [1, 0])], "targets of shape (1, 2) have exactly one 1 in every row, so they seem to be one-hot"),
        ([(3.0, 0)], "inputs must have shape (n, features), got (1,)"),
        ([([1, [2, 3]], 0)], "input of item 0 cannot be converted to an array"),
        ([(torch.zeros(2, dtype=torch.bfloat16), 0)], "input of item 0 cannot be converted to an array"),
        ([(torch.tensor([1, torch.nan]), 0)], "inputs have 1 non-finite value, the first at row 0, column 1"),
        ([(X[0], 0.5), (X[1], torch.nan)], "targets have 1 non-finite value, the first at row 1"),
        ([(X[0], "a"), (X[1], None)], "targets have 1 missing value, the first at row 1"),
        ([(Image.fromarray(np.zeros((4, 4), np.uint16)), 0)], "input of item 0 has pixel mode 'I;16'"),
        ([(x, 7) for x in X], "every row has the class '7'"),
        ([(x, int(row == 5)) for row, x in enumerate(X)], "class '1' has 1 sample"),
    ],
)
def test_items_that_do_not_fit(items, message):
    assert message in error(Items(*items))


def test_a_declaration_is_short_and_pickles():
    data = dataset(PAIRS, test=PAIRS)
    assert "TorchDataset(TensorDataset, test=TensorDataset)" in repr(data)
    copy = pickle.loads(pickle.dumps(data)).prepare()
    np.testing.assert_array_equal(copy.train.inputs, data.prepare().train.inputs)


class Failing(Items):
    def __getitem__(self, row: int) -> object:
        if row == 7:
            raise KeyError("patient 12")
        return super().__getitem__(row)


def test_the_item_that_raised_is_named():
    items = list(zip(X, Y, strict=True))
    text = error(Failing(*items))
    assert text.startswith("item 7 of the dataset cannot be read: KeyError: 'patient 12' (test_data_torch.py, line ")
    assert text.endswith("); fix the dataset, or leave the item out with torch's Subset")
    assert error(Items(*items), test=Failing(*items)).startswith("test item 7 of the dataset cannot be read")

    def stream():
        yield from items[:3]
        raise OSError("the server is gone")

    assert error(Stream(stream())).startswith("item 3 of the dataset cannot be read: OSError: the server is gone (")


def test_targets_of_one_number_in_a_tensor():
    items = Items(*((x, torch.tensor([y])) for x, y in zip(X, Y, strict=True)))
    np.testing.assert_array_equal(dataset(items).prepare().train.targets, dataset(PAIRS).prepare().train.targets)
