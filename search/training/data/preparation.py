"""From what a source has read to what a network is given: split, then fit every statistic on the training part alone.

Fitting on all rows would let the validation and test parts leak into the inputs, and flatter every score. So each fold
of a cross-validation is prepared on its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.blocks import row_blocks
from archsearch.search.training.data.fingerprint import fingerprint
from archsearch.search.training.data.prepared import Cleaning, Part, Prepared, Task
from archsearch.search.training.data.raw import LargeSource, Raw, Source, Table, Texts, Words
from archsearch.search.training.data.scaling import Scaling, fit_images, table_scaler
from archsearch.search.training.data.split import DEFAULT_SPLIT, Rows, Split, SplitRows, split_rows
from archsearch.search.training.data.split_keys import split_keys
from archsearch.search.training.data.streaming import DEFAULT_STREAMING, Room, Streaming
from archsearch.search.training.data.targets import infer_task, numbered
from archsearch.search.training.data.tokens import fit_tokens
from archsearch.spaces.errors import DataError, unknown

MOST_EXTREME = 1e30  # float32 ends at 3e38

# More categories in a column than this are an identifier or free text. One-hot they would fill the memory; as codes
# there may be more, as long as each has two rows on average to be learned from.
MOST_CATEGORIES = 1000

Coding = Literal["one_hot", "codes"]

Inputs = npt.NDArray[np.float32] | npt.NDArray[np.int32]
Features = Callable[[Rows], Inputs]  # row numbers (n,) -> what a network is given, (n, *shape)


@dataclass(frozen=True, slots=True)
class Data:
    """A data set that is declared, and read when it is needed: where it comes from, how it is split, how the
    categories of a table and all numbers are given to a network, and when it is streamed.
    """

    source: Source
    split: Split = DEFAULT_SPLIT
    categories: Coding = "one_hot"
    scaling: Scaling = "standard"
    streaming: Streaming = DEFAULT_STREAMING

    def __post_init__(self) -> None:
        for name, kind, example in (("split", Split, "Split(folds=5)"), ("streaming", Streaming, "Streaming()")):
            if not isinstance(getattr(self, name), kind):
                raise DataError(f"{name} must be a {kind.__name__}, got {getattr(self, name)!r}; write {example}")
        if self.categories not in get_args(Coding):
            raise DataError(unknown("categories", str(self.categories), get_args(Coding)))
        if self.scaling not in get_args(Scaling):
            raise DataError(unknown("scaling", str(self.scaling), get_args(Scaling)))

    def prepare(self) -> Prepared:
        """Read, split and scale. Same source and split, same arrays.

        Tables: columns that do not vary are dropped. Each number column is scaled, missing values being the median.
        Each categorical column becomes one 0/1 input per category, a missing value being a category, and an
        unseen one all zeros; or, as codes, one input, which is 0 for an unseen value and counts the others from 1.
        Texts: tokens as whole numbers, 0 being padding and 1 whatever the training part has not. Everything else
        (images) is scaled as a whole. All of it is fitted on the training part. scaling: "standard", to mean 0 and
        deviation 1; or "min_max", the training part to [0, 1], where the other parts may lie a little outside. A
        regression's targets are always standardised.

        What is larger than memory comes as parts that are mapped from files, which are there as long as what is
        returned, and hold the same numbers.

        Raises DataError for whatever in the data has to be mended.
        """
        room = Room(self.streaming)  # for what is read; its files go when all is prepared
        source = self.source
        try:
            raw = source.read_into(room.empty) if isinstance(source, LargeSource) else source.read()
            return prepare(raw, self.split, self.categories, self.scaling, self.streaming)
        finally:
            room.scratch.remove()


def prepare(
    raw: Raw,
    split: Split,
    categories: Coding = "one_hot",
    scaling: Scaling = "standard",
    streaming: Streaming = DEFAULT_STREAMING,
) -> Prepared:
    """The work of `Data.prepare`, on what has been read."""
    room = Room(streaming)
    task = raw.task or infer_task(raw.targets)
    targets, classes = numbered(raw.targets, task)
    digest = fingerprint(
        raw.inputs,
        targets,
        task=task,
        classes=classes,
        official_test=raw.official_test,
        categories=categories,
        **_settings(split, scaling),
    )
    keyed = split_keys(raw, split)
    folds = split_rows(
        split,
        len(targets),
        official_test=raw.official_test,
        labels=targets if task == "classification" else None,
        classes=classes,
        keys=keyed.keys,
    )

    def fold(rows: SplitRows) -> Prepared:
        fit = partial(_fit, keyed.inputs, coded=categories == "codes", scaling=scaling)
        return _prepared(fit, targets, rows, task, classes, room, len(folds))

    others = tuple(fold(replace(rows, test=None)) for rows in folds[1:])
    return replace(fold(folds[0]), fingerprint=digest, others=others, scratch=room.scratch)


def _settings(split: Split, scaling: Scaling) -> dict[str, object]:
    """For the fingerprint. What is off is left out where it came later, so that an older store knows its data again."""
    said = asdict(split)
    if split.folds is None:
        del said["folds"]
    return {"split": said} if scaling == "standard" else {"split": said, "scaling": scaling}


def _prepared(
    fit: Callable[[Rows], _Fitted],
    targets: npt.NDArray[Any],
    rows: SplitRows,
    task: Task,
    classes: tuple[str, ...],
    room: Room,
    folds: int,
) -> Prepared:
    """One of so many folds: its parts, by what was fitted on its training rows."""
    mean, std = 0.0, 1.0
    if task == "regression":
        mean, std = _mean_std(targets[rows.train])
        targets = ((targets - mean) / std).astype(np.float32)
    fitted = fit(rows.train)
    sample = fitted.features(rows.train[:1])
    of_bytes = folds * len(targets) * sample.nbytes

    def part(chosen: Rows) -> Part:
        inputs = room.empty((len(chosen), *sample.shape[1:]), sample.dtype, of_bytes=of_bytes)
        for some in row_blocks(len(chosen), sample.nbytes):
            inputs[some] = fitted.features(chosen[some])
        if not isinstance(inputs, np.memmap):
            return Part(inputs, targets[chosen])
        inputs.flush()  # for machines that see the folder over a network
        return Part.from_file(str(inputs.filename), targets[chosen])

    return Prepared(
        task=task,
        train=part(rows.train),
        validation=part(rows.validation),
        test=None if rows.test is None else part(rows.test),
        classes=classes,
        target_mean=mean,
        target_std=std,
        feature_names=fitted.feature_names,
        categories=fitted.categories,
        vocabulary=len(fitted.tokens) or None,
        tokens=fitted.tokens,
        cleaning=fitted.cleaning,
    )


@dataclass(frozen=True, slots=True)
class _Fitted:
    """What the training rows gave: the way from rows to inputs, and what `Prepared` says of those."""

    features: Features
    cleaning: Cleaning
    feature_names: tuple[str, ...] = ()
    categories: tuple[int, ...] = ()
    tokens: tuple[str, ...] = ()


def _mean_std(targets: npt.NDArray[np.float64]) -> tuple[float, float]:
    if np.ptp(targets) == 0:
        raise DataError(f"every target of the training part is {targets[0]:g}: nothing to learn; check the target")
    return float(targets.mean()), float(targets.std())


def _fit(inputs: Table | Texts | npt.NDArray[Any], train: Rows, coded: bool, scaling: Scaling) -> _Fitted:
    match inputs:
        case Table():
            return _fit_table(inputs, train, coded, scaling)
        case Texts():
            codes, tokens = fit_tokens(inputs, train)
            return _Fitted(codes, Cleaning(len(inputs.texts)), tokens=tokens)
        case images:
            return _Fitted(fit_images(images, train, scaling), Cleaning(len(images)))


def _fit_table(table: Table, train: Rows, coded: bool, scaling: Scaling) -> _Fitted:
    """The numbers first, then each category of the training rows as a column of 0 and 1; or each column's codes."""
    from sklearn.impute import SimpleImputer  # here, not above: workers never prepare, and scikit-learn loads slowly
    from sklearn.pipeline import make_pipeline

    _check_range(table)
    varied = _without_constants(table, train)
    _check_categories(varied, coded)
    scaler = make_pipeline(SimpleImputer(strategy="median"), table_scaler(scaling))
    if varied.names:
        scaler.fit(varied.numbers[train])
    columns = [_coded(words, train) if coded else _one_hot(words, train) for words in varied.words]

    def features(rows: Rows) -> Inputs:
        blocks: list[npt.NDArray[Any]] = [scaler.transform(varied.numbers[rows])] if varied.names else []
        return np.concatenate([*blocks, *(column.block(rows) for column in columns)], axis=1, dtype=np.float32)

    return _Fitted(
        features,
        Cleaning(
            rows=len(table.numbers),
            columns=_width(table),
            filled=int(np.isnan(varied.numbers).sum()),
            constant=_width(table) - _width(varied),
            unseen=sum(column.unseen for column in columns),
        ),
        feature_names=(*varied.names, *(name for column in columns for name in column.names)),
        categories=tuple(column.codes for column in columns) if coded else (),
    )


def _width(table: Table) -> int:
    return len(table.names) + len(table.words)


def _without_constants(table: Table, train: Rows) -> Table:
    """The table without columns that have one value in the training part, or none: they tell nothing."""
    numbers = table.numbers[train]
    # fmax and fmin pass over NaN, and give it where there is nothing else: then the comparison is False.
    varies = np.fmax.reduce(numbers) > np.fmin.reduce(numbers)
    words = tuple(words for words in table.words if len(np.unique(words.codes[train])) > 1)
    if not varies.any() and not words:
        raise DataError(
            f"no column varies in the training part of {len(train):,} rows: nothing to learn from; check the columns"
        )
    return Table(
        table.numbers[:, varies], tuple(name for name, kept in zip(table.names, varies, strict=True) if kept), words
    )


@dataclass(frozen=True, slots=True)
class _Categories:
    """What the training rows gave for a categorical column."""

    block: Callable[[Rows], npt.NDArray[Any]]  # row numbers (n,) -> (n, inputs)
    names: tuple[str, ...]  # of those inputs
    unseen: int  # cells of the other rows that hold none of them
    codes: int = 0


def _one_hot(words: Words, train: Rows) -> _Categories:
    seen = np.unique(words.codes[train])
    names = tuple(f"{words.name}={words.categories[code] or '(missing)'}" for code in seen)
    return _Categories(lambda rows: words.codes[rows, None] == seen, names, _unseen(words, seen))


def _coded(words: Words, train: Rows) -> _Categories:
    seen = np.unique(words.codes[train])
    places = np.zeros(len(words.categories))
    places[seen] = np.arange(1, len(seen) + 1)
    return _Categories(
        lambda rows: places[words.codes[rows, None]], (words.name,), _unseen(words, seen), codes=len(seen) + 1
    )


def _unseen(words: Words, seen: npt.NDArray[np.int64]) -> int:
    return int((~np.isin(words.codes, seen)).sum())


def _check_categories(table: Table, coded: bool) -> None:
    for words in table.words:
        most = max(MOST_CATEGORIES, len(words.codes) // 2) if coded else MOST_CATEGORIES
        if len(words.categories) > most:
            example = next(text for text in words.categories if text)
            more = "" if coded else "; categories='codes' takes more, where each has two rows on average"
            raise DataError(
                f"column '{words.name}' has {len(words.categories):,} distinct texts such as '{example[:40]}', "
                f"expected at most {most:,} categories; pass drop=['{words.name}'], or write numbers as 1234.5{more}"
            )


def _check_range(table: Table) -> None:
    # Such a value overflows in the deviation or in float32, and a network would be given NaN. Some programs write the
    # largest float for "missing".
    extreme = np.abs(table.numbers) > MOST_EXTREME  # NaN compares as False
    for column in np.flatnonzero(extreme.any(axis=0)):
        value = table.numbers[extreme[:, column], column][0]
        raise DataError(
            f"column '{table.names[column]}' holds {value:g}, beyond ±{MOST_EXTREME:g}; if it stands for a missing "
            "value, leave the cell empty, else use a larger unit"
        )
