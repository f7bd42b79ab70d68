"""The fingerprint: other for any other value, the same wherever and however the same data lies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Data, Split, arrays, csv, idx, text
from archsearch.search.training.data.columns import CategoricalColumn, Table
from archsearch.search.training.data.fingerprint import fingerprint
from archsearch.search.training.data.samples import Texts

INPUTS = np.random.default_rng(0).normal(size=(40, 3))
CLASSES = np.arange(40) % 2
LETTERS = st.text("abc", max_size=3)


def of(data: Data) -> str:
    digest = data.prepare().fingerprint
    assert digest is not None
    assert len(digest) == 16
    int(digest, 16)
    return digest


@given(row=st.integers(0, 39), column=st.integers(0, 2), value=st.floats(-1e9, 1e9))
def test_any_single_value_changes_it(row, column, value):
    changed = INPUTS.copy()
    changed[row, column] = value
    same = value.hex() == INPUTS[row, column].item().hex()
    assert (fingerprint(changed, CLASSES) == fingerprint(INPUTS, CLASSES)) is same


@given(row=st.integers(0, 39))
def test_any_single_target_changes_it(row):
    classes, numbers = CLASSES.copy(), np.arange(40.0)
    classes[row] = 1 - classes[row]
    assert fingerprint(INPUTS, classes) != fingerprint(INPUTS, CLASSES)
    numbers[row] += 0.5
    assert fingerprint(INPUTS, numbers) != fingerprint(INPUTS, np.arange(40.0))


@given(left=st.lists(LETTERS, min_size=1, max_size=4), right=st.lists(LETTERS, min_size=1, max_size=4))
def test_texts_that_read_alike_in_a_row_are_not_the_same(left, right):
    first, second = (
        fingerprint(Texts(tuple(texts), "words", 9, None), np.zeros(len(texts))) for texts in (left, right)
    )
    assert (first == second) is (left == right)


def test_what_else_decides_changes_it():
    base = arrays(INPUTS, CLASSES)
    others = [
        arrays(INPUTS, CLASSES, split=Split(seed=1)),
        arrays(INPUTS, CLASSES, split=Split(validation=0.3)),
        arrays(INPUTS, CLASSES, split=Split(by_time=True)),
        arrays(INPUTS, CLASSES, split=Split(groups=np.arange(40) // 2)),
        arrays(INPUTS, CLASSES, split=Split(groups=np.arange(40) // 4)),
        arrays(INPUTS, CLASSES, task="regression"),
        arrays(INPUTS, np.where(CLASSES, "yes", "no")),
        arrays(INPUTS[:30], CLASSES[:30], test=(INPUTS[30:], CLASSES[30:])),
        arrays(INPUTS[:, ::-1], CLASSES),
        arrays(INPUTS.reshape(40, 3, 1), CLASSES),
        arrays(INPUTS.reshape(40, 1, 3), CLASSES),
    ]
    digests = [of(data) for data in (base, *others)]
    assert len(set(digests)) == len(digests)


def test_names_and_categories_of_a_table_change_it():
    def digest(numbers=("a", "b"), word="c", categories=("x", "y"), codes=(0, 1, 1)) -> str:
        table = Table(np.ones((3, 2)), numbers, (CategoricalColumn(word, categories, np.array(codes)),))
        return fingerprint(table, np.arange(3))

    digests = [
        digest(), digest(numbers=("b", "a")), digest(word="d"), digest(categories=("x", "z")), digest(codes=(0, 1, 0))
    ]  # fmt: skip
    assert len(set(digests)) == len(digests)


def test_the_layout_of_an_array_does_not_matter():
    values = np.arange(24).reshape(4, 3, 2)
    base = fingerprint(values.astype("<i8"), CLASSES)
    assert fingerprint(values.astype(">i8"), CLASSES) == base
    assert fingerprint(np.asfortranarray(values.astype("<i8")), CLASSES) == base
    assert fingerprint(values.astype("<i4"), CLASSES) != base
    missing = np.array([1.0, np.nan])
    negative = np.array([1.0, -np.nan])
    assert missing.tobytes() != negative.tobytes()
    assert fingerprint(missing, CLASSES) == fingerprint(negative, CLASSES)


def test_the_place_of_a_file_does_not_matter_and_its_content_does(tmp_path: Path):
    content = "x,word,y\n" + "".join(f"{row},w{row % 3},{'ab'[row % 2]}\n" for row in range(40))

    def digests(path: Path, content: str) -> tuple[str, str]:
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return of(csv(path, target="y")), of(text(path, target="y", text="word"))

    here = digests(tmp_path / "one.csv", content)
    assert digests(tmp_path / "elsewhere" / "two.csv", content) == here
    other = digests(tmp_path / "three.csv", content.replace("7,w1,b", "7,w2,b"))
    assert not set(other) & set(here)
    assert of(csv(tmp_path / "one.csv", target="y", categories="codes")) != here[0]


def test_it_is_the_same_in_every_process_and_from_version_to_version():
    code = (
        "import numpy as np; from archsearch.search.training.data.fingerprint import fingerprint;"
        "inputs = np.arange(80.0).reshape(40, 2);"
        "print(fingerprint(inputs, np.arange(40) % 2, task='classification', split={'seed': 1}))"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    # With another digest for the same data, no study that was begun before could be resumed.
    assert told == "759335569300e72f"


def test_images_of_a_file(tmp_path: Path):
    def write(name: str, values: np.ndarray) -> Path:
        path = tmp_path / name
        sizes = np.array(values.shape, ">u4").tobytes()
        path.write_bytes(bytes([0, 0, 8, values.ndim]) + sizes + values.astype("u1").tobytes())
        return path

    labels, images = write("labels", CLASSES), np.arange(160).reshape(40, 2, 2)
    base = of(idx((write("images", images), labels)))
    assert of(idx((write("copied", images), labels))) == base
    assert of(idx((write("changed", images + (images == 77)), labels))) != base


@pytest.mark.parametrize("inputs", [np.empty((3, 0)), np.array([[True], [False], [True]])])
def test_arrays_of_no_columns_and_of_bools(inputs):
    assert fingerprint(Table(inputs, ()), np.arange(3)) != fingerprint(inputs, np.arange(3))
