"""Data files as people have them, each with what is right: read as meant, refused with the remedy, or warned of."""

from __future__ import annotations

import bz2
import gzip
import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsearch import MLP, Data, DataError, Prepared, Recipe, Split, Study, Supervised, csv, open_study, text
from archsearch.search.engine.preflight import preflight
from archsearch.search.training.data.summary import data_warnings, summary

ROWS = 40
AGE = [str(20 + row % 7) for row in range(ROWS)]
JOB = [("clerk", "nurse")[row % 2] for row in range(ROWS)]
Y = [("no", "yes")[row // 2 % 2] for row in range(ROWS)]
PRICES = [1000 + 250.5 * row for row in range(ROWS)]


def lines(separator: str = ",", **columns: Sequence[object]) -> str:
    """A file with these columns before `y`."""
    columns = {"y": Y} | columns  # the target may stand among them
    rows = [separator.join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    return "\n".join([separator.join(columns), *rows]) + "\n"


PEOPLE = lines(age=AGE, job=JOB)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(content: str | bytes, name: str = "people.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


def same(left: Prepared, right: Prepared) -> None:
    assert left.feature_names == right.feature_names
    np.testing.assert_allclose(left.train.inputs, right.train.inputs, atol=1e-6)
    np.testing.assert_array_equal(left.train.targets, right.train.targets)


def refusal(data: Data) -> str:
    with pytest.raises(DataError) as caught:
        data.prepare()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Files of the same people, written otherwise: (content, the arguments that read it).
READ: dict[str, tuple[str | bytes, dict[str, Any]]] = {
    "from Windows": (PEOPLE.replace("\n", "\r\n"), {}),
    "from an old Mac": (PEOPLE.replace("\n", "\r"), {}),
    "with blank lines": (PEOPLE.replace("\n", "\n\n"), {}),
    "without an end of the last line": (PEOPLE[:-1], {}),
    "UTF-8 with a mark, from Excel": (b"\xef\xbb\xbf" + PEOPLE.encode(), {}),
    "UTF-16 with a mark, from Excel": (PEOPLE.encode("utf-16"), {}),
    "big-endian UTF-16": (b"\xfe\xff" + PEOPLE.encode("utf-16-be"), {}),
    "UTF-16 without a mark": (PEOPLE.encode("utf-16-le"), {"encoding": "utf-16-le"}),
    "UTF-32": (PEOPLE.encode("utf-32"), {}),
    "gzipped": (gzip.compress(PEOPLE.encode()), {}),
    "zipped": (zipped(people_csv=PEOPLE), {}),
    "all in quotes": ("\n".join('"' + line.replace(",", '","') + '"' for line in PEOPLE.splitlines()), {}),
    "with semicolons": (PEOPLE.replace(",", ";"), {"delimiter": ";"}),
    "with bars": (PEOPLE.replace(",", "|"), {"delimiter": "|"}),
    "with tabs": (PEOPLE.replace(",", "\t"), {"delimiter": "\t"}),
    "in columns of blanks": (
        "".join(f"  {line.replace(',', '   ')} \n" for line in PEOPLE.splitlines()),
        {"delimiter": r"\s+"},
    ),
    "with comment lines": (PEOPLE.replace("\n", "\n# a note\n", 3), {"comment": "#"}),
    "below a title": (f"People,of\nour,town,in,2024\n{PEOPLE}", {"skip_rows": 2}),
    "with the rows numbered by pandas": (
        "\n".join(f"{'' if row == 0 else row - 1},{line}" for row, line in enumerate(PEOPLE.splitlines())),
        {},
    ),
    "with the rows numbered twice": (
        "\n".join(f"{'Unnamed: 0' if row == 0 else row},{line}" for row, line in enumerate(PEOPLE.splitlines())),
        {},
    ),
    "with decimal commas": (lines(";", age=[f"{age},0" for age in AGE], job=JOB), {"delimiter": ";", "decimal": ","}),
    "with a unit": (lines(age=[f"{age} years" for age in AGE], job=JOB), {"units": "years"}),
    "with a typographic minus": (lines(age=[f"\u2212{age}" for age in AGE], job=JOB), {"negative": True}),
}


@pytest.mark.parametrize("kind", READ)
def test_files_that_are_read(kind: str, write: Callable[..., Path]) -> None:
    content, options = READ[kind]
    options = dict(options)
    plain = lines(age=[f"-{age}" for age in AGE], job=JOB) if options.pop("negative", False) else PEOPLE
    same(csv(write(content), target="y", **options).prepare(), csv(write(plain, "plain.csv"), target="y").prepare())


def numbers(written: Sequence[str], **options: Any) -> tuple[str, dict[str, Any]]:
    """Prices in some notation, with the arguments that read it."""
    return lines("|", price=written, other=AGE), options


NOTATIONS = {
    "decimal comma": numbers([f"{price:.2f}".replace(".", ",") for price in PRICES], decimal=","),
    "thousands": numbers([f"{price:,.1f}" for price in PRICES], thousands=","),
    "thousands, German": numbers(
        [f"{price:,.1f}".replace(",", "_").replace(".", ",").replace("_", ".") for price in PRICES],
        decimal=",",
        thousands=".",
    ),
    "thousands, Swiss": numbers([f"{price:,.1f}".replace(",", "'") for price in PRICES], thousands="'"),
    "thousands, French": numbers(
        [f"{price:,.1f}".replace(",", "\u202f").replace(".", ",") for price in PRICES], decimal=",", thousands=" "
    ),
    "thousands in some rows": numbers(
        [str(price) if price < 8000 else f"{price:,}" for price in PRICES], thousands=","
    ),
    "dollars": numbers([f"${price}" for price in PRICES], units=["$"]),
    "dollars and thousands": numbers([f"$ {price:,}" for price in PRICES], thousands=",", units=["$"]),
    "euros behind": numbers([f"{price} €" for price in PRICES], units=["€"]),
    "negative dollars": numbers([f"-${price}" for price in PRICES], units=["$"]),
    "per cent": numbers([f"{price}%" for price in PRICES], units=["%"]),
    "kilograms": numbers([f"{price}kg" for price in PRICES], units=["kg"]),
    "speeds": numbers([f"{price} km/h" for price in PRICES], units=["km/h"]),
    "degrees": numbers([f"{price}°C" for price in PRICES], units=["°C"]),
}


@pytest.mark.parametrize("target", ["y", "price"])
@pytest.mark.parametrize("notation", NOTATIONS)
def test_numbers_in_another_notation_are_refused_with_the_arguments_that_read_them(
    notation: str, target: str, write: Callable[..., Path]
) -> None:
    content, options = NOTATIONS[notation]
    path = write(content)
    told = refusal(csv(path, target=target, delimiter="|"))
    assert "column 'price': got " in told
    assert "a number in another notation" in told
    assert f"pass {', '.join(f'{name}={value!r}' for name, value in options.items())}" in told
    samples = csv(path, target=target, delimiter="|", **options).source.load()
    read = samples.targets if target == "price" else samples.inputs["price"]
    np.testing.assert_allclose(np.abs(read), PRICES)
    kept = {"task": "classification"} if target == "price" else {"categorical": "price"}
    csv(path, target=target, delimiter="|", **kept).source.load()


def test_a_notation_beside_another_is_refused_too(write: Callable[..., Path]) -> None:
    euros = [f"{price} €" for price in PRICES]
    path = write(lines("|", price=euros, rate=[f"{row}.5%" for row in range(ROWS)]))
    assert "column 'rate': got '0.5%', a number in another" in (
        told := refusal(csv(path, target="y", delimiter="|", units="€"))
    )
    assert "pass units=['€', '%']" in told
    assert len(csv(path, target="y", delimiter="|", units=["€", "%"]).prepare().feature_names) == 2
    path = write(lines("|", price=[f"{price},5" for price in range(ROWS)], rate=PRICES))
    told = refusal(csv(path, target="y", delimiter="|", decimal=","))
    assert (
        "column 'rate': got '1000.0', a number in another notation, as in 40 of 40 rows; write numbers as decimal=','"
        in told
    )


@pytest.mark.parametrize(
    "names",
    [
        ["2wd", "4wd"] * 20,
        ["Q1", "Q2", "Q3", "Q4"] * 10,
        ["1st", "2nd", "3rd", "4th"] * 10,
        ["10-19", "20-29"] * 20,
        ["5A", "5B", "7C", "8D"] * 10,
        ["12:30", "17:45"] * 20,
    ],
)
def test_names_with_digits_stay_categories(names: list[str], write: Callable[..., Path]) -> None:
    prepared = csv(write(lines(age=AGE, name=names)), target="y").prepare()
    assert set(prepared.feature_names) == {"age", *(f"name={name}" for name in names)}


# Files that are refused: (content, arguments, what is told).
REFUSED: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "semicolons": (PEOPLE.replace(",", ";"), {}, "unknown column 'y'; known: y;age;job; pass delimiter=';'"),
    "tabs": (PEOPLE.replace(",", "\t"), {}, r"pass delimiter='\t'"),
    "semicolons and decimal commas": (lines(";", a=["1,5"] * ROWS, b=["2,5"] * ROWS), {}, "pass delimiter=';'"),
    "blanks": (PEOPLE.replace(",", "   "), {}, r"pass delimiter=r'\s+'"),
    "one blank where there are several": (PEOPLE.replace(",", "   "), {"delimiter": " "}, r"pass delimiter=r'\s+'"),
    "comments": (f"# made by a program, version 3\n{PEOPLE}", {}, "pass comment='#'"),
    "a title": (f"People of our town\n\n{PEOPLE}", {}, "line 3: got 3 fields, expected 1; pass skip_rows=2"),
    "a title and semicolons": (f"People\n{PEOPLE}".replace(",", ";"), {}, "pass delimiter=';', skip_rows=1"),
    "no header": (PEOPLE.partition("\n")[2], {}, "if the first line is data, pass header=False"),
    "a footer": (f"{PEOPLE}Total: 40\n", {}, "line 42: got 1 field, expected 3; fix the line"),
    "units in the second line": (PEOPLE.replace("\n", "\n-,years,-\n", 1), {}, "line 2, column 'age': got 'years'"),
    "a header without the row names, from R": (
        PEOPLE.replace("\n", "\nr1,").removesuffix("r1,"),
        {},
        "name the first column in the header",
    ),
    "inches": (lines(size=['"5" pipe'] * ROWS), {}, "fix the quotes of this record, or pass quotes=False"),
    "tabs and stray quotes": (
        lines("\t", size=['"5" pipe'] * ROWS, note=["a, b"] * ROWS),
        {},
        "pass delimiter='\\t', quotes=False",
    ),
    "free text": (
        "y,note\n" + "".join(f"{row % 2},the {row} th visit was long and dull\n" for row in range(1200)),
        {},
        "if it is free text, see text()",
    ),
    "None among numbers": (
        lines(age=[age if row % 3 else "None" for row, age in enumerate(AGE)]),
        {},
        "pass missing=['None'], else categorical=['age']",
    ),
    "German dates": (
        lines(day=[f"{row % 28 + 1:02}.03.2024" for row in range(ROWS)], age=AGE),
        {},
        "line 2, column 'day': got '01.03.2024', which looks like a date, as do all values; pass "
        "dates={'day': '%d.%m.%Y'}, categorical=['day']",
    ),
    "dates of unclear order": (lines(day=["03/04/2024"] * ROWS), {}, "pass dates={'day': '%d/%m/%Y'} (or '%m/%d/%Y')"),
    "latin-1": (PEOPLE.replace("clerk", "médecin").encode("latin-1"), {}, "pass the encoding of the file"),
    "UTF-16 without a mark": (PEOPLE.encode("utf-16-le"), {}, "pass encoding='utf-16-le'"),
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", {}, "an Excel workbook of the old kind (.xls)"),
    "a Parquet file": (b"PAR1\x15\x04", {}, "is a Parquet file, not a CSV file; use parquet()"),
    "several files in a zip": (zipped(a_csv=PEOPLE, b_csv=PEOPLE), {}, "a zip file with 2 files (a.csv, b.csv)"),
    "a damaged zip": (zipped(a_csv=PEOPLE)[:60], {}, "a zip file that cannot be read"),
    "bzip2": (bz2.compress(PEOPLE.encode()), {}, "compressed with bzip2"),
    "a web page": ("<!DOCTYPE html>\n<html>", {}, "is a web page"),
    "a pointer": ("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", {}, "run `git lfs pull`"),
    "too few lines": (PEOPLE, {"skip_rows": 100}, "has no more than the 100 lines of skip_rows="),
    "a sheet of a text": (PEOPLE, {"sheet": "a"}, "is no Excel workbook; omit sheet="),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_files_that_are_refused(kind: str, write: Callable[..., Path]) -> None:
    content, options, told = REFUSED[kind]
    assert told in refusal(csv(write(content), target="y", **options))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"decimal": ",", "thousands": ","}, "decimal and thousands are both ','"),
        ({"decimal": "comma"}, "decimal must be one mark"),
        ({"units": [""]}, "units must be texts"),
        ({"missing": [None]}, "missing must be texts"),
        ({"comment": " "}, "comment must be what comment lines begin with"),
        ({"skip_rows": -1}, "skip_rows must be how many lines"),
        ({"dates": {"y": "%Y"}}, "target column 'y' is listed in dates="),
    ],
)
def test_arguments_that_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        csv("people.csv", target="y", **options)


def test_missing_marks_of_ones_own(write: Callable[..., Path]) -> None:
    age = ["None", "-200", "-200.0", "#N/A", "<NA>", *AGE[5:]]
    job = ["none", "#N/A", *JOB[2:]]
    samples = csv(write(lines(age=age, job=job)), target="y", missing=("None", -200)).source.load()
    assert np.isnan(samples.inputs["age"]).tolist() == [True] * 5 + [False] * 35
    assert samples.inputs["job"].categories == ("", "clerk", "nurse")


def test_dates_become_numbers_and_parts(write: Callable[..., Path]) -> None:
    iso = [f"2024-{1 + row % 12:02}-{1 + row % 28:02}" for row in range(ROWS)]
    german = [f"{day[8:]}.{day[5:7]}.{day[:4]}" for day in iso]
    read = csv(write(lines(when=iso)), target="y", scaling="min_max").prepare()
    assert read.feature_names == ("when", "when.month", "when.weekday")  # one year, and no hours
    same(csv(write(lines(when=german)), target="y", scaling="min_max", dates={"when": "%d.%m.%Y"}).prepare(), read)
    times = [f"{day}T{row % 24:02}:30" for row, day in enumerate(iso)]
    assert "when.hour" in csv(write(lines(when=["", *times[1:]])), target="y").prepare().feature_names
    assert "when=2024-02-14" in csv(write(lines(when=iso)), target="y", categorical="when").prepare().feature_names
    wrong = refusal(csv(write(lines(when=iso)), target="y", dates={"when": "%d.%m.%Y"}))
    assert "line 2, column 'when': got '2024-01-01', expected a date like '%d.%m.%Y'" in wrong


def test_a_date_is_the_right_day() -> None:
    from archsearch.search.training.data.dates import DateColumn, iso_seconds

    seconds = [iso_seconds(text) for text in ("2024-02-29", "1969-12-31T23:00", "2024-02-29 01:00+01:00", "2024-02-30")]
    assert seconds[3] is None
    parts = DateColumn("t", np.array([*seconds[:3], np.nan], dtype=float)).inputs()
    assert [values.tolist()[:3] for values in parts.values()][1:] == [
        [2024, 1969, 2024],
        [2, 12, 2],
        [3, 2, 3],  # Thursday, Wednesday, Thursday
        [0, 23, 0],
    ]
    assert all(np.isnan(values[3]) for values in parts.values())


# Tables in which something is probably not meant: (columns, what is warned of).
WARNED: dict[str, tuple[dict[str, Sequence[object]], str]] = {
    "row numbers": (
        {"row": range(7, 47)},
        "column 'row' counts the rows; if it is no input, leave it out: drop=['row']",
    ),
    "an id": ({"user_id": [row * 17 % 997 for row in range(ROWS)]}, "column 'user_id' looks like an identifier"),
    "shuffled numbers": ({"case": [row * 7 % ROWS for row in range(ROWS)]}, "column 'case' looks like an identifier"),
    "codes": ({"uuid": [f"a{row}" for row in range(ROWS)]}, "column 'uuid' looks like an identifier"),
    "two of them": (
        {"id": [f"a{row}" for row in range(ROWS)], "key": [f"b{row}" for row in range(ROWS)]},
        "columns 'id', 'key' look like identifiers; if they are no inputs, leave them out: drop=['id', 'key']",
    ),
    "free text": (
        {"note": [f"the {row} th visit was long and dull" for row in range(ROWS)]},
        "'note' looks like free text",
    ),
    "rare categories": (
        {"town": [f"town {row}" if row < 30 else "x" for row in range(ROWS)]},
        "column 'town': 30 of its 31 categories occur once",
    ),
    "a number for a missing one": (
        {"co": [-200 if row % 5 == 0 else row / 7 for row in range(ROWS)]},
        "column 'co' has the number -200 in 8 rows, far from all others; if it stands for a missing value, pass "
        "missing=['-200']",
    ),
    "dates as numbers": ({"day": [20240101 + row % 28 for row in range(ROWS)]}, "pass dates={'day': '%Y%m%d'}"),
    "spellings": ({"job": ["Nurse", "nurse", "clerk", "clerk "] * 10}, "'Nurse' and 'nurse'; write them alike"),
    "classes": ({"y": ["yes", "Yes", "no", "no."] * 10}, "classes that differ only by case, blanks or a final dot: "),
}


@pytest.mark.parametrize("kind", WARNED)
def test_what_is_warned_of(kind: str, write: Callable[..., Path]) -> None:
    columns, told = WARNED[kind]
    prepared = csv(write(lines(age=AGE, **columns)), target="y", split=Split(0.2, 0.2)).prepare()
    assert [told in warning for warning in data_warnings(prepared)] == [True]


def test_ordinary_tables_are_not_warned_of(write: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    columns = {
        "age": AGE,
        "job": JOB,
        "flag": [row % 2 for row in range(ROWS)],
        "income": rng.integers(1000, 9000, ROWS),
        "score": rng.normal(size=ROWS),
        "debt": [0] * 30 + list(rng.integers(10, 99, 10)),
    }
    assert data_warnings(csv(write(lines(**columns)), target="y").prepare()) == ()


def test_the_summary_tells_what_the_table_was_taken_for(write: Callable[..., Path]) -> None:
    numbered = [f"{'' if row == 0 else row},{line}" for row, line in enumerate(PEOPLE.splitlines())]
    prepared = csv(write("\n".join(numbered)), target="y").prepare()
    assert summary(prepared) == (
        "classification: no (50.0%), yes (50.0%); 1 number, 1 category, 1 column left out (c0: row numbers) → 3 inputs"
        "; 40 rows, 2 columns; 0 missing cells filled, 0 constant columns dropped"
    )
    days = [f"2024-01-{1 + row % 28:02}" for row in range(ROWS)]
    prepared = csv(write(lines(day=days, x=range(ROWS), y=PRICES)), target="y", drop="x").prepare()
    assert summary(prepared).startswith("regression: targets from 1000 to ")
    assert "; 1 date, 1 column left out (x) → 2 inputs; 40 rows, 1 column;" in summary(prepared)


def test_the_summary_and_the_warnings_are_shown_by_check_run_and_the_report(
    write: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = csv(write(lines(age=AGE, row=range(ROWS))), target="y")
    network = MLP(layers=1, units=4)
    study = Study(
        name="people",
        objective=Supervised(data, network, Recipe(batch_size=8)),
        maximize="val_accuracy",
        budget=1,
        trials=1,
    )
    told, warned = "classification: no (50.0%), yes (50.0%); 2 numbers → 2 inputs", "column 'row' counts the rows"
    found = preflight(study, 1)
    assert found.data.startswith(told)
    assert any(warned in warning for warning in found.warnings)
    study.run(tmp_path / "people.db")
    shown = capfd.readouterr().err
    assert f"data: {told}" in shown
    assert f"warning: {warned}" in shown
    assert open_study(tmp_path / "people.db").made_with["data"].startswith(told)


def test_texts_in_a_quoted_tsv(write: Callable[..., Path]) -> None:
    rows = [f'{y}\t"He said ""{row}"", and\tleft"' for row, y in enumerate(Y)]
    path = write("\n".join(["y\tnote", *rows]), "notes.tsv")
    assert "pass quotes=True" in refusal(text(path, target="y", text="note"))
    assert text(path, target="y", text="note", quotes=True).source.load().inputs.texts[0] == 'He said "0", and\tleft'
    plain = write("\n".join(["y\tnote", *(f'{y}\t5" pipe' for y in Y)]), "pipes.tsv")
    assert text(plain, target="y", text="note").source.load().inputs.texts[0] == '5" pipe'


def workbook(*sheets: str) -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name in sheets:
        sheet = book.create_sheet(name)
        for line in PEOPLE.splitlines():
            sheet.append([int(cell) if cell.isdigit() else cell for cell in line.split(",")])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def test_a_workbook_is_read(write: Callable[..., Path]) -> None:
    plain = csv(write(PEOPLE), target="y").prepare()
    same(csv(write(workbook("one"), "p.xlsx"), target="y").prepare(), plain)
    several = write(workbook("one", "two"), "p.xlsx")
    assert "has 2 sheets; choose one, such as sheet='one' (of one, two)" in refusal(csv(several, target="y"))
    assert "unknown sheet 'tow'" in refusal(csv(several, target="y", sheet="tow"))
    same(csv(several, target="y", sheet="two").prepare(), plain)


def test_a_workbook_without_openpyxl(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    path = write(buffer.getvalue(), "people.xlsx")
    assert "run `pip install openpyxl` to read it, or save the sheet as CSV" in refusal(csv(path, target="y"))
