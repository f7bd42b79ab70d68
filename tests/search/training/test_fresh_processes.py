"""The same trial in another process gives the same bits; so does one that is taken up there from a saved state."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

EPOCHS, STOP = 5, 3

# Prints what each trial says of each epoch. "begin" saves its state at STOP; "go on" begins with it.
PROGRAM = f"""
import json, sys
import numpy as np
import torch
from archsearch.search.protocols import TrialContext
from archsearch import MLP, Prepared
from archsearch.search.training.data.prepared import Part
from archsearch.search.training.loop import Loop
from archsearch.search.training.metrics import metric_names
from archsearch.search.training.tensors import Tensors

torch.set_num_threads(1)
task, path, configs = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
parts = [Part(rng.normal(size=(n, 8, 8)).astype(np.float32), rng.integers(10, size=n)) for n in (200, 50)]
data = Tensors.from_prepared("cpu", Prepared("classification", *parts, None, classes=tuple("abcdefghij")))
names = (*metric_names("classification"), "learning_rate")
for number, config in enumerate(configs):
    faster = config | {{"learning_rate": 0.1}}
    trials = [TrialContext(0, 1, config, {EPOCHS}, 7), TrialContext(1, 1, faster, {EPOCHS}, 8)]
    loop = Loop(MLP(layers=1, units=16), data, trials, {EPOCHS}, names)
    if task == "go on":
        loop.restore(torch.load(f"{{path}}/{{number}}"))
    for _ in range({{"whole": {EPOCHS}, "begin": {STOP}, "go on": {EPOCHS - STOP}}}[task]):
        print(number, json.dumps(loop.epoch()))
    if task == "begin":
        torch.save(loop.state(), f"{{path}}/{{number}}")
"""

NETWORK = {"layers": 1, "units_1": 16, "activation": "relu", "norm": "batch", "batch_size": 16, "weight_decay": 0.01}
CONFIGS = [
    {
        "optimizer": "adam", "learning_rate": 0.01, "schedule": "one_cycle", "warmup_epochs": 1, "l1": 1e-4,
        "label_smoothing": 0.1, "clip_norm": 1.0, "accumulate": 2, "averaging": "ema", "ema_decay": 0.9, "dropout": 0.2,
        "rotation": 15.0, "shift": 1, "flip": True, "cutout": 2, "noise": 0.1, "mixup": 0.2, "max_norm": 3.0,
        "local_updates": "random", "block_fraction": 0.7, "patience": 1,
    },
    {
        "optimizer": "sgd", "momentum": 0.9, "nesterov": True, "learning_rate": 0.2, "schedule": "plateau",
        "schedule_epochs": 1, "averaging": "swa", "swa_start": 0.4, "dropout": 0.5, "patience": 3,
    },
]  # fmt: skip


def told(task: str, path: Path) -> list[list[object]]:
    """In a fresh process, of each config: the two rows' reports of each epoch."""
    said = json.dumps([task, str(path), [config | NETWORK for config in CONFIGS]])
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, said], capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    lines = [line.split(" ", 1) for line in ran.stdout.splitlines()]
    return [[line for number, line in lines if number == str(config)] for config in range(len(CONFIGS))]


def test_a_trial_repeats_and_goes_on_to_the_last_bit(tmp_path):
    whole, begun, rest = (told(task, tmp_path) for task in ("whole", "begin", "go on"))
    for all_epochs, first, later in zip(whole, begun, rest, strict=True):
        assert len(all_epochs) == EPOCHS
        assert first + later == all_epochs
    ending, falling = ([json.loads(line) for line in lines] for lines in whole)
    assert any(None in rows for rows in ending)  # a row has stopped early
    assert len({rows[0]["learning_rate"] for rows in falling if rows[0]}) > 1  # plateau has lowered a rate
