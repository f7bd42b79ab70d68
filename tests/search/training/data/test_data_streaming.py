"""Data larger than memory: the same numbers from files, made in bounded memory, and files that go when they should."""

from __future__ import annotations

import gc
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import IterableDataset

from archsearch import DataError, Split, Streaming, arrays, csv, dataset, idx, image_folder, npz
from archsearch.search.training.data import blocks as blocks_module
from archsearch.search.training.data import streaming as streaming_module
from archsearch.search.training.data.blocks import GrowingArray, concatenate, row_blocks
from archsearch.search.training.data.prepared import Part
from archsearch.search.training.data.streaming import available_bytes

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(256, size=(120, 6, 5), dtype=np.uint8)
SIGNALS = RNG.normal(3, 2, size=(120, 6, 5)).astype(np.float32)
LABELS = np.arange(120) % 3


class Endless(IterableDataset):
    def __iter__(self):
        return zip(SIGNALS, LABELS, strict=True)


def source(kind: str, folder: Path, streaming: Streaming):
    """The same images or signals in each kind of source."""
    match kind:
        case "arrays":
            return arrays(SIGNALS, LABELS, test=(SIGNALS[:9], LABELS[:9]), streaming=streaming)
        case "mapped arrays":
            np.save(folder / "x.npy", SIGNALS)
            return arrays(np.load(folder / "x.npy", mmap_mode="r"), LABELS, streaming=streaming)
        case "npz":
            np.savez(folder / "x.npz", x=SIGNALS, y=LABELS)
            return npz(folder / "x.npz", streaming=streaming)
        case "iterable":
            return dataset(Endless(), test=list(zip(SIGNALS, LABELS, strict=True)), streaming=streaming)
        case "dataset":
            return dataset(list(zip(SIGNALS, LABELS, strict=True)), streaming=streaming)
        case "idx":
            for name, values in (("images-idx3", IMAGES), ("labels-idx1", LABELS.astype(np.uint8))):
                for part in ("train", "t10k"):
                    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
                    (folder / f"{part}-{name}-ubyte").write_bytes(header + values.tobytes())
            return idx(folder, streaming=streaming)
    for row, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / str(label) / f"{row}.png")
    return image_folder(folder, streaming=streaming)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 1000)  # 8 rows of float32


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("kind", ["arrays", "mapped arrays", "npz", "iterable", "dataset", "idx", "image_folder"])
def test_a_streamed_source_gives_the_numbers_that_it_gives_in_memory(kind, tmp_path):
    (tmp_path / "data").mkdir()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    held = source(kind, tmp_path / "data", Streaming()).prepare()
    streamed = source(kind, tmp_path / "data", Streaming(above_bytes=0, folder=scratch)).prepare()
    assert held.fingerprint == streamed.fingerprint
    assert not held.streamed
    assert len(streamed.streamed) == 2
    for name in ("train", "validation", "test"):
        mine, theirs = getattr(held, name), getattr(streamed, name)
        assert np.array_equal(mine.inputs, theirs.inputs)
        assert np.array_equal(mine.targets, theirs.targets)
        assert mine.file is None
        assert Path(theirs.file).is_relative_to(scratch)
        assert not theirs.inputs.flags.writeable
    assert len(list(scratch.iterdir())) == 1  # what was read has gone already


def test_blocks_change_neither_digest_nor_statistics_beyond_rounding(monkeypatch):
    whole = arrays(SIGNALS, LABELS).prepare()
    monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 1000)
    pieces = arrays(SIGNALS, LABELS).prepare()
    assert whole.fingerprint == pieces.fingerprint
    np.testing.assert_allclose(whole.train.inputs, pieces.train.inputs, rtol=1e-6)
    assert [(some.start, some.stop) for some in row_blocks(5, 400)] == [(0, 2), (2, 4), (4, 5)]
    assert len(list(row_blocks(3, 10_000))) == 3  # a row larger than a block is one


def test_a_table_streams_what_is_made_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming_module, "available_bytes", lambda: 0.0)
    path = tmp_path / "t.csv"
    path.write_text("a,b,y\n" + "".join(f"{row},{'xyz'[row % 3]},{row % 2}\n" for row in range(60)))
    streamed = csv(path, target="y").prepare()
    monkeypatch.undo()
    assert len(streamed.streamed) == 2
    assert np.array_equal(streamed.train.inputs, csv(path, target="y").prepare().train.inputs)


@pytest.mark.usefixtures("small_blocks")
def test_preparation_holds_only_some_rows_in_memory(tmp_path):
    rows, size = 4000, 40
    path = tmp_path / "x.npy"
    np.save(path, RNG.integers(256, size=(rows, size, size), dtype=np.uint8))  # 6.4 MB, and 25.6 MB as float32
    data = arrays(np.load(path, mmap_mode="r"), np.arange(rows) % 2, streaming=Streaming(above_bytes=10**6))
    tracemalloc.start()
    prepared = data.prepare()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert prepared.streamed
    assert peak < 3e6


def test_the_limit_is_on_all_parts_together(tmp_path):
    needed = IMAGES.size * 4
    assert not arrays(IMAGES, LABELS, streaming=Streaming(above_bytes=needed)).prepare().streamed
    assert len(arrays(IMAGES, LABELS, streaming=Streaming(above_bytes=needed - 1)).prepare().streamed) == 2


def test_by_default_a_quarter_of_the_available_memory_is_used(monkeypatch):
    monkeypatch.setattr(streaming_module, "available_bytes", lambda: 4.0 * IMAGES.size * 4)
    assert not arrays(IMAGES, LABELS).prepare().streamed
    monkeypatch.setattr(streaming_module, "available_bytes", lambda: 4.0 * IMAGES.size * 4 - 4)
    assert arrays(IMAGES, LABELS).prepare().streamed
    monkeypatch.undo()
    assert available_bytes() > 10**7


@pytest.mark.parametrize("end", ["remove", "collect"])
def test_the_files_go_with_their_owner(end, tmp_path):
    prepared = arrays(IMAGES, LABELS, streaming=Streaming(0, tmp_path)).prepare().without_test()
    copy = pickle.loads(pickle.dumps(prepared))
    assert copy.scratch is None
    del copy
    gc.collect()
    assert len(list(tmp_path.iterdir())) == 1  # the copy owned nothing
    if end == "remove":
        prepared.scratch.remove()
        prepared.scratch.remove()
    else:
        del prepared
        gc.collect()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_blocks")
def test_the_files_go_when_preparation_fails(tmp_path):
    wrong = [*zip(SIGNALS, LABELS, strict=True), (SIGNALS[0][:2], 0)]
    with pytest.raises(DataError, match="item 120 has shape"):
        dataset(wrong, streaming=Streaming(0, tmp_path)).prepare()
    assert list(tmp_path.iterdir()) == []


def test_a_streamed_part_pickles_as_its_file(tmp_path):
    prepared = arrays(np.zeros((1000, 30, 30)) + np.arange(30), np.arange(1000) % 2, streaming=Streaming(0, tmp_path))
    part = prepared.prepare().train
    assert len(pickle.dumps(part)) < part.inputs.nbytes / 100


def test_a_machine_that_does_not_see_the_file_says_what_to_do(tmp_path):
    prepared = arrays(IMAGES, LABELS, streaming=Streaming(0, tmp_path)).prepare()
    sent = pickle.dumps(prepared.train)
    prepared.scratch.remove()
    with pytest.raises(DataError, match=r"cannot read \(No such file.*all machines see, streaming=Streaming\(folder="):
        pickle.loads(sent)


def test_a_part_in_memory_pickles_as_ever():
    part = Part(SIGNALS[:4], LABELS[:4])
    copy = pickle.loads(pickle.dumps(part))
    assert np.array_equal(copy.inputs, part.inputs)
    assert copy.file is None


def test_a_folder_that_cannot_be_used_is_told(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"cannot create files to stream data from in .*nowhere.*: No such file"):
        arrays(IMAGES, LABELS, streaming=Streaming(0, tmp_path / "nowhere")).prepare()
    full = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(streaming_module.shutil, "disk_usage", lambda _: full)
    with pytest.raises(DataError, match=r"has only 1000 B free; choose a larger disk"):
        arrays(IMAGES, LABELS, streaming=Streaming(0, tmp_path)).prepare()
    for limit in (-1, 0.5, True):
        with pytest.raises(DataError, match="above_bytes must be a non-negative integer of bytes"):
            Streaming(above_bytes=limit)


def test_rows_of_growing_kind_and_number_stack_as_numpy_stacks_them():
    rows = [np.array([1, 2], np.int16), np.array([3, 4], np.int64), np.array([0.5, 6]), np.array([7, 8], np.float32)]
    stack = GrowingArray(np.empty, 1)
    for row in rows:
        stack.append(row)
    assert stack.array().dtype == np.stack(rows).dtype
    assert np.array_equal(stack.array(), np.stack(rows))
    both = concatenate(np.empty, np.ones((2, 3), ">i2"), np.ones((1, 3), np.float32))
    assert (both.dtype, both.shape) == (np.float32, (3, 3))


def test_values_that_are_not_finite_are_told_across_blocks(small_blocks):
    spoiled = SIGNALS.copy()
    spoiled[77, 2, 1] = spoiled[99, 0, 0] = np.nan
    with pytest.raises(DataError, match="have 2 non-finite values, the first at row 77, column 2, 1: nan"):
        arrays(spoiled, LABELS, split=Split()).prepare()
