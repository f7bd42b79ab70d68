"""What do strategies find in the same number of trials? Ours and others', on twelve problems, with paired seeds.

    python benchmarks/quality.py --taskset DIR --out DIR [--problems …] [--strategies …] [--seeds 10] [--trials 100]

Ours run in the real engine, in virtual time; the peers (Optuna, scikit-optimize, SMAC3) in their own loops. Each result
is a line of OUT/results.jsonl, and a rerun makes only what is not there. OUT/report.md is written from all of them.

The problems need `pip install .[benchmarks]` and the TaskSet curves, a folder that --taskset names (from
github.com/releaunifreiburg/DPL, data/taskset). A package that is missing is named, and what needs it is left out; to go
without TaskSet, name other --problems. --list shows what there is. What stops or pauses trials early is compared by

    python benchmarks/quality.py … --equal-steps --strategies random random+median random+halving
"""

from __future__ import annotations

import os

# One core each, so that no peer is slowed by its own threads. Before numpy and torch are loaded, which read it then.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from quality.command import main

if __name__ == "__main__":
    main(__doc__)
