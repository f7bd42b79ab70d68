"""Texts from files: tokens, the vocabulary that training alone gives, and one clear error for each mistake."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Data, Split, text
from archsearch.search.training.data.samples import Texts
from archsearch.search.training.data.split import split_rows
from archsearch.search.training.data.tokens import fit_tokens, split_text
from archsearch.spaces.errors import DataError


@pytest.fixture
def write(tmp_path):
    def write(content: str, name: str = "texts.csv", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode(encoding))
        return path

    return write


def reviews(rows: int = 40, delimiter: str = ",", **cells: str) -> str:
    """`rows` lines of label, text. Cells like row3_text="x" stand in for those of that row, from 0."""
    lines = [f"label{delimiter}text"]
    for row in range(rows):
        values = {"label": ("good", "bad")[row % 2], "text": ("A fine film", "what a bore !")[row % 2]}
        values |= {name: cells.get(f"row{row}_{name}", value) for name, value in values.items()}
        lines.append(delimiter.join(values.values()))
    return "\n".join(lines) + "\n"


def read(path: Path, **options: object) -> Data:
    return text(path, **({"target": "label", "text": "text"} | options))


def error(data: Data) -> str:
    with pytest.raises(DataError) as caught:
        data.prepare()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("Don't STOP, user_1!!", ["don", "'", "t", "stop", ",", "user_1", "!", "!"]),
        ("  naïve\tcafe\u0301\n", ["naïve", "café"]),
        ("£100 \uff21\uff0c½", ["£", "100", "a", ",", "1", "\u2044", "2"]),
        ("Ünï 你好 мир", ["ünï", "你好", "мир"]),
    ],
)
def test_words(given, words):
    assert split_text(given, "words") == words


def test_characters():
    assert split_text(" 你好\uff0c  World\n", "characters") == ["你", "好", ",", " ", "w", "o", "r", "l", "d"]


@given(st.text(min_size=1).filter(str.strip), st.sampled_from(["words", "characters"]))
def test_no_text_is_without_tokens_and_no_word_holds_white_space(given, tokens):
    found = split_text(given, tokens)
    assert found
    assert tokens == "characters" or not any(character.isspace() for character in "".join(found))


def test_the_most_frequent_come_first_and_ties_by_their_text():
    texts = Texts(("b a c c", "a b c", "d a", "z z z z z z"), "words", 3, 2)
    codes, tokens = fit_tokens(texts, np.array([0, 1, 2]))
    assert tokens == ("", "", "a", "c", "b")  # a and c three times, b twice, d once, z in no training text
    assert codes(np.array([0, 2, 3])).tolist() == [[4, 2], [1, 2], [1, 1]]


def test_texts_are_cut_and_filled_up_to_the_given_length():
    codes, _ = fit_tokens(Texts(("a a a a", "a"), "words", 10, 3), np.array([0, 1]))
    assert codes(np.array([0, 1])).tolist() == [[2, 2, 2], [2, 0, 0]]


def test_without_a_length_nineteen_training_texts_in_twenty_are_not_cut():
    texts = Texts((*("a " * n for n in range(1, 101)), *["a " * 500] * 50), "words", 10, None)
    codes, _ = fit_tokens(texts, np.arange(100))
    assert codes(np.arange(150)).shape == (150, 96)
    assert (codes(np.arange(100))[:, -1] != 0).sum() == 5  # of 96, 97, 98, 99, 100 tokens: four are cut


@given(
    st.lists(st.text(min_size=1).filter(str.strip), min_size=2, max_size=12),
    st.sampled_from(["words", "characters"]),
    st.integers(1, 9),
    st.none() | st.integers(1, 9),
)
def test_codes_lead_back_to_the_tokens(texts, tokens, vocabulary, length):
    train = np.arange(len(texts) // 2)
    codes, names = fit_tokens(Texts(tuple(texts), tokens, vocabulary, length), train)
    inputs = codes(np.arange(len(texts)))
    assert inputs.dtype == np.int32
    assert 2 < len(names) <= vocabulary + 2
    seen = {token for row in train for token in split_text(texts[row], tokens)}
    assert set(names[2:]) <= seen
    for line, source in zip(inputs, texts, strict=True):
        expected = split_text(source, tokens)[: inputs.shape[1]]
        assert [names[code] for code in line[: len(expected)]] == [t if t in names else "" for t in expected]
        assert not line[len(expected) :].any()
        assert line[: len(expected)].all()


def test_what_is_prepared(write):
    prepared = read(write(reviews())).prepare()
    assert (prepared.classes, prepared.task) == (("bad", "good"), "classification")
    assert prepared.tokens == ("", "", "a", "!", "bore", "film", "fine", "what")
    assert prepared.vocabulary == len(prepared.tokens) == 8
    assert prepared.inputs.shape == (4,)
    assert prepared.inputs.vocabulary == 8
    assert prepared.feature_names == ()
    for part in (prepared.train, prepared.validation, prepared.test):
        assert part.inputs.dtype == np.int32
        assert part.inputs.flags.c_contiguous
        for line, target in zip(part.inputs, part.targets, strict=True):
            words = " ".join(prepared.tokens[code] for code in line if code)
            assert words == ("what a bore !", "a fine film")[target]


def test_the_vocabulary_is_that_of_the_training_part_alone(write):
    path = write(reviews(**{f"row{row}_text": f"word{row} common" for row in range(40)}))
    prepared = read(path, split=Split(seed=3)).prepare()
    (rows,) = split_rows(Split(seed=3), 40, labels=np.arange(1, 41) % 2, classes="ab")
    assert set(prepared.tokens[3:]) == {f"word{row}" for row in rows.train}
    assert prepared.tokens[2] == "common"
    np.testing.assert_array_equal(prepared.validation.inputs, [[1, 2]] * len(rows.validation))
    np.testing.assert_array_equal(prepared.test.inputs, [[1, 2]] * len(rows.test))


def test_same_declaration_same_arrays_and_both_pickle(write):
    data = read(write(reviews()), tokens="characters", vocabulary=7, length=5)
    first, second = data.prepare(), pickle.loads(pickle.dumps(data)).prepare()
    assert pickle.loads(pickle.dumps(data)) == data
    assert first.tokens == second.tokens
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(first, part).inputs, getattr(second, part).inputs)
    assert first.without_test().tokens == first.tokens
    assert (first.vocabulary, first.inputs.shape) == (9, (5,))


def test_quotes_in_a_tsv_are_plain_characters(write):
    odd = 'he said "no, and left" twice, "'
    path = write(reviews(delimiter="\t", row0_text=odd, row1_text='"'), "texts.tsv")
    raw = read(path, delimiter="\t").source.load()
    assert raw.inputs.texts[:2] == (odd, '"')
    assert len(raw.targets) == 40


def test_a_csv_may_quote_delimiters_line_breaks_and_quotes(write):
    path = write(reviews(row0_text='"fine, really\nfine ""film"""'))
    assert read(path).source.load().inputs.texts[0] == 'fine, really\nfine "film"'


def test_columns_by_names_by_numbers_and_among_others(write):
    body = reviews(delimiter="\t").partition("\n")[2]
    by_number = text(write(body), target="c0", text="c1", header=False, delimiter="\t")
    by_name = read(write(body), names=["label", "text"], header=False, delimiter="\t")
    assert by_number.prepare().tokens == by_name.prepare().tokens
    wide = "id,text,note,label\n" + "".join(f"{row},text {row % 3},,{row % 2}\n" for row in range(40))
    prepared = read(write(wide)).prepare()
    assert prepared.classes == ("0", "1")
    assert set(prepared.tokens) == {"", "text", "0", "1", "2"}


def test_what_would_be_a_missing_number_is_a_text(write):
    raw = read(write(reviews(row0_text="NA", row1_text="?", row2_text="null", row3_text=" 5 "))).source.load()
    assert raw.inputs.texts[:4] == ("NA", "?", "null", "5")


def test_a_quantity_can_be_predicted(write):
    path = write("text,score\n" + "".join(f"text {row},{row + 0.5}\n" for row in range(40)))
    prepared = text(path, target="score", text="text").prepare()
    assert (prepared.task, prepared.outputs) == ("regression", 1)
    assert prepared.train.targets.mean() == pytest.approx(0, abs=1e-6)


def test_gzip_and_a_mark_at_the_start(tmp_path):
    path = tmp_path / "texts.csv.gz"
    path.write_bytes(gzip.compress(reviews().encode("utf-8-sig")))
    assert read(path).prepare().vocabulary == 8


def test_encodings(write):
    chinese = reviews(row3_text="这部电影很好看")
    path = write(chinese, encoding="gbk")
    assert read(path, encoding="gbk", tokens="characters").source.load().inputs.texts[3] == "这部电影很好看"
    assert (
        "texts.csv', line 5: byte 0xd5 is not valid utf-8-sig; pass the encoding of the file, such as encoding='gbk'"
        in error(read(path))
    )
    assert "line 5: byte 0xbd is not valid gbk" in error(read(write(reviews(row3_text="好")), encoding="gbk"))
    misread = write(reviews(row3_text="这部电影很好看很好看"))
    assert misread.read_bytes().decode("gbk")  # without an error
    assert "texts.csv' is in UTF-8 and would be misread as gbk; omit encoding=" in error(read(misread, encoding="gbk"))
    assert read(misread).source.load().inputs.texts[3] == "这部电影很好看很好看"
    assert "unknown encoding 'gkb'" in error(read(path, encoding="gkb"))


def test_empty_texts_and_missing_labels_are_told_by_line(write):
    empty = error(read(write(reviews(row3_text=" ", row9_text=""))))
    assert "texts.csv', line 5, column 'text': got an empty cell, expected a text; fill in all 2 such cells" in empty
    missing = error(read(write(reviews(row4_label=""))))
    assert "line 6, column 'label': got '', expected a target; fill in this cell" in missing


def test_wrong_columns(write):
    path = write(reviews())
    assert "unknown column 'txt'; known: label, text; did you mean 'text'?" in error(read(path, text="txt"))
    assert "unknown column 'lable'" in error(read(path, target="lable"))
    wrong = error(read(path, delimiter="\t"))
    assert "unknown column 'label'; known: label,text" in wrong
    assert "pass delimiter=','" in wrong
    assert "unknown column 'text'; known: label" in error(read(write("label\na\nb\n")))
    fields = error(read(write(reviews(delimiter="\t", row2_text="two\tfields"), "t.tsv"), delimiter="\t"))
    assert r"line 4: got 3 fields, expected 2; fix the line (a field cannot contain '\t')" in fields


def test_a_single_class_and_a_missing_file(write, tmp_path):
    single = reviews().replace("bad", "good")
    assert "every row has the class 'good'" in error(read(write(single)))
    assert "no file" in error(read(tmp_path / "absent.csv"))
    assert "has a header but no rows" in error(read(write("label,text\n")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "label"}, "column 'label' is both text= and target="),
        ({"tokens": "word"}, "unknown tokens 'word'; known: characters, words; did you mean 'words'?"),
        ({"vocabulary": 0}, "vocabulary must be an integer of at least 1, got 0"),
        ({"vocabulary": 1e4}, "vocabulary must be an integer of at least 1, got 10000.0"),
        ({"length": 0}, "length must be an integer of at least 1, got 0"),
        ({"length": True}, "length must be an integer of at least 1, got True"),
        ({"delimiter": "tab"}, "delimiter must be one character, got 'tab'"),
        ({"task": "classify"}, "unknown task 'classify'"),
    ],
)
def test_illegal_options_fail_at_construction(options, message):
    with pytest.raises(DataError, match=message):
        read(Path("texts.csv"), **options)


def test_a_file_named_tsv_is_read_by_tabs(tmp_path):
    lines = ["label\ttext", *(f"{'ab'[k % 2]}\tsome, words {k}" for k in range(20))]
    for name in ("rows.tsv", "rows.TSV"):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        assert text(tmp_path / name, target="label", text="text").prepare().classes == ("a", "b")
