"""A source of the user's own: what it may return, what is refused, and the contract that all sources keep."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from archsearch import (
    MLP,
    Data,
    DataError,
    DataSource,
    Float,
    Random,
    Recipe,
    Samples,
    SpecError,
    Split,
    Study,
    Supervised,
    Texts,
    arrays,
    csv,
    dataset,
    digits,
    idx,
    image_folder,
    npz,
    parquet,
    text,
    wine,
)
from archsearch.search.testing.data_sources import DataSourceContract

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(60, 3))
CLASSES = np.arange(60) % 3


class Given(DataSource):
    """Returns what it is given."""

    def __init__(self, *samples: object, **named: object) -> None:
        self.samples, self.named = samples, named

    def load(self) -> Samples:
        return Samples(*self.samples, **self.named)


def error(source: object) -> str:
    with pytest.raises(DataError) as caught:
        Data(source).prepare()
    return str(caught.value)


def test_an_array_is_prepared_as_arrays_are() -> None:
    mine, theirs = Data(Given(INPUTS, CLASSES)).prepare(), arrays(INPUTS, CLASSES).prepare()
    assert mine.fingerprint == theirs.fingerprint
    np.testing.assert_array_equal(mine.train.inputs, theirs.train.inputs)
    assert mine.feature_names == ("x0", "x1", "x2")


def test_images_keep_their_shape_and_an_official_test_part_is_kept() -> None:
    images = RNG.integers(0, 255, (60, 4, 5), dtype=np.uint8)
    prepared = Data(Given(images, CLASSES, official_test=10)).prepare()
    assert prepared.inputs.shape == (4, 5)
    assert prepared.test.targets.tolist() == CLASSES[-10:].tolist()
    assert len(prepared.train) + len(prepared.validation) == 50


def test_named_columns_are_a_table_as_in_a_csv_file(tmp_path: Path) -> None:
    ages = [None if row == 7 else 20 + row for row in range(60)]
    jobs = [None if row == 9 else ("clerk", "nurse")[row % 2] for row in range(60)]
    paid = [row % 5 < 2 for row in range(60)]
    days = [f"2024-01-{1 + row % 28:02}" for row in range(60)]
    lines = ["age,job,paid,day,y"]
    for age, job, has, day, group in zip(ages, jobs, paid, days, CLASSES, strict=True):
        lines.append(f"{'' if age is None else age},{job or ''},{has},{day},{'abc'[group]}")
    (tmp_path / "people.csv").write_text("\n".join(lines))
    columns = {"age": ages, "job": jobs, "paid": np.array(paid), "day": np.array(days, "datetime64[D]")}
    mine = Data(Given(columns, ["abc"[group] for group in CLASSES])).prepare()
    theirs = csv(tmp_path / "people.csv", target="y").prepare()
    assert mine.classes == ("a", "b", "c")
    assert str(mine.cleaning) == str(theirs.cleaning)
    assert "1 missing cell filled" in str(mine.cleaning)
    assert mine.feature_names == theirs.feature_names
    assert mine.fingerprint == theirs.fingerprint
    np.testing.assert_array_equal(mine.train.inputs, theirs.train.inputs)


def test_a_split_may_go_by_one_of_its_columns() -> None:
    days = np.datetime64("2024-01-01", "ns") + np.arange(60)[::-1] * np.timedelta64(1, "D")
    prepared = Data(Given({"x": np.arange(60.0), "day": days}, np.arange(60) / 7), Split(by_time="day")).prepare()
    assert prepared.feature_names == ("x",)
    found = prepared.test.targets * prepared.target_std + prepared.target_mean
    assert sorted(np.rint(found * 7)) == list(range(12))  # the last days


def test_texts() -> None:
    words = [f"{('fine', 'awful')[row % 2]} number {row}" for row in range(60)]
    prepared = Data(Given(Texts(words, vocabulary=4, length=2), np.arange(60) % 2)).prepare()
    assert prepared.inputs.shape == (2,)
    assert prepared.vocabulary == 6
    assert {"fine", "awful", "number"} <= set(prepared.tokens)


@pytest.mark.parametrize(
    ("samples", "named", "message"),
    [
        ((INPUTS, CLASSES[:-1]), {}, "Given: 60 inputs but 59 targets; give one target per input"),
        ((INPUTS[:0], CLASSES[:0]), {}, r"Given: inputs are empty, got shape \(0, 3\); give at least one row"),
        (({"x": []}, []), {}, "Given: there are no samples; give at least one"),
        (({}, CLASSES), {}, "Given: inputs have no columns; give at least one"),
        ((Texts(["a"] * 59), CLASSES), {}, "Given: 59 texts but 60 targets; give one target per text"),
        ((Texts([*"a" * 59, " "]), CLASSES), {}, "Given: texts must be non-empty text, got an empty text at row 59"),
        ((Texts([*"a" * 59, None]), CLASSES), {}, "got a NoneType at row 59; fill it in or drop the row"),
        (([*INPUTS.tolist()[:-1], ["a", 1, 2]], CLASSES), {}, "Given: inputs must be numbers, got <U"),
        ((np.array([["a", 1, 2]] * 60, object), CLASSES), {}, "Given: inputs mix types that are not all numbers"),
        (([[1, 2], [3]], [0, 1]), {}, "Given: inputs cannot be converted to an array: .*; give rows of equal length"),
        ((INPUTS, [*CLASSES[:-1], None]), {}, "Given: targets have 1 missing value, the first at row 59; drop"),
        ((INPUTS, [*CLASSES[:-1], np.nan]), {}, "targets have 1 non-finite value, the first at row 59"),
        ((INPUTS, np.eye(60)), {}, r"Given: targets of shape \(60, 60\) .* one-hot; pass targets.argmax"),
        (({"x": range(59)}, CLASSES), {}, r"Given: column 'x' has shape \(59,\), expected \(60,\): one value"),
        (({"x": [1, "a"] * 30}, CLASSES), {}, "must be all numbers, text, bools or dates, got values of int, str"),
        (({"x": [1, [2]] * 30}, CLASSES), {}, "Given: column 'x' must be all .*, got values of int, list; convert it"),
        (({"x": [[1], [2]] * 30}, CLASSES), {}, r"Given: column 'x' has shape \(60, 1\), expected \(60,\)"),
        (({"x": np.arange(60) * 1j}, CLASSES), {}, "Given: column 'x' must be all .*, got complex128; convert it"),
        (({"x": np.array([1, "a"] * 30, object)}, CLASSES), {}, "column 'x' .*, got values of int, str; convert it"),
        (({3: range(60)}, CLASSES), {}, "Given: a column's name must be a non-empty text, got 3; rename it"),
        ((INPUTS, CLASSES), {"task": "ranking"}, "Given: unknown task 'ranking'; known: .*, multilabel, regression"),
        ((INPUTS, CLASSES), {"official_test": 60}, "official_test must be how many .* from 0 to 59, got 60"),
        ((INPUTS, CLASSES), {"official_test": True}, "official_test must be how many .*, got True"),
    ],
)  # fmt: skip
def test_malformed_samples_are_one_message(samples: tuple, named: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Data(Given(*samples, **named)).prepare()


def test_a_value_that_is_not_finite_is_told_by_its_row_in_its_part() -> None:
    inputs = INPUTS.copy()
    inputs[57, 1] = np.inf
    assert "Given: test inputs have 1 non-finite value, the first at row 7, column 1: inf" in error(
        Given(inputs, CLASSES, official_test=10)
    )


def test_other_answers_than_samples_are_refused() -> None:
    class Pair(DataSource):
        def load(self):
            return INPUTS, CLASSES

    assert error(Pair()) == "Pair.load() must return Samples, got tuple; write return Samples(inputs, targets)"


class Empty(DataSource):
    pass


class Misspelt(DataSource):
    def laod(self) -> Samples:
        return Samples(INPUTS, CLASSES)


class Nearly(DataSource):
    def load(self) -> Samples:
        return Samples(INPUTS, CLASSES)

    def load_int(self, allocate: object) -> Samples:
        return self.load()


class Plain:
    def load(self) -> Samples:
        return Samples(INPUTS, CLASSES)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Empty(), "the data source Empty has no load(); write def load(self): return Samples(inputs, targets)"),
        (Misspelt(), "the data source Misspelt has no load(); it has laod(); did you mean 'load'?"),
        (Nearly(), "Nearly has no member load_into, but load_int; did you mean 'load_into'?"),
        (Nearly, "a data source must be an instance, got the class Nearly; write Nearly(...)"),
    ],
)
def test_an_incomplete_class_fails_at_the_declaration(source: object, message: str) -> None:
    for declare in (lambda: Data(source), lambda: Supervised(source, MLP(layers=1, units=4))):
        with pytest.raises(DataError) as caught:
            declare()
        assert str(caught.value) == message


def test_a_class_that_is_not_derived_says_so() -> None:
    for declare in (lambda: Data(Plain()), lambda: Supervised(Plain(), MLP(layers=1, units=4))):
        with pytest.raises(DataError, match=r"must be a DataSource, got <.*Plain.*>; derive its class from DataSource"):
            declare()
    with pytest.raises(SpecError, match="Supervised data must be an object such as digits"):
        Supervised(3, MLP(layers=1, units=4))


def test_load_of_the_base_says_what_to_write() -> None:
    with pytest.raises(DataError, match="has no load"):
        Empty().load()


def test_a_source_alone_is_data_with_defaults() -> None:
    source = Given(INPUTS, CLASSES)
    assert Supervised(source, MLP(layers=1, units=4)).data == Data(source)


@dataclass(frozen=True)
class Named(DataSource):
    """Fields may have any names but those of the methods."""

    name: str
    data: int = 1

    def load(self) -> Samples:
        return Samples(INPUTS, CLASSES)


def test_reprs_name_the_settings() -> None:
    assert repr(Named("x")) == "Named(name='x', data=1)"
    assert str(Named("x")) == "Named"
    hidden = Given(1, task=None)
    hidden._cache = 3
    assert repr(hidden) == "Given(samples=(1,), named={'task': None})"
    assert repr(Empty()) == "Empty()"
    assert pickle.loads(pickle.dumps(Named("x"))) == Named("x")


@pytest.mark.ray
def test_it_travels_to_ray_workers(tmp_path: Path, local_ray: None) -> None:
    objective = Supervised(
        Given(INPUTS, CLASSES), MLP(layers=1, units=4), Recipe(learning_rate=Float(1e-3, 1e-1), batch_size=16)
    )
    study = Study(
        name="mine", objective=objective, minimize="val_loss", strategy=Random(), trials=2, budget=1, workers=1
    )
    history = study.run(tmp_path / "mine.db", quiet=True)
    assert [trial.state for trial in history.trials] == ["finished", "finished"]


class Drawn(DataSource):
    def load(self) -> Samples:
        return Samples(np.random.default_rng().normal(size=(60, 3)), CLASSES)


class Counting(Nearly):
    """Other data each time that one is made."""

    made = 0

    def __init__(self) -> None:
        Counting.made += 1
        self.shift = Counting.made

    def load(self) -> Samples:
        return Samples(INPUTS + self.shift, CLASSES)


class Unordered(DataSource):
    def load(self) -> Samples:
        return Samples({name: INPUTS[:, 0] * len(name) for name in {"a", "bb", "ccc", "dddd", "eeeee"}}, CLASSES)


class Addressed(Given):
    def __repr__(self) -> str:
        return object.__repr__(self)


class Forgetful(DataSource):
    """Loses what it holds when it is pickled."""

    def __init__(self) -> None:
        self.shift = 1

    def load(self) -> Samples:
        return Samples(INPUTS + self.shift, CLASSES)

    def __setstate__(self, state: dict) -> None:
        self.shift = 0


@pytest.mark.parametrize(
    ("make", "test"),
    [
        (Drawn, "test_loading_again_gives_the_same"),
        (Counting, "test_loading_again_gives_the_same"),
        (Forgetful, "test_it_pickles"),
        (Unordered, "test_a_fresh_process_gives_the_same"),
        (lambda: Addressed(INPUTS, CLASSES), "test_it_has_a_name_and_a_stable_repr"),
        (lambda: Given(INPUTS, CLASSES[1:]), "test_it_loads_samples_of_equal_length"),
        (lambda: Given(INPUTS, CLASSES), "test_other_data_has_another_fingerprint"),
    ],
)
def test_the_contract_notices(tmp_path: Path, make: Callable[[], DataSource], test: str) -> None:
    class Contract(DataSourceContract):
        def make(self, folder: Path) -> DataSource:
            return make()

        def make_changed(self, folder: Path) -> DataSource:
            return make()

    with pytest.raises((AssertionError, DataError)):
        getattr(Contract(), test)(tmp_path)


TABLE = "".join(f"{row % 7},{'pqr'[row % 3]},{'ab'[row % 2]}\n" for row in range(60))


class TestCsv(DataSourceContract):
    def make(self, folder: Path, table: str = TABLE) -> DataSource:
        (folder / "table.csv").write_text("x,word,y\n" + table)
        return csv(folder / "table.csv", target="y").source

    def make_changed(self, folder: Path) -> DataSource:
        return self.make(folder, TABLE.replace("3,p", "4,p", 1))


class TestText(TestCsv):
    def make(self, folder: Path, table: str = TABLE) -> DataSource:
        super().make(folder, table)
        return text(folder / "table.csv", target="y", text="word").source

    def make_changed(self, folder: Path) -> DataSource:
        return self.make(folder, TABLE.replace("3,p", "3,s", 1))


class TestParquet(DataSourceContract):
    def make(self, folder: Path, first: int = 0) -> DataSource:
        rows = [first, *range(1, 60)]
        columns = {"x": rows, "word": [f"w{row % 4}" for row in range(60)], "y": [row % 2 == 0 for row in range(60)]}
        pq.write_table(pa.table(columns), folder / "table.parquet")
        return parquet(folder / "table.parquet", target="y").source

    def make_changed(self, folder: Path) -> DataSource:
        return self.make(folder, first=5)


class TestNpz(DataSourceContract):
    def make(self, folder: Path, shift: float = 0) -> DataSource:
        np.savez(folder / "a.npz", x=INPUTS + shift, y=CLASSES, x_test=INPUTS[:12], y_test=CLASSES[:12])
        return npz(folder / "a.npz", test=("x_test", "y_test")).source

    def make_changed(self, folder: Path) -> DataSource:
        return self.make(folder, shift=1)


class TestIdx(DataSourceContract):
    def make(self, folder: Path, shift: int = 0) -> DataSource:
        images = (np.arange(60 * 12).reshape(60, 3, 4) + shift) % 251
        for name, values in (("images", images), ("labels", CLASSES)):
            sizes = np.array(values.shape, ">u4").tobytes()
            (folder / name).write_bytes(bytes([0, 0, 8, values.ndim]) + sizes + values.astype("u1").tobytes())
        return idx((folder / "images", folder / "labels")).source

    def make_changed(self, folder: Path) -> DataSource:
        return self.make(folder, shift=1)


class TestImageFolder(DataSourceContract):
    def make(self, folder: Path, first: int = 0) -> DataSource:
        for row in range(40):
            path = folder / "images" / "ab"[row % 2] / f"{row:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (4, 3), row or first).save(path)
        return image_folder(folder / "images").source

    def make_changed(self, folder: Path) -> DataSource:
        return self.make(folder, first=99)


class TestArrays(DataSourceContract):
    def make(self, folder: Path) -> DataSource:
        return arrays(INPUTS, CLASSES, test=(INPUTS[:5], CLASSES[:5])).source

    def make_changed(self, folder: Path) -> DataSource:
        return arrays(INPUTS + 1, CLASSES, test=(INPUTS[:5], CLASSES[:5])).source


class TestDataset(DataSourceContract):
    def make(self, folder: Path, shift: float = 0) -> DataSource:
        return dataset(TensorDataset(torch.tensor(INPUTS + shift), torch.tensor(CLASSES))).source

    def make_changed(self, folder: Path) -> DataSource:
        return self.make(folder, shift=1)


class TestDigits(DataSourceContract):
    def make(self, folder: Path) -> DataSource:
        return digits().source


class TestWine(DataSourceContract):
    def make(self, folder: Path) -> DataSource:
        return wine().source


class TestExample(DataSourceContract):
    """The source of examples/own_data_source.py."""

    @pytest.fixture(autouse=True)
    def example(self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.write(tmp_path)
        monkeypatch.setenv("RECORDS", str(tmp_path / "records.jsonl"))
        spec = importlib.util.spec_from_file_location("own_data_source", root / "examples" / "own_data_source.py")
        assert spec is not None
        assert spec.loader is not None
        self.module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "own_data_source", self.module)
        spec.loader.exec_module(self.module)

    def write(self, folder: Path, first: str = "3") -> None:
        values = [first, *map(str, range(1, 60))]
        lines = [f'{{"a": {value}, "b": "w{row % 3}", "bought": {row % 2}}}' for row, value in enumerate(values)]
        (folder / "records.jsonl").write_text("\n".join(lines))

    def make(self, folder: Path) -> DataSource:
        source: DataSource = self.module.JsonLines(folder / "records.jsonl", target="bought")
        return source

    def make_changed(self, folder: Path) -> DataSource:
        self.write(folder, first="null")
        return self.make(folder)
