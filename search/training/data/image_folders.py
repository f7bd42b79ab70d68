"""A folder of images for each class, read through Pillow into one array of bytes."""

from __future__ import annotations

import struct
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.data_source import DataSource
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.samples import Samples
from archsearch.search.training.data.streaming import Allocate
from archsearch.spaces.errors import DataError, unknown
from archsearch.studies.formatting import count

if TYPE_CHECKING:
    from PIL.Image import Image

Channels = Literal[1, 3]
Size = tuple[int, int]  # height, width

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

# Pillow's pixel modes. The others have more than 8 bits, which Pillow would silently clip.
GREY = frozenset({"1", "L", "LA", "La"})
COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"})

NAMED = 3  # how many skipped files a warning names


@dataclass(frozen=True, slots=True)
class ImageFolder(DataSource):
    """A folder of class folders and how to read it; see `image_folder` for each field."""

    task: ClassVar[Task] = "classification"  # known before anything is read

    folder: str
    size: Size | None
    channels: Channels | None
    test: str | None

    def __post_init__(self) -> None:
        if self.channels not in (None, 1, 3):
            raise DataError(
                f"channels must be 1 (grey), 3 (colour) or None (inferred from the images), got {self.channels!r}"
            )
        if self.size is not None and not _is_size(self.size):
            raise DataError(f"size must be (height, width) in pixels, got {self.size!r}; (64, 64) is common")

    def __str__(self) -> str:
        return f"'{self.folder}'"

    def load(self) -> Samples:
        return self.load_into(np.empty)

    def load_into(self, allocate: Allocate) -> Samples:
        train = _find(self.folder)
        test = [] if self.test is None else _find(self.test)
        classes = dict(train)
        for name, _ in test:
            if name not in classes:
                raise DataError(f"'{self.test}': {unknown('class', name, classes)}")
        paths = [path for _, path in (*train, *test)]
        images = self._pixels(paths, allocate)
        return Samples(images, np.array([name for name, _ in (*train, *test)]), "classification", len(test))

    def _pixels(self, paths: Sequence[Path], allocate: Allocate) -> npt.NDArray[np.uint8]:
        """(n, height, width) grey, or (n, 3, height, width): bytes, a quarter of what float32 takes."""
        heads = [_head(path) for path in paths]  # nothing is decoded yet
        size = self.size or self._common_size([size for size, _ in heads])
        channels: Channels = self.channels or (1 if all(mode in GREY for _, mode in heads) else 3)
        images = allocate((len(paths), *(() if channels == 1 else (3,)), *size), np.uint8)
        for row, path in zip(images, paths, strict=True):
            with _opened(path) as image:
                row[:] = pixels(image, channels, size)
        return images

    def _common_size(self, sizes: Sequence[Size]) -> Size:
        counts = Counter(sizes)
        common, most = counts.most_common(1)[0]
        if len(counts) > 1:
            raise DataError(
                f"the images in '{self.folder}' have {len(counts)} sizes (height, width), such as {min(counts)} and "
                f"{max(counts)}; pass size={common}, the size of {most:,} of {len(sizes):,}, to resize the others"
            )
        return common


def pixels(image: Image, channels: Channels, size: Size | None = None) -> npt.NDArray[np.uint8]:
    """(height, width) grey, or (3, height, width); resized where a size is given."""
    from PIL.Image import Resampling  # late: workers never load data

    if "transparency" in image.info:  # of a palette image, which Pillow converts properly only by this step
        image = image.convert("RGBA")
    image = image.convert("L" if channels == 1 else "RGB")
    if size is not None and image.size != size[::-1]:
        image = image.resize(size[::-1], Resampling.BILINEAR)
    values = np.asarray(image)
    return values if channels == 1 else values.transpose(2, 0, 1)


def check_depth(image: Image, what: str) -> None:
    """Raises DataError for pixels of more than 8 bits."""
    if image.mode not in GREY | COLOUR:
        raise DataError(
            f"{what} has pixel mode '{image.mode}', expected 8 bits per channel; convert it, or pass "
            "the pixels to arrays()"
        )


def _is_size(size: Any) -> bool:
    whole = isinstance(size, tuple) and all(isinstance(side, int) and not isinstance(side, bool) for side in size)
    return whole and len(size) == 2 and min(size) > 0


def _find(folder: str) -> list[tuple[str, Path]]:
    """(class, path) of every image, sorted. Hidden files are skipped silently, other files with a warning."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DataError(f"no folder '{folder}' (looked at {root.absolute()}); check the path")
    entries = _listed(root)
    found: list[tuple[str, Path]] = []
    others = [entry for entry in entries if not entry.is_dir()]
    classes = [entry for entry in entries if entry.is_dir()]
    if not classes:
        raise DataError(
            f"'{folder}' contains {count(len(others), 'file')} but no folder; expected one folder of images per class"
        )
    for kind in classes:
        inside = _listed(kind)
        images = [path for path in inside if _is_image(path)]
        if not images:
            raise _no_image(kind, inside)
        found += [(kind.name, path) for path in images]
        others += [path for path in inside if not _is_image(path)]
    if others:
        names = ", ".join(f"'{path.relative_to(root)}'" for path in others[:NAMED])
        more = ", …" if len(others) > NAMED else ""
        warnings.warn(f"'{folder}': skipped {count(len(others), 'non-image file')}: {names}{more}", stacklevel=2)
    return found


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and path.is_file()


def _listed(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _no_image(folder: Path, inside: Sequence[Path]) -> DataError:
    deeper = next((path for path in inside if path.is_dir()), None)
    if deeper is not None:
        return DataError(
            f"class folder '{folder}' contains no image, but folders such as '{deeper.name}'; if these are the "
            f"classes, pass image_folder('{folder}')"
        )
    return DataError(
        f"class folder '{folder}' contains no image, but {count(len(inside), 'other file')}; add images "
        f"({', '.join(ENDINGS)}), or remove the folder"
    )


def _head(path: Path) -> tuple[Size, str]:
    with _opened(path) as image:
        check_depth(image, f"'{path}'")
        return (image.height, image.width), image.mode


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            yield image
    # What Pillow raises for damaged files; its own UnidentifiedImageError is an OSError.
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise DataError(
            f"'{path}' cannot be read as an image ({type(error).__name__}: {error}); replace or remove it"
        ) from error
