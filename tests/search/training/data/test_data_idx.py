"""IDX files: MNIST's names and layout, gzipped or not, and files that are damaged or mixed up."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from archsearch import Split, idx
from archsearch.spaces.errors import DataError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 6, 5), dtype=np.uint8)
LABELS = np.arange(60, dtype=np.uint8) % 3


def packed(values: np.ndarray) -> bytes:
    header = struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.tobytes()


def fill(folder: Path, part: str, images: np.ndarray, labels: np.ndarray, end: str = "") -> None:
    pack = gzip.compress if end else bytes
    (folder / f"{part}-images-idx3-ubyte{end}").write_bytes(pack(packed(images)))
    (folder / f"{part}-labels-idx1-ubyte{end}").write_bytes(pack(packed(labels)))


def error(files: object, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        idx(files, **options).prepare()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("end", ["", ".gz"])
def test_a_folder_with_an_official_test_part(tmp_path, end):
    fill(tmp_path, "train", IMAGES, LABELS, end)
    fill(tmp_path, "t10k", IMAGES[:12], LABELS[:12], end)
    prepared = idx(tmp_path, split=Split(validation=0.25, test=0.5)).prepare()
    assert (len(prepared.train), len(prepared.validation), len(prepared.test)) == (45, 15, 12)
    assert (prepared.inputs.shape, prepared.classes, prepared.task) == ((6, 5), ("0", "1", "2"), "classification")
    np.testing.assert_array_equal(prepared.test.targets, LABELS[:12])
    assert prepared.train.inputs.mean() == pytest.approx(0, abs=1e-5)
    assert prepared.train.inputs.std() == pytest.approx(1, abs=1e-5)
    scale = np.polyfit(IMAGES[:12].ravel(), prepared.test.inputs.ravel(), 1)
    np.testing.assert_allclose(np.polyval(scale, IMAGES[:12]), prepared.test.inputs, atol=1e-4)


def test_without_an_official_test_part_the_split_makes_one(tmp_path):
    fill(tmp_path, "train", IMAGES, LABELS)
    prepared = idx(tmp_path).prepare()
    assert (len(prepared.train), len(prepared.validation), len(prepared.test)) == (36, 12, 12)


def test_a_pair_of_files_with_and_without_test(tmp_path):
    fill(tmp_path, "train", IMAGES, LABELS)
    pair = (tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte")
    assert len(idx(pair).prepare().test) == 12
    assert len(idx(pair, test=pair).prepare().test) == 60
    with pytest.raises(DataError, match="needs a pair of files as first argument, got a folder"):
        idx(tmp_path, test=pair)


def test_the_dotted_names_of_re_uploads(tmp_path):
    (tmp_path / "train-images.idx3-ubyte").write_bytes(packed(IMAGES))
    (tmp_path / "train-labels.idx1-ubyte").write_bytes(packed(LABELS))
    assert idx(tmp_path).prepare().inputs.shape == (6, 5)


def test_many_labels_are_still_classes(tmp_path):
    fill(tmp_path, "train", RNG.integers(0, 9, (300, 2, 2), dtype=np.uint8), np.arange(300, dtype=np.uint8) % 47)
    assert idx(tmp_path).prepare().outputs == 47


def test_missing_folders_and_files(tmp_path):
    assert "no folder" in error(tmp_path / "absent")
    assert "no train-images-idx3-ubyte[.gz] in" in error(tmp_path)
    fill(tmp_path, "train", IMAGES, LABELS)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(packed(IMAGES))
    assert "no t10k-labels-idx1-ubyte[.gz] beside it" in error(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").unlink()
    assert "no train-images-idx3-ubyte[.gz] beside it" in error(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0\0", "is truncated at byte 2: expected an IDX header of 4 bytes"),
        (b"\x89PNG" + bytes(40), "byte 0: got magic number 0x89504e47, expected 0x0000"),
        (b"\0\0\x08\x03" + bytes(5), "is truncated at byte 9: expected 16 bytes of header"),
        (
            packed(IMAGES)[:-7],
            "is truncated at byte 1,809: expected 1,816 bytes (16 of header, then 60 x 6 x 5 values)",
        ),
        (packed(IMAGES) + b"!", "extends to byte 1,817: expected 1,816 bytes"),
        (gzip.compress(packed(IMAGES))[:-30], "is gzip, but damaged or truncated"),
        (packed(IMAGES[:59]), "has 59 images, but"),
        (packed(IMAGES[:0]), "has 0 images, but"),
        (packed(IMAGES[:, 0]), "byte 3: got 2 dimensions, expected at least 3 for images; give an image file"),
    ],
)
def test_damaged_files(tmp_path, content, message):
    fill(tmp_path, "train", IMAGES, LABELS)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    text = error(tmp_path)
    assert message in text
    assert "train-images-idx3-ubyte'" in text


def test_swapped_files(tmp_path):
    fill(tmp_path, "train", IMAGES, LABELS)
    pair = (tmp_path / "train-labels-idx1-ubyte", tmp_path / "train-images-idx3-ubyte")
    assert "byte 3: got 1 dimension, expected at least 3 for images; are the image and the label" in error(pair)
    images = tmp_path / "train-images-idx3-ubyte"
    assert "byte 3: got 3 dimensions, expected 1 for labels" in error((images, images))


def test_images_of_another_size_as_test(tmp_path):
    fill(tmp_path, "train", IMAGES, LABELS)
    fill(tmp_path, "t10k", IMAGES[:, :4], LABELS)
    assert "has images of shape (4, 5), but" in error(tmp_path)
