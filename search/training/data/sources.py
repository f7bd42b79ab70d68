"""The data sets of a spec file, one function each. Each only declares: nothing is read before `.prepare()`.

All take `split`; and where the inputs are numbers, `scaling`: "standard", to mean 0 and deviation 1, or "min_max", the
range of the training part to [0, 1].
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.bundled import Bundled
from archsearch.search.training.data.csv_files import Csv
from archsearch.search.training.data.idx_files import Idx, ImageFiles
from archsearch.search.training.data.image_folders import Channels, ImageFolder, Size
from archsearch.search.training.data.memory import Arrays
from archsearch.search.training.data.npz_files import Npz
from archsearch.search.training.data.parquet_files import Parquet
from archsearch.search.training.data.preparation import Coding, Data
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.raw import Tokens
from archsearch.search.training.data.scaling import Scaling
from archsearch.search.training.data.split import DEFAULT_SPLIT, Split
from archsearch.search.training.data.streaming import DEFAULT_STREAMING, Streaming
from archsearch.search.training.data.text_files import TextFile
from archsearch.search.training.data.torch_data import TorchDataset
from archsearch.spaces.errors import DataError

Path = str | os.PathLike[str]


def digits(*, scaling: Scaling = "standard", split: Split = DEFAULT_SPLIT) -> Data:
    """1,797 handwritten digits as grey images (8, 8), 10 classes; bundled with scikit-learn."""
    return Data(Bundled("digits"), split, scaling=scaling)


def iris(*, scaling: Scaling = "standard", split: Split = DEFAULT_SPLIT) -> Data:
    """150 flowers, 4 lengths in cm, 3 species; bundled with scikit-learn."""
    return Data(Bundled("iris"), split, scaling=scaling)


def wine(*, scaling: Scaling = "standard", split: Split = DEFAULT_SPLIT) -> Data:
    """178 wines, 13 chemical measurements, 3 growers; bundled with scikit-learn."""
    return Data(Bundled("wine"), split, scaling=scaling)


def breast_cancer(*, scaling: Scaling = "standard", split: Split = DEFAULT_SPLIT) -> Data:
    """569 tumours, 30 measurements, benign or malignant; bundled with scikit-learn."""
    return Data(Bundled("breast_cancer"), split, scaling=scaling)


def diabetes(*, scaling: Scaling = "standard", split: Split = DEFAULT_SPLIT) -> Data:
    """442 patients, 10 measurements, the illness's progress after a year (a regression); bundled with scikit-learn."""
    return Data(Bundled("diabetes"), split, scaling=scaling)


def arrays(
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    task: Task | None = None,
    test: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    scaling: Scaling = "standard",
    split: Split = DEFAULT_SPLIT,
    streaming: Streaming = DEFAULT_STREAMING,
) -> Data:
    """Arrays that you hold: anything that `np.asarray` takes.

    inputs: (n, features) is a table, each column scaled on its own; (n, ..., ...) are images or signals,
    scaled as a whole. All finite numbers. targets: (n,) numbers, bools or text. task: "classification" or
    "regression"; None decides: text, bools, and whole numbers with at most 20 distinct values are classes. test: an
    official test part (inputs, targets), kept as it is. streaming: see `Streaming`; images and signals that are larger
    than memory come as `arrays(np.load("inputs.npy", mmap_mode="r"), targets)`.

    Raises DataError for a wrong task; `prepare()` raises it for what is wrong in the arrays.
    """
    official = None if test is None else (_array(test[0], "test inputs"), _array(test[1], "test targets"))
    source = Arrays(_array(inputs, "inputs"), _array(targets, "targets"), task, official)
    return Data(source, split, scaling=scaling, streaming=streaming)


def npz(
    path: Path,
    *,
    inputs: str = "x",
    targets: str = "y",
    test: tuple[str, str] | None = None,
    task: Task | None = None,
    scaling: Scaling = "standard",
    split: Split = DEFAULT_SPLIT,
    streaming: Streaming = DEFAULT_STREAMING,
) -> Data:
    """Arrays in an NPZ file, as `np.savez("data.npz", x=inputs, y=targets)` writes it.

    inputs, targets: the names of the two arrays, which may hold what `arrays` takes. test: the names of those of the
    official test part, such as ("x_test", "y_test"). task: as for `arrays`. Arrays that are not named are not read.
    streaming: see `Streaming`; the file itself is read into memory.

    Raises DataError for a wrong task; `prepare()` raises it for what is wrong in the file.
    """
    return Data(Npz(os.fspath(path), inputs, targets, test, task), split, scaling=scaling, streaming=streaming)


def csv(
    path: Path,
    *,
    target: str,
    header: bool = True,
    names: Sequence[str] | None = None,
    delimiter: str | None = None,
    categorical: str | Sequence[str] = (),
    categories: Coding = "one_hot",
    drop: str | Sequence[str] = (),
    task: Task | None = None,
    encoding: str = "utf-8-sig",
    scaling: Scaling = "standard",
    split: Split = DEFAULT_SPLIT,
) -> Data:
    """A CSV file (gzipped or not) whose columns are numbers or categories.

    target: the column to predict. header: is the first line the names? names: the columns' names, in place of those of
    the header; without either, they are c0, c1, … delimiter: None is a tab for a file named .tsv, else a comma.
    categorical: columns to take as categories although they hold numbers. categories: "one_hot", an input of 0 or 1
    per category; or "codes", for a network that learns a vector per category, as `MLP(..., embedding=8)`. drop:
    columns to leave out. task: as for `arrays`. encoding: as Python names it; the default is UTF-8, with or without the
    mark that Excel writes.

    A column is numbers when all of its values are, and categories otherwise; at 80 % numbers or more, the others are
    taken for mistakes. Missing are, in any case of letters: nothing, NA, N/A, nan, null, ?

    Raises DataError for a wrong option; `prepare()` raises it for what is wrong in the file, with line and column.
    """
    return Data(
        Csv(
            path=os.fspath(path),
            target=target,
            header=header,
            names=None if names is None else tuple(names),
            delimiter=_delimiter(path, delimiter),
            categorical=(categorical,) if isinstance(categorical, str) else tuple(categorical),
            drop=(drop,) if isinstance(drop, str) else tuple(drop),
            task=task,
            encoding=encoding,
        ),
        split,
        categories,
        scaling,
    )


def parquet(
    path: Path,
    *,
    target: str,
    categorical: str | Sequence[str] = (),
    categories: Coding = "one_hot",
    drop: str | Sequence[str] = (),
    task: Task | None = None,
    scaling: Scaling = "standard",
    split: Split = DEFAULT_SPLIT,
) -> Data:
    """A Parquet file whose columns are numbers, or categories: text, bools, dictionaries, dates and times.

    All options: as for `csv`. What a column holds is what its type says, so that text like "007" stays text. Missing
    are nulls, NaN, and in text what is missing for `csv`. A row index that pandas has written without a name is left
    out.

    Raises DataError for a wrong option; `prepare()` raises it for what is wrong in the file, with column and row.
    """
    return Data(
        Parquet(
            path=os.fspath(path),
            target=target,
            categorical=(categorical,) if isinstance(categorical, str) else tuple(categorical),
            drop=(drop,) if isinstance(drop, str) else tuple(drop),
            task=task,
        ),
        split,
        categories,
        scaling,
    )


def text(
    path: Path,
    *,
    target: str,
    text: str,
    header: bool = True,
    names: Sequence[str] | None = None,
    delimiter: str | None = None,
    tokens: Tokens = "words",
    vocabulary: int = 10_000,
    length: int | None = None,
    task: Task | None = None,
    encoding: str = "utf-8-sig",
    split: Split = DEFAULT_SPLIT,
) -> Data:
    """A CSV or TSV file (gzipped or not) with a column of texts and one of what to predict from them.

    target, text: the two columns; others are not read. header, names, task, encoding: as for `csv`; Chinese files are
    often "gbk". delimiter: None is a tab for a file named .tsv, and a comma otherwise. Between tabs, quotes are plain
    characters; with any other, a field may stand in double quotes.

    tokens: "words" (runs of letters, digits and underscores, and every other mark on its own), or "characters" (for
    languages that put no spaces between words); both in small letters. vocabulary: how many tokens are kept, the most
    frequent of the training part; all others are one unknown token. length: tokens of a text; shorter ones are filled
    up, longer ones are cut. None takes so many that 95 % of the training texts are not cut.

    Raises DataError for a wrong option; `prepare()` raises it for what is wrong in the file, with line and column.
    """
    return Data(
        TextFile(
            path=os.fspath(path),
            target=target,
            text=text,
            header=header,
            names=None if names is None else tuple(names),
            delimiter=_delimiter(path, delimiter),
            tokens=tokens,
            vocabulary=vocabulary,
            length=length,
            task=task,
            encoding=encoding,
        ),
        split,
    )


def idx(
    files: Path | tuple[Path, Path],
    *,
    test: tuple[Path, Path] | None = None,
    scaling: Scaling = "standard",
    split: Split = DEFAULT_SPLIT,
    streaming: Streaming = DEFAULT_STREAMING,
) -> Data:
    """Images and their classes in IDX files (gzipped or not), the format of MNIST.

    files: a folder with `train-images-idx3-ubyte[.gz]` and `train-labels-idx1-ubyte[.gz]`, in which `t10k-…` files are
    the official test part; or the pair (images, labels). test: the official test part beside such a pair. Images keep
    their shape, (n, height, width). streaming: see `Streaming`; gzipped files are unpacked in memory.

    Raises DataError when `test` is given with a folder; `prepare()` raises it for missing or malformed files.
    """
    if isinstance(files, tuple):
        source = Idx(folder=None, train=_pair(files), test=None if test is None else _pair(test))
        return Data(source, split, scaling=scaling, streaming=streaming)
    if test is not None:
        raise DataError("idx() takes test= beside a pair of files, got a folder; name the training pair too")
    return Data(Idx(folder=os.fspath(files)), split, scaling=scaling, streaming=streaming)


def image_folder(
    path: Path,
    *,
    size: Size | None = None,
    channels: Channels | None = None,
    test: Path | None = None,
    scaling: Scaling = "standard",
    split: Split = DEFAULT_SPLIT,
    streaming: Streaming = DEFAULT_STREAMING,
) -> Data:
    """A folder with a folder per class, named as the class, that holds its images (PNG, JPEG, GIF, BMP, TIFF, WebP).

    size: (height, width) to resize all images to; None where they have one size. channels: 1 for grey, inputs
    (height, width); 3 for colour, (3, height, width); None is 1 where all images are grey, else 3. test: a folder of
    the same classes, the official test part. streaming: see `Streaming`.

    Pixels are taken as they are stored: transparency and a camera's note how to turn the photo are not looked at.
    Hidden files are passed over; other files that are no images are counted and named in a warning.

    Raises DataError for a wrong option; `prepare()` raises it for what is wrong in the folder.
    """
    source = ImageFolder(os.fspath(path), size, channels, None if test is None else os.fspath(test))
    return Data(source, split, scaling=scaling, streaming=streaming)


def dataset(
    torch_dataset: Any,
    *,
    test: Any = None,
    task: Task | None = None,
    scaling: Scaling = "standard",
    split: Split = DEFAULT_SPLIT,
    streaming: Streaming = DEFAULT_STREAMING,
) -> Data:
    """Any `torch.utils.data.Dataset` of (input, target) pairs, also a finite IterableDataset; read once, item by item.

    Inputs: tensors, numpy arrays or PIL images, all of one shape; then as for `arrays`. Targets: a number, a bool or a
    text. What the dataset draws at random is drawn once; `Recipe(flip=True, shift=2)` draws anew at each step. test: a
    dataset with the official test part. task: as for `arrays`. streaming: see `Streaming`.

    Raises DataError for what is no such dataset; `prepare()` raises it for what is wrong in its items.
    """
    return Data(TorchDataset(torch_dataset, test, task), split, scaling=scaling, streaming=streaming)


def _array(values: npt.ArrayLike, what: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:  # ragged lists, tensors on a GPU
        raise DataError(f"{what} cannot become an array: {error}; give rows of one length, in main memory") from error


def _delimiter(path: Path, given: str | None) -> str:
    name = os.fspath(path).lower().removesuffix(".gz")
    return given if given is not None else "\t" if name.endswith(".tsv") else ","


def _pair(files: tuple[Path, Path]) -> ImageFiles:
    images, labels = files
    return ImageFiles(os.fspath(images), os.fspath(labels))
