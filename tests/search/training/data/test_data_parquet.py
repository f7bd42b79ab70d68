"""Parquet files: the meaning of csv(), by the columns' types; and an error with column and row for each mistake."""

from __future__ import annotations

import datetime as dt
import decimal
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archsearch import Data, Prepared, Split, csv, parquet
from archsearch.search.training.data.loaded import load_checked
from archsearch.spaces.errors import DataError


@pytest.fixture
def write(tmp_path):
    def write(columns: dict[str, object], **options: object) -> Path:
        pq.write_table(pa.table(columns), tmp_path / "people.parquet", **options)
        return tmp_path / "people.parquet"

    return write


def people(rows: int = 40, **columns: object) -> dict[str, object]:
    """Columns age, job, y; others stand in for them, or beside them."""
    known = {
        "age": [20 + row % 7 for row in range(rows)],
        "job": [("clerk", "nurse")[row % 2] for row in range(rows)],
        "y": [("no", "yes")[row // 2 % 2] for row in range(rows)],
    }
    return known | columns


def replaced(values: list[object], **cells: object) -> list[object]:
    """The list with row3=… in place of those values."""
    return [cells.get(f"row{row}", value) for row, value in enumerate(values)]


def error(data: Data) -> str:
    with pytest.raises(DataError) as caught:
        data.prepare()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_same(left: Prepared, right: Prepared) -> None:
    assert (left.task, left.classes, left.feature_names) == (right.task, right.classes, right.feature_names)
    assert left.categories == right.categories
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(left, part).inputs, getattr(right, part).inputs)
        np.testing.assert_array_equal(getattr(left, part).targets, getattr(right, part).targets)


@pytest.mark.parametrize("options", [{}, {"categories": "codes"}, {"drop": "job"}, {"categorical": "age"}])
def test_the_same_rows_mean_the_same_as_in_a_csv_file(write, tmp_path, options):
    columns = people()
    columns["age"] = replaced(columns["age"], row4=None, row9=None)
    columns["job"] = replaced(columns["job"], row5=None, row6="?", row7=" NA ", row8=" clerk", row10="", row11=None)
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in zip(*columns.values(), strict=True)]
    (tmp_path / "people.csv").write_text("\n".join([",".join(columns), *lines]))
    assert_same(
        parquet(write(columns), target="y", **options).prepare(),
        csv(tmp_path / "people.csv", target="y", **options).prepare(),
    )


def test_types_that_are_numbers(write):
    rows = list(range(40))
    columns = {
        "int8": pa.array(rows, pa.int8()),
        "uint64": pa.array([2**63 + row * 2**50 for row in rows], pa.uint64()),
        "half": pa.array(np.arange(40, dtype=np.float16)),
        "float": pa.array([None, float("nan"), *rows[2:]], pa.float32()),
        "decimal": pa.array([decimal.Decimal(row) / 4 for row in rows]),
        "coded": pa.array([row % 5 for row in rows]).dictionary_encode(),
        "y": [row % 2 for row in rows],
    }
    raw = load_checked(parquet(write(columns), target="y").source)
    assert raw.inputs.names == ("int8", "uint64", "half", "float", "decimal", "coded")
    assert raw.inputs.categorical == ()
    np.testing.assert_array_equal(raw.inputs.numbers[3], [3, 2.0**63 + 3 * 2.0**50, 3, 3, 0.75, 3])
    assert np.isnan(raw.inputs.numbers[:, 3]).tolist() == [True, True, *[False] * 38]


def test_types_that_are_categories(write):
    words = ["a", None, "b", "a"]
    columns = {
        "text": words,
        "large": pa.array(words, pa.large_string()),
        "coded": pa.array(words).dictionary_encode(),
        "digits": ["007", "7", "007", ""],
        "bool": [True, None, False, True],
        "y": [0.5, 1, 2, 3],
    }
    found = {each.name: each for each in load_checked(parquet(write(columns), target="y").source).inputs.categorical}
    for name in ("text", "large", "coded"):
        assert found[name].categories == ("", "a", "b")
        assert found[name].codes.tolist() == [1, 0, 2, 1]
    assert found["digits"].categories == ("", "007", "7")
    assert found["bool"].categories == ("", "False", "True")


def test_types_that_are_dates(write):
    columns = {
        "day": [dt.date(1970, 1, 31), None, dt.date(1970, 2, 1), dt.date(1970, 1, 31)],
        "time": pa.array([0, None, 1_500_000_001, 0], pa.timestamp("ns")),
        "zone": pa.array([0, 1, 2, 3], pa.timestamp("s", "+01:00")),
        "y": [0.5, 1, 2, 3],
    }
    day, time, zone = load_checked(parquet(write(columns), target="y").source).inputs.dates
    np.testing.assert_array_equal(day.seconds, [30 * 86400, np.nan, 31 * 86400, 30 * 86400])
    np.testing.assert_array_equal(time.seconds, [0, np.nan, 1.5, 0])
    np.testing.assert_array_equal(zone.seconds, [0, 1, 2, 3])
    kept = load_checked(parquet(write(columns), target="y", categorical=["day", "time"]).source).inputs.categorical
    assert kept[0].categories == ("", "1970-01-31", "1970-02-01")
    assert kept[1].categories == ("", "1970-01-01 00:00:00", "1970-01-01 00:00:01.500000")


def test_a_split_by_time_takes_a_column_of_times(write):
    days = [dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=row * 7 % 40) for row in range(40)]
    path = write(people(when=pa.array(days, pa.timestamp("ns", "UTC"))))
    prepared = parquet(path, target="y", drop="job", split=Split(by_time="when")).prepare()
    assert prepared.feature_names == ("age",)
    latest = np.argsort([day.timestamp() for day in days])[-8:]
    answers = [("no", "yes").index(people()["y"][row]) for row in latest]
    assert sorted(prepared.test.targets) == sorted(answers)


@pytest.mark.parametrize(
    ("targets", "task", "classes"),
    [
        (["a", "b"], "classification", ("a", "b")),
        ([True, False], "classification", ("False", "True")),
        ([0, 1], "classification", ("0", "1")),
        ([10.0, 9.0], "classification", ("9", "10")),
        (pa.array(["a", "b"] * 20).dictionary_encode(), "classification", ("a", "b")),
        ([0.5, 1.0], "regression", ()),
    ],
)
def test_targets(write, targets, task, classes):
    columns = people(y=targets * 20 if isinstance(targets, list) else targets)
    prepared = parquet(write(columns), target="y").prepare()
    assert (prepared.task, prepared.classes) == (task, classes)


def test_several_row_groups_and_the_index_of_pandas(write):
    plain = parquet(write(people()), target="y").prepare()
    indexed = people(__index_level_0__=list(range(40)))
    assert_same(parquet(write(indexed, row_group_size=7), target="y").prepare(), plain)


def test_a_name_that_begins_like_another_is_not_brought_along(write):
    path = write({"a": list(range(40)), "a.b": list(range(40)), "y": [0, 1] * 20})
    assert parquet(path, target="y", drop="a.b").prepare().feature_names == ("a",)


def test_other_types_are_one_error(write):
    columns = people(tags=[["x"]] * 40, born=[dt.time(1, 2)] * 40, raw=[b"x"] * 40)
    text = error(parquet(write(columns), target="y"))
    assert "neither numbers, bools, text nor times: 'tags' of list<" in text
    assert "'born' of time64[us], 'raw' of binary; " in text
    assert "pass drop=['tags', 'born', 'raw']" in text
    named = parquet(write(columns), target="y", drop=["tags", "born", "raw"]).prepare()
    assert named.feature_names == ("age", "job=clerk", "job=nurse")
    assert "('raw' is the target: store it as numbers or text)" in error(
        parquet(write(columns), target="raw", drop=["tags", "born"])
    )


def test_unknown_columns(write):
    path = write(people())
    assert error(parquet(path, target="ae")).endswith(
        "people.parquet': unknown column 'ae'; known: age, job, y; did you mean 'age'?"
    )
    assert "unknown column 'jobs'" in error(parquet(path, target="y", categorical=["jobs"]))
    assert "unknown column 'z'" in error(parquet(path, target="y", drop="z"))


def test_columns_that_cannot_be_inputs(write):
    for empty in ([None] * 40, pa.array([None] * 40, pa.string()), [float("nan")] * 40, ["NA", ""] * 20):
        text = error(parquet(write(people(age=empty)), target="y"))
        assert "column 'age' has no value in any row; pass drop=['age']" in text
    assert "no column but the target 'y'" in error(parquet(write(people()), target="y", drop=["age", "job"]))
    infinite = people(age=[float("inf"), *range(39)])
    assert "column 'age' contains inf" in error(parquet(write(infinite), target="y"))


@pytest.mark.parametrize(
    ("targets", "got"),
    [
        (["no", "yes"] + [None] * 2 + ["no"] * 36, "row 2: got None, expected a target"),
        (["no", "yes"] + ["NA"] * 2 + ["no"] * 36, "row 2: got NA, expected a target"),
        ([0, 1, None, None] + [1] * 36, "row 2: got None, expected a target"),
        ([0, 1, float("nan"), float("inf")] + [1] * 36, "row 2: got nan, expected a target"),
        ([True, False, None, None] + [True] * 36, "row 2: got None, expected a target"),
    ],
)
def test_targets_must_be_there(write, targets, got):
    text = error(parquet(write(people(y=targets)), target="y"))
    assert f"people.parquet', column 'y' {got}; fill it in or remove the row (rows without a target: 2)" in text


def test_one_class_a_class_with_one_sample_and_words_as_a_quantity(write):
    assert "every row has the class 'no'" in error(parquet(write(people(y=["no"] * 40)), target="y"))
    once = people(y=["no"] * 20 + ["yes"] * 19 + ["what"])
    assert "class 'what' has 1 sample" in error(parquet(write(once), target="y"))
    assert "needs numeric targets, got 'no'" in error(parquet(write(people()), target="y", task="regression"))


def test_files_that_cannot_be_read(write, tmp_path):
    path = tmp_path / "bad.parquet"
    assert "no file" in error(parquet(path, target="y"))
    assert "is a folder" in error(parquet(tmp_path, target="y"))
    path.write_bytes(b"")
    assert "has 0 bytes" in error(parquet(path, target="y"))
    path.write_text("age,y\n1,2\n")
    assert "cannot be read as Parquet" in error(parquet(path, target="y"))
    whole = write(people(age=list(np.random.default_rng(0).normal(size=40)))).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "cannot be read as Parquet" in error(parquet(path, target="y"))
    path.write_bytes(whole[:20] + bytes(60) + whole[80:])
    assert "cannot be read as Parquet" in error(parquet(path, target="y"))
    assert "has columns but no rows" in error(parquet(write(people(0)), target="y"))
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([1])], ["y", "y"]), path)
    assert "two columns named 'y'" in error(parquet(path, target="y"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "classify"}, "unknown task 'classify'"),
        ({"categories": "onehot"}, "unknown categories 'onehot'"),
        ({"drop": ["y"]}, "target column 'y' is listed in drop="),
        ({"categorical": "y"}, "target column 'y' is listed in categorical="),
    ],
)
def test_illegal_options_fail_at_construction(options, message):
    with pytest.raises(DataError, match=message):
        parquet("people.parquet", target="y", **options)


def test_a_declaration_pickles():
    data = parquet("no-such.parquet", target="y", drop=["a"])
    assert pickle.loads(pickle.dumps(data)) == data
