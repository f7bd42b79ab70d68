"""CSV files: mixed columns, missing values, and an error with file, line and column for each mistake."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from archsearch import Data, Prepared, Split, csv
from archsearch.search.training.data.split import split_rows
from archsearch.spaces.errors import DataError


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "people.csv", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


def people(rows: int = 40, **cells: str) -> str:
    """`rows` lines of age, job, y. Cells like row3_age="x" stand in for those of that row, from 0."""
    lines = ["age,job,y"]
    for row in range(rows):
        values = {"age": str(20 + row % 7), "job": ("clerk", "nurse")[row % 2], "y": ("no", "yes")[row // 2 % 2]}
        values |= {name: cells.get(f"row{row}_{name}", value) for name, value in values.items()}
        lines.append(",".join(values.values()))
    return "\n".join(lines) + "\n"


def column(prepared: Prepared, name: str) -> np.ndarray:
    """The training part's values of one feature."""
    return prepared.train.inputs[:, prepared.feature_names.index(name)]


def everything(prepared: Prepared) -> np.ndarray:
    parts = (prepared.train, prepared.validation, prepared.test)
    return np.concatenate([part.inputs for part in parts if part is not None])


def error(data: Data) -> str:
    with pytest.raises(DataError) as caught:
        data.prepare()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_numbers_are_standardised_and_words_become_one_column_each(write):
    prepared = csv(write(people()), target="y").prepare()
    assert prepared.feature_names == ("age", "job=clerk", "job=nurse")
    assert prepared.classes == ("no", "yes")
    assert column(prepared, "age").mean() == pytest.approx(0, abs=1e-6)
    assert column(prepared, "age").std() == pytest.approx(1, abs=1e-5)
    assert set(column(prepared, "job=clerk")) == {0.0, 1.0}
    assert (everything(prepared)[:, 1:].sum(axis=1) == 1).all()


def test_a_column_of_numbers_can_be_taken_as_categories(write):
    prepared = csv(write(people()), target="y", categorical="age").prepare()
    assert "age=20" in prepared.feature_names


def test_dropped_columns_are_not_seen_even_when_malformed(write):
    prepared = csv(write(people(row3_age="old")), target="y", drop=["age"]).prepare()
    assert prepared.feature_names == ("job=clerk", "job=nurse")


@pytest.mark.parametrize("token", ["", "NA", "n/a", "NaN", "NULL", "?", " ? "])
def test_missing_values(write, token):
    cells = {"row4_age": token, "row5_job": token, "row6_job": token, "row7_job": token, "row8_job": token}
    prepared = csv(write(people(**cells)), target="y", split=Split(0.1, 0.1)).prepare()
    assert np.isfinite(everything(prepared)).all()
    assert "job=(missing)" in prepared.feature_names


def test_a_missing_number_is_the_median_of_the_training_part_alone(write):
    (rows,) = split_rows(Split(), 40)
    ages = np.full(40, 1e6)  # whatever is not training is far away, and so would be its median
    ages[rows.train] = np.arange(len(rows.train)) ** 2
    gap = rows.train[-1]
    known = ages[rows.train[:-1]]
    text = "age,y\n" + "".join(f"{'' if row == gap else age},{row + 0.5}\n" for row, age in enumerate(ages))
    prepared = csv(write(text), target="y").prepare()
    filled = np.append(known, np.median(known))
    np.testing.assert_allclose(column(prepared, "age"), (filled - filled.mean()) / filled.std(), rtol=1e-5)


def test_a_category_that_training_has_not_seen_is_all_zeros(write):
    path = write(people(row0_job="astronaut"))
    for seed in range(40):
        prepared = csv(path, target="y", split=Split(seed=seed)).prepare()
        if "job=astronaut" not in prepared.feature_names:
            assert (everything(prepared)[:, 1:].sum(axis=1) == 0).sum() == 1
            return
    pytest.fail("no seed put the astronaut outside the training part")


def test_as_codes_each_column_is_one_input_and_counts_what_training_has_seen(write):
    text = people(row4_job="", row5_job="?", row6_job="NA", row7_job="cook", row8_job="cook", row9_job="cook")
    coded = csv(write(text), target="y", categories="codes").prepare()
    one_hot = csv(write(text), target="y").prepare()
    assert coded.feature_names == ("age", "job")
    assert one_hot.feature_names == ("age", "job=(missing)", "job=clerk", "job=cook", "job=nurse")
    assert coded.inputs.categories == (5,)
    assert one_hot.inputs.categories == ()
    for codes, columns in zip(everything(coded), everything(one_hot), strict=True):
        assert codes[0] == columns[0]
        assert columns[1:].tolist() == [float(code == codes[1]) for code in range(1, 5)]


def test_a_code_is_0_for_what_training_has_not_seen(write):
    path = write(people(row0_job="astronaut", row1_job=""))
    found = set()
    for seed in range(40):
        (rows,) = split_rows(Split(seed=seed), 40, labels=np.arange(40) // 2 % 2, classes="ab")
        prepared = csv(path, target="y", categories="codes", split=Split(seed=seed)).prepare()
        unseen = {0, 1} - set(rows.train)
        assert prepared.categories == (5 - len(unseen),)
        assert (everything(prepared)[:, 1] == 0).sum() == len(unseen)
        assert prepared.train.inputs[:, 1].min() == 1
        found.add(len(unseen))
    assert found == {0, 1, 2}


def test_codes_come_in_the_order_of_their_columns_after_the_numbers(write):
    text = "job,age,town,y\n" + "".join(f"{'abc'[n % 3]},{n},{'xyzuv'[n % 5]},{n % 2}\n" for n in range(60))
    prepared = csv(write(text), target="y", categories="codes", split=Split(0.2, 0.2)).prepare()
    assert prepared.feature_names == ("age", "job", "town")
    assert prepared.inputs.categories == (4, 6)
    assert prepared.inputs.shape == (3,)


def test_numbers_can_be_taken_as_codes_and_a_file_without_categories_has_none(write):
    path = write(people())
    assert csv(path, target="y", categories="codes", categorical="age").prepare().categories == (8, 3)
    assert csv(path, target="y", categories="codes", drop="job").prepare().categories == ()


def test_a_column_that_is_missing_throughout_training(write):
    path = write(people(**{f"row{row}_age": "" for row in range(1, 40)}))
    prepared = [csv(path, target="y", split=Split(seed=seed)).prepare() for seed in range(20)]
    assert any("age" not in each.feature_names for each in prepared)
    assert all(np.isfinite(everything(each)).all() for each in prepared)


def test_no_header_generated_and_given_names(write):
    path = write(people().partition("\n")[2])
    assert csv(path, target="c2", header=False).prepare().feature_names == ("c0", "c1=clerk", "c1=nurse")
    named = csv(path, target="y", header=False, names=["age", "job", "y"]).prepare()
    assert named.feature_names[0] == "age"
    assert "names= gives 2" in error(csv(path, target="y", header=False, names=["age", "y"]))


def test_dialects(write, tmp_path):
    plain = csv(write(people()), target="y").prepare()
    semicolons = csv(write(people().replace(",", ";"), "s.csv"), target="y", delimiter=";").prepare()
    marked = csv(write("\ufeff" + people().replace("\n", "\r\n"), "bom.csv"), target="y").prepare()
    spaced = csv(write(people().replace(",", " , "), "spaced.csv"), target="y").prepare()
    packed = tmp_path / "people.csv.gz"
    packed.write_bytes(gzip.compress(people().encode()))
    for other in (semicolons, marked, spaced, csv(packed, target="y").prepare()):
        np.testing.assert_array_equal(plain.train.inputs, other.train.inputs)
        assert plain.feature_names == other.feature_names


def test_numbers_as_target_are_a_regression_and_few_whole_ones_classes(write):
    prices = "x,price\n" + "".join(f"{row},{row * 1.5}\n" for row in range(40))
    assert csv(write(prices), target="price").prepare().task == "regression"
    grades = "x,grade\n" + "".join(f"{row},{row % 3}\n" for row in range(40))
    prepared = csv(write(grades), target="grade").prepare()
    assert (prepared.task, prepared.classes) == ("classification", ("0", "1", "2"))
    assert csv(write(grades), target="grade", task="regression").prepare().task == "regression"


def test_an_odd_value_among_numbers_is_told_by_line_and_column(write):
    path = write(people(row3_age="4o"))
    text = error(csv(path, target="y"))
    assert f"'{path}', line 5, column 'age': got '4o', expected a number" in text
    assert "categorical=['age']" in text
    assert csv(path, target="y", categorical=["age"]).prepare().feature_names[0] == "age=20"


@pytest.mark.parametrize("value", ["inf", "-Infinity", "1_000", "1e999"])
def test_what_only_python_calls_a_number_is_odd(write, value):
    assert f"got '{value}'" in error(csv(write(people(row3_age=value)), target="y"))


def test_lines_are_counted_over_blank_lines_and_quoted_line_breaks(write):
    text = 'note,age,y\n\n"two\nlines",5,a\nx,6,b,extra\n'
    assert "line 5: got 4 fields, expected 3" in error(csv(write(text), target="y"))


def test_wrong_field_counts(write):
    text = people().replace("21,nurse,no\n", "21,nurse\n", 1)
    assert "people.csv', line 3: got 2 fields, expected 3; fix the line" in error(csv(write(text), target="y"))


def test_an_unclosed_quote_does_not_swallow_the_rest(write):
    text = people().replace("nurse", '"nurse', 1)
    assert "line 3: unexpected end of data; fix the quotes" in error(csv(write(text), target="y"))


def test_unknown_columns(write):
    path = write(people())
    assert "unknown column 'ae'; known: age, job, y; did you mean 'age'?" in error(csv(path, target="ae"))
    assert "unknown column 'jobs'" in error(csv(path, target="y", categorical=["jobs"]))
    assert "unknown column 'z'" in error(csv(path, target="y", drop="z"))
    assert "known: age,job,y; pass delimiter=','" in error(csv(path, target="y", delimiter=";"))
    assert "is delimiter=';' right?" in error(csv(write("x\n1\n2\n"), target="y", delimiter=";"))


def test_files_that_cannot_be_read(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"no file 'absent.csv' (looked at {tmp_path / 'absent.csv'})" in error(csv("absent.csv", target="y"))
    assert "is a folder" in error(csv(tmp_path, target="y"))
    assert "is empty" in error(csv(write(""), target="y"))
    assert "is empty" in error(csv(write("\n\n"), target="y"))
    assert "has a header but no rows" in error(csv(write("age,job,y\n"), target="y"))
    assert "two columns named 'y'" in error(csv(write("x,y,y\n1,2,3\n"), target="y"))
    assert "no column but the target" in error(csv(write("y\na\nb\n"), target="y"))


def test_encodings(write):
    path = write(people(row3_job="médecin"), encoding="latin-1")
    assert "line 5: byte 0xe9 is not valid utf-8-sig; pass the encoding of the file" in error(csv(path, target="y"))
    assert csv(path, target="y", encoding="latin-1").prepare().classes == ("no", "yes")
    assert "unknown encoding 'utf-9'" in error(csv(path, target="y", encoding="utf-9"))


def test_targets_must_be_there_and_of_one_kind(write):
    missing = error(csv(write(people(row3_y="NA", row9_y="")), target="y"))
    assert "line 5, column 'y': got 'NA', expected a target" in missing
    assert "fill in all 2 such cells" in missing
    odd = "x,price\n" + "".join(f"{row},{'free' if row == 7 else row * 1.5}\n" for row in range(40))
    assert "line 9, column 'price': got 'free', expected a number as target" in error(csv(write(odd), target="price"))
    assert "got 'no', expected a number" in error(csv(write(people()), target="y", task="regression"))


def test_columns_that_cannot_be_inputs(write):
    empty = people(**{f"row{row}_age": "" for row in range(40)})
    assert "column 'age' has no value in any row; pass drop=['age']" in error(csv(write(empty), target="y"))
    names = "name,y\n" + "".join(f"person-{row},{row % 2}\n" for row in range(1500))
    told = error(csv(write(names), target="y"))
    assert "column 'name' has 1,500 distinct texts such as 'person-0', expected at most 1,000 categories" in told
    assert "drop=['name']), or write numbers as 1234.5; categories='codes' allows" in told


def test_as_codes_there_may_be_more_categories_where_each_has_two_rows(write):
    twice = "name,y\n" + "".join(f"person-{row % 1100},{row % 2}\n" for row in range(2200))
    assert csv(write(twice), target="y", categories="codes").prepare().categories[0] > 900
    once = "name,y\n" + "".join(f"person-{row},{row % 2}\n" for row in range(2200))
    told = error(csv(write(once), target="y", categories="codes"))
    assert "2,200 distinct texts such as 'person-0', expected at most 1,100 categories" in told
    assert "codes" not in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": ",,"}, "delimiter must be one character"),
        ({"task": "classify"}, "unknown task 'classify'"),
        ({"categories": "onehot"}, "unknown categories 'onehot'; known: codes, one_hot; did you mean 'one_hot'?"),
        ({"drop": ["y"]}, "target column 'y' is listed in drop="),
        ({"categorical": "y"}, "target column 'y' is listed in categorical="),
    ],
)
def test_illegal_options_fail_at_construction(options, message):
    with pytest.raises(DataError, match=message):
        csv("people.csv", target="y", **options)


def test_only_categories_of_the_training_part_become_inputs(write):
    path = write(people(40, **{f"row{row}_job": f"job{row}" for row in range(40)}))
    prepared = csv(path, target="y", drop="age").prepare()
    assert len(prepared.feature_names) == len(prepared.train) == 24
    assert not prepared.test.inputs.any()
