"""Every example runs as its docstring says, a few trials of it, through the command."""

from __future__ import annotations

import gzip
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


def write_idx(folder: Path) -> Path:
    """scikit-learn's digits as IDX files with an official test part."""
    folder.mkdir()
    images, labels = load_digits(return_X_y=True)
    images = (images * 15.9).astype(np.uint8).reshape(-1, 8, 8)
    for name, part in (("train", slice(0, 1400)), ("t10k", slice(1400, None))):
        pixels, numbers = images[part], labels[part].astype(np.uint8)
        header = struct.pack(">4I", 0x803, *pixels.shape)
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + pixels.tobytes()))
        header = struct.pack(">2I", 0x801, len(numbers))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(header + numbers.tobytes()))
    return folder


def write_images(folder: Path) -> Path:
    """scikit-learn's digits as PNG files, a folder per digit."""
    images, labels = load_digits(return_X_y=True)
    for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15.9).astype(np.uint8).reshape(8, 8)).save(path)
    return folder


def write_bank(path: Path) -> Path:
    """900 made-up clients in the columns of the bank's file; whoever had success before subscribes."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(900):
        outcome = rng.choice(["unknown", "success", "failure"])
        answer = "yes" if (outcome == "success") != (rng.random() < 0.05) else "no"
        words = [rng.choice(list("abc")) for _ in range(4)]
        numbers = [rng.integers(18, 90), *words, rng.integers(-99, 9999), "no", "yes", "cellular", rng.integers(1, 31)]
        rows.append(",".join(map(str, [*numbers, "may", *rng.integers(1, 99, 4), outcome, answer])))
    path.write_text("\n".join(rows) + "\n")
    return path


def write_sms(path: Path) -> Path:
    """900 made-up messages, a third of them spam: those in which one of four words stands among others."""
    rng = np.random.default_rng(0)
    words = [f"word{number}" for number in range(50)]
    lines = []
    for _ in range(900):
        spam = rng.random() < 1 / 3
        message = [str(word) for word in rng.choice(words, rng.integers(3, 12))]
        if spam:
            message.insert(rng.integers(len(message)), str(rng.choice(["free", "prize", "call", '"win"'])))
        lines.append(f"{'spam' if spam else 'ham'}\t{' '.join(message)}\n")
    path.write_text("".join(lines))
    return path


# Better than this on the held-out part, after the few trials that the test runs.
FLOORS: dict[str, Callable[[float], bool]] = {
    "bank_csv": lambda loss: loss < 0.45,  # chance: 0.63
    "bank_embeddings": lambda loss: loss < 0.45,
    "callback_objective": lambda accuracy: accuracy > 0.85,
    "diabetes_regression": lambda rmse: rmse < 68,  # always the mean: 75
    "digits_cells": lambda accuracy: accuracy > 0.95,
    "digits_cnn": lambda accuracy: accuracy > 0.95,
    "digits_mlp": lambda accuracy: accuracy > 0.93,
    "digits_small": lambda accuracy: accuracy > 0.9,
    "digits_transfer": lambda accuracy: accuracy > 0.9,  # chance: 0.33
    "image_folder": lambda accuracy: accuracy > 0.9,
    "mnist_mlp": lambda accuracy: accuracy > 0.9,
    "own_data_source": lambda accuracy: accuracy > 0.9,  # chance: 0.67
    "own_network": lambda loss: loss < 0.15,  # chance: 0.66
    "own_objective": lambda accuracy: accuracy > 0.85,
    "own_pruner": lambda loss: loss < 1.0,  # chance: 2.3
    "own_strategy": lambda accuracy: accuracy > 0.5,  # chance: 0.1
    "own_functions": lambda confidence: confidence > 0.6,  # chance: 0.1
    "own_technique": lambda accuracy: accuracy > 0.9,
    "own_observer": lambda accuracy: accuracy > 0.9,
    "sms_textcnn": lambda loss: loss < 0.1,  # chance: 0.64
    "sms_transformer": lambda loss: loss < 0.1,
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs_and_finds_something(archsearch: Any, tmp_path: Path, example: Path) -> None:
    env = {"MNIST": str(write_idx(tmp_path / "idx")), "BANK": str(write_bank(tmp_path / "bank.csv"))}
    env["IMAGES"] = str(write_images(tmp_path / "images"))
    env["SMS"] = str(write_sms(tmp_path / "sms.txt"))
    trials = 6 if example.stem == "own_objective" else 4
    ran = archsearch("run", example, "--executor", "inline", "--trials", trials, "--json", env=env)
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert sum(answer["trials"].values()) == trials
    assert FLOORS[example.stem](answer["best"]["value"]), answer["best"]
    assert (tmp_path / f"{answer['name']}.db").is_file()


def test_the_observer_of_the_example_writes_the_bests(archsearch: Any, root: Path, tmp_path: Path) -> None:
    ran = archsearch("run", root / "examples" / "own_observer.py", "--executor", "inline", "--trials", 3, "--quiet")
    assert ran.returncode == 0, ran.stderr
    rows = [row.split(",") for row in (tmp_path / "bests.csv").read_text().splitlines()]
    best = json.loads(archsearch("best", "own-observer.db", "--json").stdout)
    assert int(rows[-1][1]) == best["number"]
    assert ran.stderr == "every trial is done; the bests are in bests.csv\n"


@pytest.mark.parametrize(
    ("example", "variable"),
    [("mnist_mlp", "MNIST"), ("bank_csv", "BANK"), ("image_folder", "IMAGES"), ("sms_textcnn", "SMS")],
)
def test_an_example_without_its_data_says_what_it_needs(
    archsearch: Any, root: Path, monkeypatch: pytest.MonkeyPatch, example: str, variable: str
) -> None:
    monkeypatch.delenv(variable, raising=False)
    path = root / "examples" / f"{example}.py"
    unset = archsearch("run", path)
    assert unset.returncode == 2
    assert f"the environment variable {variable} is not set" in unset.stderr
    missing = archsearch("run", path, env={variable: "/no/such/place"})
    assert missing.returncode == 2
    assert "/no/such/place" in missing.stderr
    assert "Traceback" not in unset.stderr + missing.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_docstring_says_how_to_run_it(example: Path) -> None:
    assert re.search(rf"archsearch run examples/{example.name}\n", example.read_text(encoding="utf-8"))
