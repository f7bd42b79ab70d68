"""NPZ files: arrays by name, an official test part, and files that are something else."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from archsearch import Split, arrays, npz
from archsearch.spaces.errors import DataError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 3)), np.arange(60) % 3


@pytest.fixture
def save(tmp_path):
    def save(**named: object) -> Path:
        np.savez(tmp_path / "data.npz", **named)
        return tmp_path / "data.npz"

    return save


def error(path: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        npz(path, **options).prepare()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_named_arrays_are_those_arrays(save):
    split = Split(seed=3)
    known = arrays(X, Y, split=split).prepare()
    for prepared in (
        npz(save(x=X, y=Y), split=split).prepare(),
        npz(save(pixels=X, label=Y, junk=[1]), inputs="pixels", targets="label", split=split).prepare(),
    ):
        np.testing.assert_array_equal(prepared.test.inputs, known.test.inputs)
        np.testing.assert_array_equal(prepared.test.targets, known.test.targets)
        assert (prepared.task, prepared.classes) == ("classification", ("0", "1", "2"))


def test_compressed_images_and_their_official_test_part(tmp_path):
    images, test = RNG.integers(0, 256, (40, 5, 4), np.uint8), RNG.integers(0, 256, (8, 5, 4), np.uint8)
    words = np.array(["cat", "dog"])
    path = tmp_path / "images.npz"
    np.savez_compressed(path, x_train=images, y_train=words[np.arange(40) % 2], x_test=test, y_test=words[[0, 1] * 4])
    prepared = npz(path, inputs="x_train", targets="y_train", test=("x_test", "y_test")).prepare()
    assert (len(prepared.train), len(prepared.validation), len(prepared.test)) == (32, 8, 8)
    assert (prepared.inputs.shape, prepared.classes) == ((5, 4), ("cat", "dog"))
    np.testing.assert_array_equal(prepared.test.targets, [0, 1] * 4)
    scale = np.polyfit(test.ravel(), prepared.test.inputs.ravel(), 1)
    np.testing.assert_allclose(np.polyval(scale, test), prepared.test.inputs, atol=1e-4)


def test_the_task_can_be_said(save):
    assert npz(save(x=X, y=Y), task="regression").prepare().task == "regression"
    with pytest.raises(DataError, match="unknown task 'regresion'"):
        npz("data.npz", task="regresion")


def test_a_declaration_reads_nothing_and_pickles():
    data = npz("no-such.npz", test=("a", "b"))
    assert pickle.loads(pickle.dumps(data)) == data


def test_unknown_names(save):
    path = save(x_train=X, y_train=Y)
    assert error(path) == f"'{path}': unknown array 'x'; known: x_train, y_train"
    assert "unknown array 'y_tran'; known: x_train, y_train; did you mean 'y_train'?" in error(
        path, inputs="x_train", targets="y_tran"
    )
    assert "unknown array 'x_test'" in error(path, inputs="x_train", targets="y_train", test=("x_test", "y_test"))


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"x": np.where(np.arange(180) == 5, np.nan, 0.0).reshape(60, 3)}, "at row 1, column 2: nan; fill them in"),
        ({"y": Y[:50]}, "60 inputs but 50 targets"),
        ({"x": X[:0], "y": Y[:0]}, "inputs are empty, got shape (0, 3)"),
        ({"x": np.float64(3)}, "inputs must have shape (n, features), got ()"),
        ({"x": X.astype(str)}, "inputs must be numbers, got <U"),
    ],
)
def test_malformed_arrays_are_told_with_the_file(save, named, message):
    path = save(**{"x": X, "y": Y} | named)
    text = error(path)
    assert text.startswith(f"'{path}': ")
    assert message in text


def test_one_class_and_a_class_with_one_sample(save):
    assert "every row has the class '0'" in error(save(x=X, y=Y * 0))
    assert "class '7' has 1 sample" in error(save(x=X, y=np.where(np.arange(60) == 9, 7, Y)))


def test_objects_are_refused_since_a_pickle_is_code(save):
    ran = []

    class Trap:
        def __reduce__(self):
            return ran.append, (1,)

    path = save(x=X, y=np.array([Trap()] * 60, dtype=object))
    assert "array 'y': Object arrays cannot be loaded" in error(path)
    assert ran == []


def test_files_that_are_something_else(tmp_path, save):
    path = tmp_path / "other.npz"
    assert "no file" in error(path)
    assert "is a folder" in error(tmp_path)
    for content, got in ((b"", "0 bytes of another format"), (b"a,b\n", "4 bytes of another format")):
        path.write_bytes(content)
        assert f"is not an NPZ file: got {got}; write one with np.savez" in error(path)
    file = io.BytesIO()
    np.save(file, X)
    path.write_bytes(file.getvalue())
    assert "got a single .npy array" in error(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"text")
    assert "'x' is a file in the archive, but not an array" in error(path)


def test_damaged_files(tmp_path, save):
    whole = save(x=X, y=Y).read_bytes()
    path = tmp_path / "damaged.npz"
    path.write_bytes(whole[:700])
    assert "is damaged or truncated after 700 bytes" in error(path)
    path.write_bytes(whole[:600] + bytes(50) + whole[650:])
    assert "is damaged" in error(path)
