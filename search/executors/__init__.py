"""Where trials run: in this process (`inline`), or on Ray's workers (`ray`).

`simulated` replays known curves, for measuring what decides; there is nothing to train, so no command offers it.
"""

from __future__ import annotations

import os

EXECUTORS = ("ray", "inline")


def quiet_ray() -> None:
    """Keep Ray's own words off the terminal. To be called before ray is imported, which is when it reads this.

    `log_to_driver=False` is not enough: the raylet's errors, such as the death of a worker, would go to stdout, where
    a program may be reading our answer. They are in our own report of the trial instead.
    """
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
