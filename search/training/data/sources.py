"""The functions that declare a user's own data in a study file: `csv`, `idx`, `arrays`, … None reads anything yet."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from archsearch.search.training.data.columns import as_array
from archsearch.search.training.data.csv_files import Csv
from archsearch.search.training.data.csv_format import DEFAULT_ENCODING, CsvFormat
from archsearch.search.training.data.idx_files import Idx, ImageFiles
from archsearch.search.training.data.image_folders import Channels, ImageFolder, Size
from archsearch.search.training.data.memory import Arrays
from archsearch.search.training.data.missing import missing_marks
from archsearch.search.training.data.npz_files import Npz
from archsearch.search.training.data.number_format import NumberFormat
from archsearch.search.training.data.parquet_files import Parquet
from archsearch.search.training.data.preparation import Data
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.samples import Tokens
from archsearch.search.training.data.scaling import Scaling
from archsearch.search.training.data.split import DEFAULT_SPLIT, Split
from archsearch.search.training.data.streaming import DEFAULT_STREAMING, Streaming
from archsearch.search.training.data.table_encoding import CategoryEncoding
from archsearch.search.training.data.text_files import TextFile
from archsearch.search.training.data.torch_data import TorchDataset
from archsearch.spaces.errors import DataError

Path = str | os.PathLike[str]


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
    """Arrays, or anything that `np.asarray` accepts.

    Args:
        inputs: (n, features) for a table, or (n, ...) with more dimensions for images or signals. Finite numbers.
            Images larger than memory can be mapped: `arrays(np.load("inputs.npy", mmap_mode="r"), targets)`.
        targets: (n,) numbers, bools or text. For several targets per row, (n, k): zeros and ones or bools are labels,
            which do not exclude each other; other numbers are a regression with k targets.
        task: "classification", "multilabel" or "regression". None infers it: text, bools, and integers with at most 20
            distinct values are classes.
        test: An official test part (inputs, targets), which is kept as it is; the split divides the other rows.
        scaling: "standard" scales to mean 0 and standard deviation 1, "min_max" the range of the training part to
            [0, 1]; each column of a table independently, anything else as a whole.
        split: How rows are divided into training, validation and test part; by default 0.6, 0.2 and 0.2 at random.
        streaming: When data too large for memory streams from files.

    Raises:
        DataError: An argument is invalid. Faults in the arrays are raised by `Data.prepare`.
    """
    official = None if test is None else (as_array(test[0], "test inputs"), as_array(test[1], "test targets"))
    source = Arrays(as_array(inputs, "inputs"), as_array(targets, "targets"), task, official)
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
    """Arrays in an NPZ file, as written by `np.savez("data.npz", x=inputs, y=targets)`.

    Args:
        path: The file. It is read into memory; arrays that are not named here are skipped.
        inputs: The name of the array of inputs, which may be what `arrays` takes.
        targets: The name of the array of targets, likewise.
        test: The names of the inputs and targets of an official test part, such as ("x_test", "y_test").
        task: "classification", "multilabel" or "regression". None infers it, as for `arrays`.
        scaling: "standard" scales to mean 0 and standard deviation 1, "min_max" the range of the training part to
            [0, 1]; each column of a table independently, anything else as a whole.
        split: How rows are divided into training, validation and test part; by default 0.6, 0.2 and 0.2 at random.
        streaming: When data too large for memory streams from files.

    Raises:
        DataError: An argument is invalid. Faults in the file are raised by `Data.prepare`.
    """
    return Data(Npz(os.fspath(path), inputs, targets, test, task), split, scaling=scaling, streaming=streaming)


def csv(
    path: Path,
    *,
    target: str,
    header: bool = True,
    names: Sequence[str] | None = None,
    delimiter: str | None = None,
    quotes: bool = True,
    comment: str | None = None,
    skip_rows: int = 0,
    decimal: str = ".",
    thousands: str | None = None,
    units: str | Sequence[str] = (),
    missing: str | float | Sequence[str | float] = (),
    dates: Mapping[str, str] | None = None,
    categorical: str | Sequence[str] = (),
    categories: CategoryEncoding = "one_hot",
    drop: str | Sequence[str] = (),
    task: Task | None = None,
    encoding: str = DEFAULT_ENCODING,
    sheet: str | None = None,
    scaling: Scaling = "standard",
    split: Split = DEFAULT_SPLIT,
) -> Data:
    """A CSV file (also gzipped or zipped) or an Excel workbook, whose columns are numbers or categories.

    A column is numeric if all its values are numbers, and categorical otherwise (or dates, see `dates`); if at least
    80 % of them are numbers, the others are reported as mistakes. An empty cell, NA, N/A, #N/A, nan, null, <NA> and ?,
    in any case, are missing values. Numbers in another notation, such as 1.234,5 or 12 %, are refused until `decimal`,
    `thousands` or `units` say how to read them. A column without a name that numbers the rows is left out.

    Args:
        path: The file.
        target: The column to predict.
        header: Whether the first line holds the names of the columns.
        names: Names of the columns, in place of those in the header. Without header and names they are c0, c1, …
        delimiter: The character between fields, or r"\\s+" for any number of blanks and tabs (also in quotes). None
            is a tab for a file named .tsv, else a comma.
        quotes: Whether a field may be enclosed in double quotes. If not, they are ordinary characters.
        comment: What the lines begin with that are left out, such as "#".
        skip_rows: How many lines at the top of the file are left out, such as a title above the header.
        decimal: The decimal mark of numbers.
        thousands: The mark between groups of digits, such as "," in 1,234,567. " " stands for all narrow spaces too.
        units: What is removed before and after numbers, such as "$", "%" or "kg". Numbers are not converted.
        missing: Further marks of missing values, such as ("None", "-200"). A number stands for all numbers of its
            value.
        dates: The formats of columns of dates, as for `datetime.strptime`: {"day": "%d/%m/%Y"}. Dates such as
            2024-01-31 or 2024-01-31 17:05 need none. A network is given their days since 1970, year, month, weekday and
            hour as numbers.
        categorical: Columns to treat as categorical although they hold numbers.
        categories: "one_hot", an input of 0 or 1 per category; or "codes", for a network that learns a vector per
            category, as `MLP(..., embedding=8)`.
        drop: Columns to leave out.
        task: "classification" or "regression". None infers it: text, bools, and integers with at most 20 distinct
            values are classes.
        encoding: A codec of Python. The default is UTF-8, with or without the byte order mark that Excel writes, or
            UTF-16 with such a mark.
        sheet: The sheet of an Excel workbook (.xlsx); reading one needs openpyxl. None if it has only one.
        scaling: "standard" scales each numeric column to mean 0 and standard deviation 1, "min_max" the range of the
            training part to [0, 1].
        split: How rows are divided into training, validation and test part; by default 0.6, 0.2 and 0.2 at random.

    Raises:
        DataError: An argument is invalid. Faults in the file are raised by `Data.prepare`, with line and column.
    """
    return Data(
        Csv(
            path=os.fspath(path),
            target=target,
            format=CsvFormat(
                delimiter=_delimiter(path, delimiter),
                quotes=quotes,
                header=header,
                names=None if names is None else tuple(names),
                encoding=encoding,
                comment=comment,
                skip_rows=skip_rows,
                sheet=sheet,
            ),
            numbers=NumberFormat(decimal, thousands, (units,) if isinstance(units, str) else tuple(units)),
            missing=missing_marks(missing),
            dates=tuple((dates or {}).items()),
            categorical=(categorical,) if isinstance(categorical, str) else tuple(categorical),
            drop=(drop,) if isinstance(drop, str) else tuple(drop),
            task=task,
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
    categories: CategoryEncoding = "one_hot",
    drop: str | Sequence[str] = (),
    task: Task | None = None,
    scaling: Scaling = "standard",
    split: Split = DEFAULT_SPLIT,
) -> Data:
    """A Parquet file whose columns are numbers or categories: text, bools, dictionaries, dates and times.

    The type of a column decides, so that text like "007" stays text. Nulls and NaN are missing values, and in text also
    what `csv` treats as missing. An unnamed row index written by pandas is left out.

    Args:
        path: The file.
        target: The column to predict.
        categorical: Columns to treat as categorical although they hold numbers.
        categories: "one_hot" or "codes"; as for `csv`.
        drop: Columns to leave out.
        task: "classification" or "regression". None infers it: text, bools, and integers with at most 20 distinct
            values are classes.
        scaling: "standard" scales each numeric column to mean 0 and standard deviation 1, "min_max" the range of the
            training part to [0, 1].
        split: How rows are divided into training, validation and test part; by default 0.6, 0.2 and 0.2 at random.

    Raises:
        DataError: An argument is invalid. Faults in the file are raised by `Data.prepare`, with column and row.
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
    quotes: bool | None = None,
    comment: str | None = None,
    skip_rows: int = 0,
    tokens: Tokens = "words",
    vocabulary: int = 10_000,
    length: int | None = None,
    task: Task | None = None,
    encoding: str = DEFAULT_ENCODING,
    split: Split = DEFAULT_SPLIT,
) -> Data:
    """A CSV or TSV file (also gzipped or zipped) with a column of texts and a target. Other columns are not read.

    Args:
        path: The file.
        target: The column to predict.
        text: The column of texts.
        header: Whether the first line holds the names of the columns.
        names: Names of the columns, in place of those in the header. Without header and names they are c0, c1, …
        delimiter: The character between fields. None is a tab for a file named .tsv, else a comma.
        quotes: Whether a field may be enclosed in double quotes. If not, they are ordinary characters. None is False
            with tabs, else True.
        comment: What the lines begin with that are left out, such as "#".
        skip_rows: How many lines at the top of the file are left out, such as a title above the header.
        tokens: "words" (runs of letters, digits and underscores; every other mark is a token of its own) or
            "characters" (for languages that put no spaces between words). Both are lower-cased.
        vocabulary: How many tokens to keep, the most frequent of the training part. All others share one code.
        length: Tokens per text; shorter texts are padded, longer ones truncated. None takes the length at which 95 % of
            the training texts are complete.
        task: "classification" or "regression". None infers it: text, bools, and integers with at most 20 distinct
            values are classes.
        encoding: A codec of Python; Chinese files are often "gbk". The default is UTF-8, with or without the byte order
            mark that Excel writes.
        split: How rows are divided into training, validation and test part; by default 0.6, 0.2 and 0.2 at random.

    Raises:
        DataError: An argument is invalid. Faults in the file are raised by `Data.prepare`, with line and column.
    """
    return Data(
        TextFile(
            path=os.fspath(path),
            target=target,
            text=text,
            format=CsvFormat(
                delimiter=(mark := _delimiter(path, delimiter)),
                quotes=mark != "\t" if quotes is None else quotes,
                header=header,
                names=None if names is None else tuple(names),
                encoding=encoding,
                comment=comment,
                skip_rows=skip_rows,
            ),
            tokens=tokens,
            vocabulary=vocabulary,
            length=length,
            task=task,
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

    Args:
        files: A folder with `train-images-idx3-ubyte[.gz]` and `train-labels-idx1-ubyte[.gz]`, where files named
            `t10k-…` are the official test part; or a pair (images, labels) of files. Images keep their shape,
            (n, height, width). Files that are not gzipped are mapped instead of read into memory.
        test: The official test part, a pair of files, if `files` is a pair.
        scaling: "standard" scales to mean 0 and standard deviation 1, "min_max" the range of the training part to
            [0, 1]. Images share one mean and deviation over all pixels.
        split: How rows are divided into training, validation and test part; by default 0.6, 0.2 and 0.2 at random.
        streaming: When data too large for memory streams from files.

    Raises:
        DataError: `test` is given with a folder. Missing or malformed files are raised by `Data.prepare`.
    """
    if isinstance(files, tuple):
        source = Idx(folder=None, train=_pair(files), test=None if test is None else _pair(test))
        return Data(source, split, scaling=scaling, streaming=streaming)
    if test is not None:
        raise DataError(
            "idx(test=) needs a pair of files as first argument, got a folder; pass idx((images, labels), test=...)"
        )
    return Data(Idx(folder=os.fspath(files)), split, scaling=scaling, streaming=streaming)


def image_folder(
    path: Path,
    *,
    size: Size | None = None,
    channels: Channels | None = None,
    test: Path | None = None,
    skip_bad: bool = False,
    scaling: Scaling = "standard",
    split: Split = DEFAULT_SPLIT,
    streaming: Streaming = DEFAULT_STREAMING,
) -> Data:
    """A folder that contains one folder of images per class, named like the class (PNG, JPEG, GIF, BMP, TIFF, WebP).

    Pixels are taken as stored: transparency and the EXIF orientation are ignored. Hidden files are skipped; other files
    that are not images are skipped with a warning.

    Args:
        path: The folder of class folders.
        size: (height, width) in pixels, to which all images are resized. None if they already have one size.
        channels: 1 for grey, inputs (n, height, width); 3 for colour, inputs (n, 3, height, width). None is 1 if all
            images are grey, else 3.
        test: Another such folder with the official test part.
        skip_bad: Whether to leave out images that cannot be read, with a warning that lists them. By default they are
            one error, which lists them all.
        scaling: "standard" scales to mean 0 and standard deviation 1, "min_max" the range of the training part to
            [0, 1]. Images share one mean and deviation over all pixels.
        split: How rows are divided into training, validation and test part; by default 0.6, 0.2 and 0.2 at random.
        streaming: When data too large for memory streams from files.

    Raises:
        DataError: An argument is invalid. Faults in the folder are raised by `Data.prepare`.
    """
    source = ImageFolder(os.fspath(path), size, channels, None if test is None else os.fspath(test), skip_bad)
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
    """Any `torch.utils.data.Dataset` of (input, target) pairs, including a finite IterableDataset.

    The dataset is read once, item by item, so random transforms are drawn only once; for augmentation at every step,
    use `Recipe(flip=True, shift=2)`.

    Args:
        torch_dataset: The dataset. Inputs are tensors, arrays or PIL images, all of one shape, as for `arrays`. Targets
            are a number, a bool or a text each, or k numbers or bools, as for `arrays`.
        test: A dataset with the official test part.
        task: "classification", "multilabel" or "regression". None infers it, as for `arrays`.
        scaling: "standard" scales to mean 0 and standard deviation 1, "min_max" the range of the training part to
            [0, 1]; each column of a table independently, anything else as a whole.
        split: How rows are divided into training, validation and test part; by default 0.6, 0.2 and 0.2 at random.
        streaming: When data too large for memory streams from files.

    Raises:
        DataError: An argument is no such dataset. Faults in its items are raised by `Data.prepare`.
    """
    return Data(TorchDataset(torch_dataset, test, task), split, scaling=scaling, streaming=streaming)


def _delimiter(path: Path, given: str | None) -> str:
    name = os.fspath(path).lower().removesuffix(".gz")
    return given if given is not None else "\t" if name.endswith(".tsv") else ","


def _pair(files: tuple[Path, Path]) -> ImageFiles:
    images, labels = files
    return ImageFiles(os.fspath(images), os.fspath(labels))
