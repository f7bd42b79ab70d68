"""Where a study came from: package versions, hardware, commit; kept in its store for whoever asks in a year."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

_PACKAGES = ("archsearch", "numpy", "optuna", "ray", "scikit-learn", "scikit-optimize", "torch")


def origin(folder: Path | None, gpus: bool) -> dict[str, Any]:
    """As JSON. folder: the spec's, whose git commit is asked; gpus: whether trials use any."""
    return {
        "versions": _versions(),
        "hardware": {
            "machine": platform.machine(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "gpus": gpu_count() if gpus else 0,
        },
        "commit": None if folder is None else _git_commit(folder),
    }


def gpu_count() -> int:
    """How many GPUs torch sees on this machine."""
    import torch  # a second, and only when trials ask for GPUs

    return torch.cuda.device_count()


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # run from a source tree, say
    return versions


def _processor() -> str:
    """The CPU's model where the system tells it: a model's last bits may differ on another."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor()


def _git_commit(folder: Path) -> str | None:
    """None without git, or outside a repository."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
