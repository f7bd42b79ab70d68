"""IDX files, the format of MNIST: a magic number, the dimensions, then the values.

Bytes 0-1 are zero, byte 2 is the type, byte 3 the number of dimensions; each dimension is a big-endian uint32.
http://yann.lecun.com/exdb/mnist/
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.blocks import concatenate
from archsearch.search.training.data.data_source import DataSource
from archsearch.search.training.data.files import map_bytes
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.samples import Samples
from archsearch.search.training.data.streaming import Allocate
from archsearch.spaces.errors import DataError
from archsearch.studies.formatting import count

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """An image file and its label file."""

    images: str
    labels: str

    def read(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """((n, height, width) images, (n,) labels). Raises DataError."""
        images, labels = read_idx(self.images), read_idx(self.labels)
        swapped = "; are the image and the label file swapped?" if images.ndim == 1 and labels.ndim > 1 else ""
        if images.ndim < 3:
            raise DataError(
                f"'{self.images}', byte 3: got {count(images.ndim, 'dimension')}, expected at least 3 for images"
                f"{swapped or '; give an image file'}"
            )
        if labels.ndim != 1:
            raise DataError(
                f"'{self.labels}', byte 3: got {count(labels.ndim, 'dimension')}, expected 1 for labels; "
                "give a label file"
            )
        if len(images) != len(labels):
            raise DataError(
                f"'{self.images}' has {count(len(images), 'image')}, but '{self.labels}' has "
                f"{count(len(labels), 'label')}; give files that belong together"
            )
        if images.size == 0:
            raise DataError(f"'{self.images}' is empty: got dimensions {images.shape}; give at least one image")
        return images, labels


@dataclass(frozen=True, slots=True)
class Idx(DataSource):
    """A folder with MNIST's file names, in which the official test part is found too; or pairs of files."""

    task: ClassVar[Task] = "classification"  # known before anything is read

    folder: str | None
    train: ImageFiles | None = None
    test: ImageFiles | None = None

    def __str__(self) -> str:
        return f"'{self.folder if self.train is None else self.train.images}'"

    def load(self) -> Samples:
        return self.load_into(np.empty)

    def load_into(self, allocate: Allocate) -> Samples:
        train, test = self.train, self.test
        if self.folder is not None:
            train, test = _find(self.folder, "train"), _find(self.folder, "t10k")
            if train is None:
                raise DataError(
                    f"no train-images-idx3-ubyte[.gz] in '{self.folder}' (looked in {Path(self.folder).absolute()}); "
                    "check the folder, or give the pair idx((images, labels))"
                )
        if train is None:
            raise DataError("idx() got neither a folder nor files; use idx(folder) or idx((images, labels))")
        images, labels = train.read()
        if test is None:
            return Samples(images, labels, task="classification")
        test_images, test_labels = test.read()
        if test_images.shape[1:] != images.shape[1:]:
            raise DataError(
                f"'{test.images}' has images of shape {test_images.shape[1:]}, but '{train.images}' of "
                f"{images.shape[1:]}; give files that belong together"
            )
        images, labels = concatenate(allocate, images, test_images), np.concatenate([labels, test_labels])
        return Samples(images, labels, task="classification", official_test=len(test_labels))


def read_idx(path: str) -> npt.NDArray[Any]:
    """The array in an IDX file; mapped into memory unless it is gzipped.

    Raises:
        DataError: The file is missing or malformed; the message names the byte that is wrong.
    """
    content = map_bytes(path)
    if len(content) < 4:
        raise DataError(
            f"'{path}' is truncated at byte {len(content)}: expected an IDX header of 4 bytes; download it again"
        )
    zeros, kind, dimensions = struct.unpack(">HBB", content[:4])
    if zeros != 0 or kind not in _TYPES or dimensions == 0:
        raise DataError(
            f"'{path}' is not an IDX file: byte 0: got magic number 0x{content[:4].hex()}, expected 0x0000 and a type "
            "(0x00000803 for images, 0x00000801 for labels); check which file this is"
        )
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(
            f"'{path}' is truncated at byte {len(content)}: expected {start} bytes of header for "
            f"{count(dimensions, 'dimension')}; download it again"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    dtype = np.dtype(_TYPES[kind])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        fault = "is truncated at" if len(content) < expected else "extends to"
        raise DataError(
            f"'{path}' {fault} byte {len(content):,}: expected {expected:,} bytes ({start} of header, then "
            f"{' x '.join(map(str, shape))} values); download it again"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def _find(folder: str, part: str) -> ImageFiles | None:
    """The two files of a part, or None if both are missing. Raises DataError if one is missing, or the folder."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DataError(f"no folder '{folder}' (looked at {root.absolute()}); check the path")

    def look(kind: str, dimensions: int) -> str | None:
        # Some copies on the web have a dot in place of the second dash.
        names = [f"{part}-{kind}{mark}idx{dimensions}-ubyte{end}" for mark in "-." for end in ("", ".gz")]
        return next((str(root / name) for name in names if (root / name).is_file()), None)

    images, labels = look("images", 3), look("labels", 1)
    if images is not None and labels is not None:
        return ImageFiles(images, labels)
    if images is None and labels is None:
        return None
    found, missing = (images, "labels") if images is not None else (labels, "images")
    raise DataError(
        f"'{found}' exists, but there is no {part}-{missing}-idx{1 if images else 3}-ubyte[.gz] beside it; add it"
    )
