"""A folder of images for each class, read through Pillow into one array of bytes."""

from __future__ import annotations

import struct
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

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
BAD_NAMED = 20  # how many unreadable images a message names


@dataclass(frozen=True, slots=True)
class ImageFolder(DataSource):
    """A folder of class folders and how to read it; see `image_folder` for each field."""

    task: ClassVar[Task] = "classification"  # known before anything is read

    folder: str
    size: Size | None
    channels: Channels | None
    test: str | None
    skip_bad: bool = False

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
        images, read = self._pixels([path for _, path in (*train, *test)], allocate)
        labels = np.array([name for name, _ in (*train, *test)])
        if lost := sorted({*labels} - {*labels[read]}):
            raise DataError(f"no image of class '{lost[0]}' in '{self.folder}' can be read; replace or remove them")
        return Samples(images, labels[read], "classification", int(read[len(train) :].sum()))

    def _pixels(self, paths: Sequence[Path], allocate: Allocate) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """The images that can be read, and which of the paths these are.

        Returns:
            (n, height, width) grey, or (n, 3, height, width) colour: bytes, a quarter of what float32 takes; and a mask
            (len(paths),), all True unless `skip_bad`.
        """
        bad: dict[Path, str] = {}
        heads = {path: head for path in paths if (head := _tried(_head, path, bad)) is not None}  # decodes nothing yet
        if not heads or (bad and not self.skip_bad):
            # Decode the others too, so that one error lists all that cannot be read.
            for path in heads:
                _tried(_decode, path, bad)
            raise self._unreadable(bad)
        size = self.size or self._common_size([size for size, _ in heads.values()])
        channels: Channels = self.channels or (1 if all(mode in GREY for _, mode in heads.values()) else 3)
        images = allocate((len(heads), *(() if channels == 1 else (3,)), *size), np.uint8)
        done = 0
        for path in heads:
            with_settings = partial(_decode, channels=channels, size=size)
            if (values := _tried(with_settings, path, bad)) is not None:
                images[done] = values
                done += 1
        if bad and (done == 0 or not self.skip_bad):
            raise self._unreadable(bad)
        if bad:
            warnings.warn(f"'{self.folder}': skipped {_listed_bad(bad)}", stacklevel=2)
        return images[:done], np.array([path not in bad for path in paths])

    def _unreadable(self, bad: Mapping[Path, str]) -> DataError:
        fix = "" if self.skip_bad else ", or pass skip_bad=True to leave out what cannot be read"
        return DataError(
            f"'{self.folder}': {_listed_bad(bad)}; replace or remove {'it' if len(bad) == 1 else 'them'}{fix}"
        )

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


Read = TypeVar("Read")


def _tried(read: Callable[[Path], Read], path: Path, bad: dict[Path, str]) -> Read | None:
    """What `read` returns; None, with the reason noted in `bad`, if the image cannot be read."""
    from PIL import Image

    try:
        return read(path)
    except DataError as error:
        bad[path] = str(error)
    # What Pillow raises for damaged files; its own UnidentifiedImageError is an OSError.
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        text = " ".join(str(error).replace(repr(str(path)), "the file").split())
        bad[path] = f"{type(error).__name__}: {text}"
    return None


def _head(path: Path) -> tuple[Size, str]:
    from PIL import Image

    with Image.open(path) as image:
        check_depth(image, "the image")
        return (image.height, image.width), image.mode


def _decode(path: Path, channels: Channels = 1, size: Size | None = None) -> npt.NDArray[np.uint8]:
    from PIL import Image

    with Image.open(path) as image:
        return pixels(image, channels, size)


def _listed_bad(bad: Mapping[Path, str]) -> str:
    """`2 images that cannot be read: 'a.png' (OSError: …), 'b.png' (…)`."""
    named = ", ".join(f"'{path}' ({reason})" for path, reason in list(bad.items())[:BAD_NAMED])
    more = f" and {count(len(bad) - BAD_NAMED, 'other')}" if len(bad) > BAD_NAMED else ""
    return f"{count(len(bad), 'image')} that cannot be read: {named}{more}"
