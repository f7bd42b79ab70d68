"""The provenance of a study: package versions, hardware and git commit, kept in its store for reproducibility."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

_PACKAGES = ("archsearch", "numpy", "optuna", "ray", "scikit-learn", "scikit-optimize", "torch")


def origin(folder: Path | None, gpus: bool) -> dict[str, Any]:
    """The provenance as JSON.

    Args:
        folder: The folder of the spec, to find its git commit; None if there is none.
        gpus: Whether trials use GPUs.
    """
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
    """The number of GPUs that torch sees on this machine."""
    import torch  # the import takes a second, and is needed only if trials use GPUs

    return torch.cuda.device_count()


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for example, when run from a source tree
    return versions


def _processor() -> str:
    """The CPU model, if the system reports it. Results may differ in the last bits on another model."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor()


def _git_commit(folder: Path) -> str | None:
    """The commit of the folder; None without git, or outside a repository."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
