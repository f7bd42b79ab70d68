"""A folder of images per class: exact pixels, sizes and colours, and an error that names what to fix."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsearch import Data, Split, image_folder
from archsearch.spaces.errors import DataError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 6, 5), np.uint8)
COLOUR = RNG.integers(0, 256, (20, 6, 5, 3), np.uint8)


def save(path: Path, values: np.ndarray, mode: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    (image if mode is None else image.convert(mode)).save(path)
    return path


def fill(folder: Path, images: np.ndarray = GREY, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    """Image n is of class n modulo their number, and called n.png."""
    for number, values in enumerate(images):
        save(folder / classes[number % len(classes)] / f"{number:02}.png", values)
    return folder


def error(data: Data) -> str:
    with pytest.raises(DataError) as caught:
        data.prepare()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pixels_and_classes_in_the_order_of_their_names(tmp_path):
    raw = image_folder(fill(tmp_path)).source.load()
    assert raw.inputs.dtype == np.uint8  # a quarter of the floats that a network is given
    np.testing.assert_array_equal(raw.inputs, np.concatenate([GREY[0::2], GREY[1::2]]))
    assert raw.targets.tolist() == ["cat"] * 10 + ["dog"] * 10
    prepared = image_folder(tmp_path).prepare()
    assert (prepared.inputs.shape, prepared.classes, prepared.task) == ((6, 5), ("cat", "dog"), "classification")
    assert prepared.train.inputs.mean() == pytest.approx(0, abs=1e-5)
    assert prepared.train.inputs.std() == pytest.approx(1, abs=1e-5)


def test_classes_that_are_called_by_numbers_stay_classes(tmp_path):
    prepared = image_folder(fill(tmp_path, classes=("10", "9")), split=Split(seed=2)).prepare()
    assert prepared.classes == ("10", "9")


def test_colour_has_its_channels_first(tmp_path):
    raw = image_folder(fill(tmp_path, COLOUR)).source.load()
    assert raw.inputs.shape == (20, 3, 6, 5)
    np.testing.assert_array_equal(raw.inputs[3], COLOUR[6].transpose(2, 0, 1))


def test_one_coloured_image_makes_all_coloured_unless_channels_says_otherwise(tmp_path):
    fill(tmp_path)
    save(tmp_path / "dog" / "19.png", COLOUR[0])
    raw = image_folder(tmp_path).source.load()
    assert raw.inputs.shape == (20, 3, 6, 5)
    np.testing.assert_array_equal(raw.inputs[0], np.stack([GREY[0]] * 3))
    grey = image_folder(tmp_path, channels=1).source.load().inputs
    np.testing.assert_array_equal(grey[0], GREY[0])
    np.testing.assert_array_equal(grey[-1], np.asarray(Image.fromarray(COLOUR[0]).convert("L")))
    assert image_folder(fill(tmp_path / "grey"), channels=3).source.load().inputs.shape == (20, 3, 6, 5)


def test_kinds_of_pixels_and_files(tmp_path):
    two, opaque = (GREY[0] > 127).astype(np.uint8) * 255, np.dstack([COLOUR[0], GREY[0]])
    save(tmp_path / "a" / "bits.png", two, "1")
    save(tmp_path / "a" / "grey.BMP", GREY[0])
    save(tmp_path / "b" / "alpha.png", opaque)
    save(tmp_path / "b" / "palette.gif", np.stack([two, two, two * 0], axis=2), "P")
    inputs = image_folder(tmp_path).source.load().inputs
    np.testing.assert_array_equal(inputs[0], np.stack([two] * 3))
    np.testing.assert_array_equal(inputs[1], np.stack([GREY[0]] * 3))
    np.testing.assert_array_equal(inputs[2], COLOUR[0].transpose(2, 0, 1))
    np.testing.assert_array_equal(inputs[3], np.stack([two, two, two * 0]))


def test_a_palette_with_transparency(tmp_path):
    for kind in "ab":
        (tmp_path / kind).mkdir()
        Image.fromarray(COLOUR[0]).quantize(4).save(tmp_path / kind / "0.png", transparency=bytes([0, 9, 255, 255]))
    assert image_folder(tmp_path).source.load().inputs.shape == (2, 3, 6, 5)


def test_a_size_is_height_and_width(tmp_path):
    fill(tmp_path)
    save(tmp_path / "dog" / "big.png", np.full((40, 20), 77, np.uint8))
    inputs = image_folder(tmp_path, size=(6, 5)).source.load().inputs
    np.testing.assert_array_equal(inputs[0], GREY[0])  # as they are where they have that size
    assert (inputs[-1] == 77).all()
    wide = image_folder(tmp_path, size=(4, 8), channels=3).prepare()
    assert wide.inputs.shape == (3, 4, 8)
    halves = np.zeros((8, 8), np.uint8)
    halves[:, 4:] = 200
    for kind in "ab":
        save(tmp_path / "halves" / kind / "0.png", halves)
    shrunk = image_folder(tmp_path / "halves", size=(2, 4)).source.load().inputs[0]
    assert shrunk[:, 0].tolist() == [0, 0]
    assert shrunk[:, 3].tolist() == [200, 200]


def test_images_of_several_sizes_are_one_error_that_says_how_to_resize(tmp_path):
    fill(tmp_path)
    save(tmp_path / "dog" / "tall.png", np.zeros((40, 20), np.uint8))
    save(tmp_path / "dog" / "wide.png", np.zeros((3, 70), np.uint8))
    text = error(image_folder(tmp_path))
    assert "have 3 sizes (height, width), such as (3, 70) and (40, 20)" in text
    assert "pass size=(6, 5), the size of 20 of 22, to resize the others" in text


def test_an_official_test_part(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "test", GREY[::-1][:5], classes=("dog",))
    prepared = image_folder(tmp_path / "train", test=tmp_path / "test", split=Split(0.2, 0.5)).prepare()
    assert (len(prepared.train), len(prepared.validation), len(prepared.test)) == (16, 4, 5)
    assert prepared.test.targets.tolist() == [1] * 5
    scale = np.polyfit(GREY[::-1][:5].ravel(), prepared.test.inputs.ravel(), 1)
    np.testing.assert_allclose(np.polyval(scale, GREY[::-1][:5]), prepared.test.inputs, atol=1e-4)
    save(tmp_path / "test" / "dgo" / "0.png", GREY[0])
    text = error(image_folder(tmp_path / "train", test=tmp_path / "test"))
    assert "test': unknown class 'dgo'; known: cat, dog; did you mean 'dog'?" in text


def test_hidden_files_are_skipped_and_others_named(tmp_path):
    fill(tmp_path)
    for name in (".DS_Store", "cat/.hidden.png", ".git/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert len(image_folder(tmp_path).source.load().targets) == 20
    for name in ("README.md", "cat/list.txt"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"': skipped 2 non-image files: 'README.md', 'cat/list.txt'$"):
        assert len(image_folder(tmp_path).source.load().targets) == 20
    save(tmp_path / "cat" / "deeper" / "0.png", GREY[0])
    (tmp_path / "dog" / "Thumbs.db").write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"4 non-image files: 'README.md', 'cat/deeper', 'cat/list.txt', …$"):
        assert len(image_folder(tmp_path).source.load().targets) == 20


@pytest.mark.parametrize(
    "content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", "cut"], ids=["empty", "text", "signature", "cut"]
)
def test_a_damaged_image_is_named(tmp_path, content):
    path = fill(tmp_path) / "dog" / "05.png"
    path.write_bytes(path.read_bytes()[:-30] if content == "cut" else content)
    text = error(image_folder(tmp_path))
    assert text.startswith(f"'{tmp_path}': 1 image that cannot be read: '{path}' (")
    assert text.count(str(path)) == 1
    assert text.endswith("); replace or remove it, or pass skip_bad=True to leave out what cannot be read")


def spoil(folder: Path) -> list[Path]:
    """Two files that are no images, one that is cut off, and one of 16 bits, in the order of the images."""
    empty, text, cut = (folder / "cat" / "04.png", folder / "cat" / "16.png", folder / "dog" / "05.png")
    empty.write_bytes(b"")
    text.write_bytes(b"no image")
    cut.write_bytes(cut.read_bytes()[:-30])
    return [empty, text, cut, save(folder / "dog" / "deep.png", GREY[0].astype(np.uint16) * 256)]


def test_all_images_that_cannot_be_read_are_listed_at_once(tmp_path):
    bad = spoil(fill(tmp_path))
    text = error(image_folder(tmp_path))
    assert "4 images that cannot be read" in text
    assert all(f"'{path}' (" in text for path in bad)
    assert "has pixel mode 'I;16', expected 8 bits per channel" in text
    assert text.endswith("; replace or remove them, or pass skip_bad=True to leave out what cannot be read")
    bad[0].unlink()
    bad[1].unlink()
    bad[3].unlink()
    assert "1 image that cannot be read" in error(image_folder(tmp_path))  # its header is sound


def test_images_that_cannot_be_read_are_left_out_on_request(tmp_path):
    bad = spoil(fill(tmp_path / "train"))
    fill(tmp_path / "test", GREY[:6])
    (tmp_path / "test" / "cat" / "02.png").write_bytes(b"no image")
    options = {"test": tmp_path / "test", "skip_bad": True}
    with pytest.warns(UserWarning, match=r"train': skipped 5 images that cannot be read: ") as caught:
        raw = image_folder(tmp_path / "train", **options).source.load()
    assert all(str(path) in str(caught[0].message) for path in bad)
    kept = [number for number in (*range(0, 20, 2), *range(1, 20, 2)) if number not in (4, 16, 5)]
    np.testing.assert_array_equal(raw.inputs[:17], GREY[kept])
    assert raw.targets[:17].tolist() == [("cat", "dog")[number % 2] for number in kept]
    assert raw.official_test == 5
    np.testing.assert_array_equal(raw.inputs[17:], GREY[[0, 4, 1, 3, 5]])


def test_a_class_of_which_no_image_can_be_read(tmp_path):
    fill(tmp_path)
    for path in (tmp_path / "dog").iterdir():
        path.write_bytes(b"no image")
    with pytest.warns(UserWarning, match="skipped 10 images"):
        assert "no image of class 'dog' in " in error(image_folder(tmp_path, skip_bad=True))
    for path in (tmp_path / "cat").iterdir():
        path.write_bytes(b"no image")
    text = error(image_folder(tmp_path, skip_bad=True))
    assert "20 images that cannot be read" in text
    assert text.endswith("; replace or remove them")


def test_many_images_that_cannot_be_read_are_counted(tmp_path):
    fill(tmp_path, np.concatenate([GREY, GREY]))
    for path in (tmp_path / "dog").iterdir():
        path.write_bytes(b"no image")
    for path in [*(tmp_path / "cat").iterdir()][:5]:
        path.write_bytes(b"no image")
    text = error(image_folder(tmp_path))
    assert text.count("UnidentifiedImageError") == 20
    assert "25 images that cannot be read: " in text
    assert " and 5 others; replace" in text


def test_pixels_of_more_than_8_bits_are_not_cut_off(tmp_path):
    fill(tmp_path)
    path = save(tmp_path / "dog" / "deep.png", GREY[0].astype(np.uint16) * 256)
    text = error(image_folder(tmp_path))
    assert f"'{path}' (the image has pixel mode 'I;16', expected 8 bits per channel" in text


def test_folders_that_hold_no_classes(tmp_path):
    assert f"no folder '{tmp_path / 'absent'}' (looked at" in error(image_folder(tmp_path / "absent"))
    assert "contains 0 files but no folder; expected one folder of images per class" in error(image_folder(tmp_path))
    save(tmp_path / "0.png", GREY[0])
    assert "contains 1 file but no folder" in error(image_folder(tmp_path))
    fill(tmp_path / "data" / "train")
    text = error(image_folder(tmp_path / "data"))
    assert "train' contains no image, but folders such as 'cat'; if these are the classes, pass image_folder('" in text
    fill(tmp_path / "more")
    (tmp_path / "more" / "fish").mkdir()
    (tmp_path / "more" / "fish" / "a.txt").write_text("x")
    assert "fish' contains no image, but 1 other file; add images (.bmp, .gif," in error(
        image_folder(tmp_path / "more")
    )


def test_one_class_and_a_class_with_one_image(tmp_path):
    assert "every row has the class 'cat'" in error(image_folder(fill(tmp_path / "one", classes=("cat",))))
    save(fill(tmp_path / "few") / "fish" / "0.png", GREY[0])
    assert "class 'fish' has 1 sample" in error(image_folder(tmp_path / "few"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 2}, r"channels must be 1 \(grey\), 3 \(colour\) or None"),
        ({"size": 64}, r"size must be \(height, width\) in pixels, got 64"),
        ({"size": (64, 0)}, "size must be"),
        ({"size": (64.0, 64)}, "size must be"),
        ({"size": (64, 64, 3)}, "size must be"),
    ],
)
def test_illegal_options_fail_at_construction(options, message):
    with pytest.raises(DataError, match=message):
        image_folder("photos", **options)


def test_a_declaration_reads_nothing_and_pickles():
    data = image_folder("no-such-folder", size=(8, 8), channels=3, test="neither")
    assert pickle.loads(pickle.dumps(data)) == data


def test_all_images_are_in_memory_once_and_as_bytes(tmp_path):
    fill(tmp_path, RNG.integers(0, 256, (40, 200, 200), np.uint8))
    source = image_folder(tmp_path).source
    source.load()  # loads Pillow
    tracemalloc.start()
    source.load()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * 40 * 200 * 200
