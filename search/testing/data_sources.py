"""The contract of a data source, as tests: subclass it, and say how yours is made.

    class TestJsonLines(DataSourceContract):
        def make(self, folder: Path) -> DataSource:
            (folder / "data.jsonl").write_text(...)
            return JsonLines(folder / "data.jsonl")

Give it some tens of samples, enough to split into training, validation and test part.
"""

from __future__ import annotations

import base64
import os
import pickle
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import cloudpickle
import numpy as np
import pytest

from archsearch.search.training.data import Data, DataSource, Prepared, Samples, Split, Streaming
from archsearch.search.training.data.loaded import load_checked

_PREPARE = """
import base64, pickle, sys
from archsearch import Data
print(Data(pickle.loads(base64.b64decode(sys.stdin.read()))).prepare().fingerprint)
"""


class DataSourceContract:
    """Override `make`, and `make_changed` where other data is easily had."""

    def make(self, folder: Path) -> DataSource:
        """A source as a study would declare it. folder: a temporary folder for its files, the same within one test."""
        raise NotImplementedError("a contract of a data source needs make(self, folder), which returns the source")

    def make_changed(self, folder: Path) -> DataSource | None:
        """A source of the same kind whose data differs in one value; None skips the test that needs it."""
        return None

    def test_it_loads_samples_of_equal_length(self, tmp_path: Path) -> None:
        source = self.make(tmp_path)
        assert isinstance(source.load(), Samples)
        loaded = load_checked(source)
        inputs = loaded.inputs.texts if hasattr(loaded.inputs, "texts") else loaded.inputs
        assert len(inputs) == len(loaded.targets) > loaded.official_test >= 0

    def test_loading_again_gives_the_same(self, tmp_path: Path) -> None:
        source = self.make(tmp_path)
        np.random.seed(1)
        first = _fingerprint(source)
        assert _fingerprint(source) == first
        assert _fingerprint(self.make(tmp_path)) == first

    def test_targets_read_alone_are_the_same(self, tmp_path: Path) -> None:
        source = self.make(tmp_path)
        alone = source.load_targets()
        if alone is None:
            pytest.skip("load_targets is not given")
        np.testing.assert_array_equal(np.asarray(alone), load_checked(source).targets)

    def test_it_pickles(self, tmp_path: Path) -> None:
        source = self.make(tmp_path)
        assert _fingerprint(pickle.loads(_pickled(source))) == _fingerprint(source)

    def test_a_fresh_process_gives_the_same(self, tmp_path: Path) -> None:
        source = self.make(tmp_path)
        # Another hash seed, so that an order taken from a set shows.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "77"}
        there = subprocess.run(
            [sys.executable, "-c", _PREPARE],
            input=base64.b64encode(_pickled(source)),
            capture_output=True,
            env=environment,
            check=False,
            timeout=120,
        )
        assert there.returncode == 0, there.stderr.decode()
        assert there.stdout.decode().strip() == _fingerprint(source)

    def test_other_data_has_another_fingerprint(self, tmp_path: Path) -> None:
        before = _fingerprint(self.make(tmp_path))
        changed = self.make_changed(tmp_path)
        if changed is None:
            pytest.skip("make_changed is not given")
        assert _fingerprint(changed) != before

    def test_every_row_is_in_one_part(self, tmp_path: Path) -> None:
        source = self.make(tmp_path)
        loaded = load_checked(source)
        own = len(loaded.targets) - loaded.official_test
        prepared = Data(source, Split(validation=0.25, test=0.25, seed=3)).prepare()
        test = 0 if prepared.test is None else len(prepared.test)
        assert len(prepared.train) + len(prepared.validation) + test == len(loaded.targets)
        assert len(prepared.validation) == round(own * 0.25)
        assert test == (loaded.official_test or round(own * 0.25))

    def test_every_row_outside_the_test_part_validates_in_one_fold(self, tmp_path: Path) -> None:
        source = self.make(tmp_path)
        loaded = load_checked(source)
        folds = Data(source, Split(folds=2, test=0.2)).prepare().folds
        test = 0 if folds[0].test is None else len(folds[0].test)
        assert sum(len(fold.validation) for fold in folds) + test == len(loaded.targets)

    def test_streaming_changes_no_number(self, tmp_path: Path) -> None:
        source = self.make(tmp_path)
        here = Data(source).prepare()
        streamed = Data(source, streaming=Streaming(above_bytes=0, folder=tmp_path)).prepare()
        assert streamed.fingerprint == here.fingerprint
        for ours, theirs in zip(_arrays(here), _arrays(streamed), strict=True):
            np.testing.assert_array_equal(ours, theirs)

    def test_it_has_a_name_and_a_stable_repr(self, tmp_path: Path) -> None:
        source = self.make(tmp_path)
        assert str(source).strip()
        assert repr(source) == repr(self.make(tmp_path))
        assert not re.search(r" at 0x[0-9a-f]+", repr(source))


def _fingerprint(source: DataSource) -> str | None:
    return Data(source).prepare().fingerprint


def _arrays(prepared: Prepared) -> list[np.ndarray]:
    parts = (prepared.train, prepared.validation, *([] if prepared.test is None else [prepared.test]))
    return [array for part in parts for array in (part.inputs, part.targets)]


def _pickled(source: DataSource) -> bytes:
    """As it travels to a worker: a class from a test or study file by value, since the file may not be importable."""
    module = sys.modules.get(type(source).__module__)
    with ExitStack() as after:
        if module is not None and not module.__name__.startswith("archsearch."):
            cloudpickle.register_pickle_by_value(module)
            after.callback(cloudpickle.unregister_pickle_by_value, module)
        return bytes(cloudpickle.dumps(source))
