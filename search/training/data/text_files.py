"""A CSV file with a column of texts and a target column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from archsearch.search.training.data.csv_files import Column
from archsearch.search.training.data.csv_records import check_delimiter, read_records
from archsearch.search.training.data.data_source import DataSource
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.samples import Samples, Texts, Tokens, check_tokens
from archsearch.search.training.data.targets import check_task
from archsearch.spaces.errors import DataError, unknown


@dataclass(frozen=True, slots=True)
class TextFile(DataSource):
    """A file of texts and how to read it; see `text` for each field."""

    path: str
    target: str
    text: str
    header: bool = True
    names: tuple[str, ...] | None = None
    delimiter: str = ","
    tokens: Tokens = "words"
    vocabulary: int = 10_000
    length: int | None = None
    task: Task | None = None
    encoding: str = "utf-8-sig"

    def __post_init__(self) -> None:
        check_task(self.task)
        check_delimiter(self.delimiter)
        check_tokens(self.tokens, self.vocabulary, self.length)
        if self.text == self.target:
            raise DataError(f"column '{self.text}' is both text= and target=; give two different columns")

    def __str__(self) -> str:
        return f"'{self.path}'"

    def load(self) -> Samples:
        targets, texts = self._columns(self.target, self.text)
        tokens = Texts(texts.texts(), self.tokens, self.vocabulary, self.length)
        return Samples(tokens, targets.targets(self.task), self.task)

    def load_targets(self) -> npt.NDArray[Any]:
        (targets,) = self._columns(self.target)
        return targets.targets(self.task)

    def _columns(self, *names: str) -> list[Column]:
        records = read_records(
            self.path,
            delimiter=self.delimiter,
            encoding=self.encoding,
            header=self.header,
            names=self.names,
            quotes=self.delimiter != "\t",
            keep=names,
        )
        for name in (self.target, self.text):
            if name not in records.names:
                hint = f"; is delimiter={self.delimiter!r} right?" if len(records.names) == 1 else ""
                raise DataError(f"'{self.path}': {unknown('column', name, records.names)}{hint}")
        return [Column(self.path, name, records.cells[name], records.lines) for name in names]
