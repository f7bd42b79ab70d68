"""The task is read from the targets alone, so that a metric of the other task is refused before all data is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archsearch import (
    MLP,
    Data,
    DataError,
    DataSource,
    Random,
    Recipe,
    Samples,
    SpecError,
    Study,
    Supervised,
    arrays,
    csv,
    parquet,
    text,
)
from archsearch.search.engine.preflight import preflight
from archsearch.search.training.data.csv_files import Csv
from archsearch.search.training.data.loaded import load_checked
from archsearch.search.training.data.parquet_files import Parquet
from archsearch.search.training.data.targets import infer_task
from archsearch.search.training.data.text_files import TextFile

ROWS = 60
NUMBERS = np.arange(ROWS) / 7
NAMES = np.array(["no", "yes"] * (ROWS // 2))


@dataclass
class Counted(DataSource):
    """Counts the cells that were read of each kind."""

    targets: np.ndarray
    inputs_read: int = 0
    targets_read: int = 0

    def load(self) -> Samples:
        self.inputs_read += ROWS
        return Samples(np.arange(2.0 * ROWS).reshape(ROWS, 2), self.targets)

    def load_targets(self) -> np.ndarray:
        self.targets_read += ROWS
        return self.targets


def study(data: Data | DataSource, metric: str, named: tuple[str, ...] = ()) -> Study:
    objective = Supervised(data, MLP(layers=1, units=4), Recipe(batch_size=8), metrics=named)
    return Study(name="small", objective=objective, minimize=metric, budget=1, trials=1, strategy=Random(), seed=1)


def run(study: Study, path: Path) -> None:
    study.run(path / "x.db", quiet=True)


@pytest.mark.parametrize("start", [lambda study, path: preflight(study, 1), run], ids=["check", "run"])
@pytest.mark.parametrize(
    ("targets", "metric", "named", "message"),
    [
        (
            NUMBERS,
            "val_accuracy",
            (),
            "unknown metric 'val_accuracy'; known: train_loss, val_loss, val_rmse; the targets were taken as "
            "quantities, so the task is regression; to change this, pass task='classification' where the data is "
            "declared$",
        ),
        (
            NAMES,
            "val_rmse",
            (),
            "unknown metric 'val_rmse'; known: train_loss, val_accuracy, val_loss; the targets were taken as classes, "
            "so .* pass task='regression'",
        ),
        (
            NUMBERS,
            "val_loss",
            ("val_f1",),
            "unknown metric 'val_f1'; known: .*val_r2.*the targets were taken as quantities",
        ),
        (NUMBERS, "val_top_3", ("val_top_3",), "the targets were taken as quantities"),
    ],
)
def test_a_metric_of_the_other_task_is_refused_before_the_inputs_are_read(
    start: Callable[[Study, Path], object],
    targets: np.ndarray,
    metric: str,
    named: tuple[str, ...],
    message: str,
    tmp_path: Path,
) -> None:
    source = Counted(targets)
    with pytest.raises(SpecError, match=message):
        start(study(source, metric, named), tmp_path)
    assert (source.targets_read, source.inputs_read) == (ROWS, 0)


def test_a_metric_of_the_task_is_accepted() -> None:
    source = Counted(NAMES)
    told = "classification: no (50.0%), yes (50.0%); 2 numbers → 2 inputs; 60 rows, 2 columns; 0 missing cells filled"
    assert preflight(study(source, "val_accuracy"), 1).data == f"{told}, 0 constant columns dropped"
    assert (source.targets_read, source.inputs_read) == (ROWS, ROWS)


def test_a_source_without_load_targets_is_refused_once_it_is_loaded() -> None:
    class Whole(DataSource):
        def load(self) -> Samples:
            return Samples(np.arange(2.0 * ROWS).reshape(ROWS, 2), NUMBERS)

    assert Data(Whole()).task() is None
    with pytest.raises(SpecError, match="unknown metric 'val_accuracy'"):
        preflight(study(Whole(), "val_accuracy"), 1)


COLUMNS = {
    "numbers": [f"{number:.3f}" for number in NUMBERS],
    "few": [str(row % 3) for row in range(ROWS)],
    "words": list(NAMES),
    # Their first rows would mislead: 0 and 1 look like classes, numbers like a quantity.
    "sorted_numbers": ["0", "1"] * 10 + [f"{row}.5" for row in range(ROWS - 20)],
    "sorted_words": [f"{row}.5" for row in range(30)] + ["many"] * (ROWS - 30),
}


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Callable[[str], Data]]:
    """By format, a function from the name of the target column to the data."""
    columns = {"x": [str(row) for row in range(ROWS)], "note": [f"row {row}, it is" for row in range(ROWS)]} | COLUMNS
    lines = [",".join(f'"{cell}"' for cell in row) for row in zip(*columns.values(), strict=True)]
    (tmp_path / "t.csv").write_text("\n".join([",".join(columns), *lines]))
    numeric = {name: [float(cell) for cell in columns[name]] for name in ("numbers", "few", "sorted_numbers")}
    pq.write_table(pa.table(columns | numeric), tmp_path / "t.parquet")
    return {
        "csv": lambda target: csv(tmp_path / "t.csv", target=target, drop="note"),
        "parquet": lambda target: parquet(tmp_path / "t.parquet", target=target, drop="note"),
        "text": lambda target: text(tmp_path / "t.csv", target=target, text="note"),
        "arrays": lambda target: arrays(np.eye(ROWS), numeric.get(target, columns[target])),
    }


@pytest.mark.parametrize("target", COLUMNS)
@pytest.mark.parametrize("kind", ["csv", "parquet", "text", "arrays"])
def test_the_task_is_that_of_the_whole_data(kind: str, target: str, written: dict[str, Callable[[str], Data]]) -> None:
    data = written[kind](target)
    loaded = load_checked(data.source)
    np.testing.assert_array_equal(data.source.load_targets(), loaded.targets)
    assert data.task() == infer_task(loaded.targets)
    assert data.task() == ("regression" if target.endswith("numbers") else "classification")


@pytest.mark.parametrize(("kind", "source"), [("csv", Csv), ("parquet", Parquet), ("text", TextFile)])
def test_a_file_is_not_loaded_for_a_metric_that_it_cannot_have(
    kind: str,
    source: type[DataSource],
    written: dict[str, Callable[[str], Data]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(self: DataSource) -> Samples:
        raise AssertionError("the whole file is read")

    monkeypatch.setattr(source, "load", load)
    with pytest.raises(SpecError, match="unknown metric 'val_rmse'"):
        preflight(study(written[kind]("words"), "val_rmse"), 1)


def test_an_official_test_part_counts_too() -> None:
    inputs = np.eye(ROWS)
    data = arrays(inputs, np.arange(ROWS) % 2, test=(inputs, NUMBERS))
    assert data.task() == infer_task(load_checked(data.source).targets) == "regression"


def test_faulty_targets_are_reported_as_when_they_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,2\n2,\n3,4\n")
    missing = csv(tmp_path / "t.csv", target="y")
    infinite = arrays(np.eye(ROWS), np.where(NUMBERS > 3, np.inf, 1.0))
    short = csv(tmp_path / "t.csv", target="z")
    for data in (missing, infinite, short):
        messages = []
        for metric in ("val_accuracy", "val_rmse"):
            with pytest.raises(DataError) as caught:
                preflight(study(data, metric), 1)
            messages.append(str(caught.value))
        with pytest.raises(DataError) as caught:
            data.prepare()
        assert messages == [str(caught.value)] * 2


@pytest.mark.parametrize("named", [("val_f1",), ()])
def test_a_declared_task_is_not_said_to_be_inferred(named: tuple[str, ...]) -> None:
    data = arrays(np.ones((ROWS, 2)), NUMBERS, task="regression")
    metric = named[0] if named else "val_accuracy"
    with pytest.raises(
        SpecError, match=f"{metric} is a metric of classification, and the task of this data is regress"
    ):
        study(data, metric, named)
