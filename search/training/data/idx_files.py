"""IDX files, the format of MNIST and its relatives: a magic number, the dimensions, then the values.

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

from archsearch.search.training.data.blocks import all_finite, joined
from archsearch.search.training.data.files import map_bytes
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.raw import Raw
from archsearch.search.training.data.streaming import Empty
from archsearch.spaces.errors import DataError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """An image file and the file of its labels."""

    images: str
    labels: str

    def read(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """((n, height, width) images, (n,) labels). Raises DataError."""
        images, labels = read_idx(self.images), read_idx(self.labels)
        swapped = "; are the image and the label file swapped?" if images.ndim == 1 and labels.ndim > 1 else ""
        if images.ndim < 3:
            raise DataError(
                f"'{self.images}', byte 3: got {images.ndim} dimension(s), expected at least 3 for images"
                f"{swapped or '; give an image file'}"
            )
        if labels.ndim != 1:
            raise DataError(
                f"'{self.labels}', byte 3: got {labels.ndim} dimensions, expected 1 for labels; give a label file"
            )
        if len(images) != len(labels):
            raise DataError(
                f"'{self.images}' has {len(images):,} images, but '{self.labels}' has {len(labels):,} labels; "
                "give files that belong together"
            )
        if images.size == 0:
            raise DataError(f"'{self.images}' is empty: got dimensions {images.shape}; give at least one image")
        if not all_finite(images):
            raise DataError(f"'{self.images}' holds NaN or infinite pixels; mend the file")
        return images, labels


@dataclass(frozen=True, slots=True)
class Idx:
    """A folder of MNIST's file names, or a pair of files; `test` is the official test part, found in a folder."""

    task: ClassVar[Task] = "classification"  # known before anything is read

    folder: str | None
    train: ImageFiles | None = None
    test: ImageFiles | None = None

    def read(self) -> Raw:
        return self.read_into(np.empty)

    def read_into(self, empty: Empty) -> Raw:
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
            return Raw(images, labels, task="classification")
        test_images, test_labels = test.read()
        if test_images.shape[1:] != images.shape[1:]:
            raise DataError(
                f"'{test.images}' has images of {test_images.shape[1:]}, but '{train.images}' of {images.shape[1:]}; "
                "give files that belong together"
            )
        images, labels = joined(empty, images, test_images), np.concatenate([labels, test_labels])
        return Raw(images, labels, task="classification", official_test=len(test_labels))


def read_idx(path: str) -> npt.NDArray[Any]:
    """The array in an IDX file, gzipped, or mapped as it lies there. Raises DataError with the byte that is wrong."""
    content = map_bytes(path)
    if len(content) < 4:
        raise DataError(f"'{path}' is cut off at byte {len(content)}: expected an IDX header of 4 bytes; get it again")
    zeros, kind, dimensions = struct.unpack(">HBB", content[:4])
    if zeros != 0 or kind not in _TYPES or dimensions == 0:
        raise DataError(
            f"'{path}' is not an IDX file: byte 0: got magic number 0x{content[:4].hex()}, expected 0x0000 and a type "
            "(0x00000803 for images, 0x00000801 for labels); check which file this is"
        )
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(
            f"'{path}' is cut off at byte {len(content)}: expected {start} bytes of header for {dimensions} "
            "dimensions; get it again"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    dtype = np.dtype(_TYPES[kind])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        fault = "is cut off at" if len(content) < expected else "goes on until"
        raise DataError(
            f"'{path}' {fault} byte {len(content):,}: expected {expected:,} bytes ({start} of header, then "
            f"{' x '.join(map(str, shape))} values); get it again"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def _find(folder: str, part: str) -> ImageFiles | None:
    """The part's two files, None where neither is there. Raises DataError where only one is, or no folder."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DataError(f"no folder '{folder}' (looked at {root.absolute()}); check the path")

    def look(kind: str, dimensions: int) -> str | None:
        # Unpacked files and re-uploads write a dot for the second dash.
        names = [f"{part}-{kind}{mark}idx{dimensions}-ubyte{end}" for mark in "-." for end in ("", ".gz")]
        return next((str(root / name) for name in names if (root / name).is_file()), None)

    images, labels = look("images", 3), look("labels", 1)
    if images is not None and labels is not None:
        return ImageFiles(images, labels)
    if images is None and labels is None:
        return None
    found, lacking = (images, "labels") if images is not None else (labels, "images")
    raise DataError(f"'{found}' is there, but no {part}-{lacking}-idx{1 if images else 3}-ubyte[.gz] beside it; add it")
