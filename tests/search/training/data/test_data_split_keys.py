"""Split by a column of a table, or by labels: what is taken out of the inputs, and what is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from archsearch import Data, DataSource, Prepared, Samples, Split, arrays, csv, digits
from archsearch.spaces.errors import DataError

RNG = np.random.default_rng(0)
DAYS = [f"2024-{month:02}-{day:02}" for month in range(1, 11) for day in range(1, 7)]  # 60, in order
TIMES = [  # the odd ones ten minutes after the even ones, and written an hour later
    f"2024-01-01T{10 + row // 6:02}:{row % 6}0:00+01:00" if row % 2 else f"2024-01-01 {9 + row // 6:02}:{row % 6}0"
    for row in range(60)
]


@pytest.fixture
def visits(tmp_path: Path):
    """Writes 60 rows: x counts them, in a random order of the lines."""

    def write(**columns: list[object]) -> str:
        table = {"x": list(range(60)), **columns, "y": [row * 1.5 for row in range(60)]}
        lines = [",".join(map(str, cells)) for cells in zip(*table.values(), strict=True)]
        path = tmp_path / "visits.csv"
        path.write_text("\n".join([",".join(table), *RNG.permutation(lines)]) + "\n")
        return str(path)

    return write


@pytest.fixture(autouse=True)
def zone_restored() -> Iterator[None]:
    yield
    time.tzset()


def rows_of(prepared: Prepared) -> list[list[int]]:
    """The rows of each part, from targets that are 1.5 times the row."""
    parts = (prepared.train, prepared.validation, prepared.test)
    return [
        np.rint((part.targets * prepared.target_std + prepared.target_mean) / 1.5).astype(int).tolist()
        for part in parts
    ]


@pytest.mark.parametrize("patients", [[f"p{row // 3}" for row in range(60)], [row // 3 + 0.5 for row in range(60)]])
def test_a_column_of_groups_is_no_input_and_no_group_is_in_two_parts(visits, patients):
    prepared = csv(visits(patient=patients), target="y", split=Split(groups="patient")).prepare()
    assert prepared.feature_names == ("x",)
    parts = rows_of(prepared)
    assert sorted(np.concatenate(parts)) == list(range(60))
    groups = [{row // 3 for row in part} for part in parts]
    assert [len(group) for group in groups] == [12, 4, 4]
    assert len(set.union(*groups)) == 20


@pytest.mark.parametrize(
    "dates",
    [
        DAYS,
        TIMES,
        [day.replace("-", "") for day in DAYS],
        [-100.5 + row for row in range(60)],
    ],
    ids=["dates", "times", "digits", "numbers"],
)
def test_by_a_column_of_times_the_last_rows_test(visits, dates, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")  # a time without a zone is in UTC wherever it is read
    time.tzset()
    prepared = csv(visits(date=dates), target="y", split=Split(by_time="date")).prepare()
    assert prepared.feature_names == ("x",)
    assert rows_of(prepared) == [list(range(36)), list(range(36, 48)), list(range(48, 60))]


def test_arrays_by_labels_and_in_row_order():
    inputs, targets = np.arange(60.0)[:, None], np.arange(60) * 1.5
    by_time = arrays(inputs, targets, split=Split(by_time=True)).prepare()
    assert rows_of(by_time) == [list(range(36)), list(range(36, 48)), list(range(48, 60))]
    grouped = arrays(inputs, targets, split=Split(groups=[f"g{row % 10}" for row in range(60)])).prepare()
    assert sum(len({row % 10 for row in part}) for part in rows_of(grouped)) == 10


def test_labels_are_of_the_rows_outside_the_official_test_part():
    inputs, targets = np.arange(60.0)[:, None], np.arange(60) * 1.5
    test = (inputs[:10] + 1000, targets[:10] + 1500)
    prepared = arrays(inputs, targets, test=test, split=Split(groups=np.arange(60) // 6)).prepare()
    train, validation, tested = rows_of(prepared)
    assert tested == list(range(1000, 1010))
    assert not {row // 6 for row in train} & {row // 6 for row in validation}
    assert (len(train), len(validation)) == (48, 12)
    with pytest.raises(DataError, match="has 70 labels for 60 rows outside the official test part; give one per row"):
        arrays(inputs, targets, test=test, split=Split(groups=np.arange(70))).prepare()


def test_images_by_labels():
    writers = np.arange(1797) // 20
    prepared = digits(split=Split(groups=writers)).prepare()
    assert len(prepared.train) + len(prepared.validation) + len(prepared.test) == 1797
    assert len(prepared.validation) in (360, 357, 340, 337)  # 18 of 90 writers, of whom the last has 17 images


def test_a_group_in_the_official_test_part_and_outside_it():
    class Clinics(DataSource):
        def load(self) -> Samples:
            columns = {"x": np.arange(60.0), "clinic": np.arange(60) // 7}
            return Samples(columns, np.arange(60.0), "regression", official_test=6)

    with pytest.raises(DataError, match="column 'clinic' has 1 group both in the official test part and outside it"):
        Data(Clinics(), Split(groups="clinic")).prepare()


@pytest.mark.parametrize(
    ("columns", "split", "message"),
    [
        ({"patient": ["a"] * 60}, {"groups": "patent"}, "unknown column 'patent'; known: patient, x; did you mean"),
        ({}, {"groups": "x"}, "the split uses 'x', the only column besides the target"),
        ({"p": ["a"] * 30 + ["NA"] * 30}, {"groups": "p"}, "column 'p', which .* has no value in 30 rows"),
        ({"t": [*range(59), ""]}, {"by_time": "t"}, "column 't', which .* has no value in 1 row,"),
        ({"p": ["a", "b"] * 30}, {"groups": "p"}, "2 groups are too few"),
        (
            {"t": ["31/01/2024"] * 60},
            {"by_time": "t"},
            "column 't': got '31/01/2024', which looks like a date, as do all values; pass dates=",
        ),
    ],
)
def test_columns_that_cannot_split(visits, columns, split, message):
    with pytest.raises(DataError, match=message):
        csv(visits(**columns), target="y", split=Split(**split)).prepare()


@pytest.mark.parametrize("split", [{"groups": "writer"}, {"by_time": "date"}])
def test_images_have_no_columns(split):
    with pytest.raises(DataError, match=r"names a column .*, but the data is not a table; pass "):
        digits(split=Split(**split)).prepare()


def test_labels_for_other_rows():
    with pytest.raises(DataError, match="has 3 labels for 1,797 rows; give one per row"):
        digits(split=Split(groups=[1, 2, 3])).prepare()
