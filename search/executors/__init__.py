"""Executors, which run trials: in this process (`inline`) or on Ray workers (`ray`).

`simulated` replays known learning curves, to compare strategies and pruners. There is nothing to train, so no
command offers it.
"""

from __future__ import annotations

import os

EXECUTORS = ("ray", "inline")


def quiet_ray() -> None:
    """Keep Ray's messages off the terminal. Call this before the first import of ray, which reads the variable.

    `log_to_driver=False` is not enough: errors of the raylet, such as the death of a worker, would still be printed to
    stdout, from which another program may read our result. They are reported with the trial instead.
    """
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
