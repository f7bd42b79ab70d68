"""Data that cannot be used is one line of what, got and fix, before the first trial, and leaves no store behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from archsearch import (
    MLP,
    ArchsearchError,
    Data,
    Float,
    Random,
    Recipe,
    Split,
    Study,
    Supervised,
    arrays,
    csv,
    idx,
    image_folder,
    npz,
    text,
)

Make = Callable[[Path], Data]


def table(folder: Path, *, rows: int = 40, content: str | None = None, **cells: str) -> Path:
    """age, job and y of so many people; cells like row3_age="x" stand in for theirs."""
    lines = ["age,job,y"]
    for row in range(rows):
        values = {"age": str(20 + row % 7), "job": ("clerk", "nurse")[row % 2], "y": ("no", "yes")[row // 2 % 2]}
        lines.append(",".join(cells.get(f"row{row}_{name}", value) for name, value in values.items()))
    path = folder / "people.csv"
    path.write_text("\n".join(lines) if content is None else content, encoding="utf-8")
    return path


def empty(folder: Path, name: str) -> Path:
    (folder / name).touch()
    return folder / name


def pictures(folder: Path) -> Path:
    for number in range(8):
        place = folder / "images" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8) if number else (9, 8)).save(place / f"{number}.png")
    return folder / "images"


def with_a_gap() -> np.ndarray:
    inputs = np.random.default_rng(0).normal(size=(40, 3))
    inputs[7, 2] = np.nan
    return inputs


CLASSES = np.arange(40) % 2

# Each with the message, in which {folder} stands for where the file lies.
BAD: dict[str, tuple[Make, str]] = {
    "unknown target": (
        lambda at: csv(table(at), target="z"),
        "'{folder}/people.csv': unknown column 'z'; known: age, job, y",
    ),
    "misspelt target": (
        lambda at: csv(table(at), target="jib"),
        "'{folder}/people.csv': unknown column 'jib'; known: age, job, y; did you mean 'job'?",
    ),
    "a class with one sample": (
        lambda at: csv(table(at, row3_y="perhaps"), target="y"),
        "class 'perhaps' has 1 sample to split, and 3 parts need at least one each; add samples, or remove the "
        "class or merge it with another (if the target is a quantity, pass task='regression')",
    ),
    "one class": (
        lambda at: arrays(np.random.default_rng(0).normal(size=(40, 3)), ["a"] * 40),
        "every row has the class 'a'; give data with at least two classes",
    ),
    "a word among numbers": (
        lambda at: csv(table(at, row3_age="old", row9_age="4o"), target="y"),
        "'{folder}/people.csv', line 5, column 'age': got 'old', expected a number like 38 of this column's 40 values; "
        "fix all 2 such cells, or pass categorical=['age']",
    ),
    "a word among numbers to predict": (
        lambda at: csv(table(at, row3_age="old"), target="age"),
        "'{folder}/people.csv', line 5, column 'age': got 'old', expected a number as target; fix this cell, or "
        "pass task='classification'",
    ),
    "lines of other lengths": (
        lambda at: csv(table(at, row3_y="no,no", row9_y="no,no"), target="y"),
        "'{folder}/people.csv', line 5: got 4 fields, expected 3; fix the line and 1 more (a field that contains ',' "
        "must be in double quotes)",
    ),
    "an empty table": (
        lambda at: csv(table(at, content=""), target="y"),
        "'{folder}/people.csv' is empty; it needs a header and at least one row",
    ),
    "a table of a header": (
        lambda at: csv(table(at, rows=0), target="y"),
        "'{folder}/people.csv' has a header but no rows; pass header=False if its first line is data",
    ),
    "an empty text": (
        lambda at: text(empty(at, "texts.tsv"), target="y", text="x"),
        "'{folder}/texts.tsv' is empty; it needs a header and at least one row",
    ),
    "no file": (
        lambda at: csv(at / "nowhere.csv", target="y"),
        "no file '{folder}/nowhere.csv' (looked at {folder}/nowhere.csv); check the path",
    ),
    "images of different sizes": (
        lambda at: image_folder(pictures(at)),
        "the images in '{folder}/images' have 2 sizes (height, width), such as (8, 8) and (8, 9); pass size=(8, 8), "
        "the size of 7 of 8, to resize the others",
    ),
    "NaN in the features": (
        lambda at: arrays(with_a_gap(), CLASSES),
        "arrays(): inputs have 1 non-finite value, the first at row 7, column 2: nan; fill them in or drop those rows",
    ),
    "a batch larger than the data": (
        lambda at: arrays(np.random.default_rng(0).normal(size=(40, 3)), CLASSES),
        "batch_size may be 64, but there are only 24 training samples; lower the recipe's batch_size to at most 24",
    ),
    "the wrong encoding": (
        lambda at: csv(_written(table(at, row3_job="护士"), "gbk"), target="y"),
        "'{folder}/people.csv', line 5: byte 0xbb is not valid utf-8-sig; pass the encoding of the file, such as "
        "encoding='gbk', 'latin-1' or 'cp1252'",
    ),
}


def _written(path: Path, encoding: str) -> Path:
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    return path


def study(data: Data, **arguments: Any) -> Study:
    objective = Supervised(data, MLP(layers=1, units=4), Recipe(learning_rate=Float(1e-3, 1e-1)), **arguments)
    return Study(
        name="bad", objective=objective, minimize="val_loss", strategy=Random(), trials=2, budget=1, executor="inline"
    )


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_message_before_the_first_trial(tmp_path, name):
    make, message = BAD[name]
    with pytest.raises(ArchsearchError) as caught:
        study(make(tmp_path)).run(tmp_path / "bad.db", quiet=True)
    assert str(caught.value) == message.replace("{folder}", str(tmp_path))
    assert not list(tmp_path.glob("*.db*"))


def test_a_score_that_is_not_defined_is_told_before_the_first_trial(tmp_path):
    """Three of 103 samples are of the last class, and the five that validate hold none of them."""
    data = arrays(np.eye(103), np.repeat([0, 1, 2], [50, 50, 3]), split=Split(validation=0.05, test=0.05))
    with pytest.raises(ArchsearchError, match=r"the 5 validation samples have none of class '2'; add samples of it"):
        study(data, metrics=["val_auroc"]).run(tmp_path / "bad.db", quiet=True)
    assert not list(tmp_path.glob("*.db*"))


def test_an_empty_file_of_another_kind_is_told_too(tmp_path):
    (tmp_path / "mnist").mkdir()
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        empty(tmp_path / "mnist", name)
    for data in (npz(empty(tmp_path, "data.npz")), idx(tmp_path / "mnist")):
        with pytest.raises(ArchsearchError, match=rf"'{tmp_path}/(data.npz|mnist/train-images.*)'.*; .*") as caught:
            study(data).run(tmp_path / "bad.db", quiet=True)
        assert "\n" not in str(caught.value)
        assert not list(tmp_path.glob("*.db*"))


def test_the_command_tells_it_in_one_line(archsearch, tmp_path):
    table(tmp_path)
    (tmp_path / "spec.py").write_text(
        "from archsearch import MLP, Int, Study, Supervised, csv\n"
        "objective = Supervised(csv('people.csv', target='z'), MLP(layers=Int(1, 2), units=4))\n"
        "study = Study(name='bad', objective=objective, minimize='val_loss', trials=2, budget=1)\n"
    )
    ran = archsearch("run", "spec.py")
    assert ran.returncode == 2
    assert ran.stderr == "error: 'people.csv': unknown column 'z'; known: age, job, y\n"
    assert not list(tmp_path.glob("*.db*"))
