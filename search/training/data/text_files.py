"""A CSV file with a column of texts and a target column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from archsearch.search.training.data.csv_columns import Column
from archsearch.search.training.data.csv_format import CsvFormat
from archsearch.search.training.data.csv_proposals import check_columns
from archsearch.search.training.data.csv_table import read_csv
from archsearch.search.training.data.data_source import DataSource
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.samples import Samples, Texts, Tokens, check_tokens
from archsearch.search.training.data.table_files import table_file
from archsearch.search.training.data.targets import check_task
from archsearch.spaces.errors import DataError


@dataclass(frozen=True, slots=True)
class TextFile(DataSource):
    """A file of texts and how to read it; see `text` for each field."""

    path: str
    target: str
    text: str
    format: CsvFormat = field(default_factory=CsvFormat)
    tokens: Tokens = "words"
    vocabulary: int = 10_000
    length: int | None = None
    task: Task | None = None

    def __post_init__(self) -> None:
        check_task(self.task)
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
        file = table_file(self.path, self.format)
        table = read_csv(file, self.format, keep=names, as_text=names)
        check_columns(file, self.format, table.names, table.unnamed, (self.target, self.text))
        # as_text: all of these are cells, not numbers
        cells: Mapping[str, Any] = table.columns
        return [Column(self.path, name, cells[name], table.line_of, has_options=False) for name in names]
