"""What tests of all three packages share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no bug, so no example has a deadline. CI tries the same examples each time, a developer new ones.
settings.register_profile("archsearch", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("archsearch")

ROOT = Path(__file__).resolve().parent.parent

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder that holds pyproject.toml."""
    return ROOT


@pytest.fixture(scope="session")
def command_env() -> dict[str, str]:
    """The environment for `python -m archsearch` in another folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}


@pytest.fixture
def python(tmp_path: Path, command_env: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python in `tmp_path`, in a fresh process."""

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *args]
        return subprocess.run(command, cwd=tmp_path, env=command_env, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def archsearch(tmp_path: Path, command_env: dict[str, str]) -> Run:
    """Runs the command in `tmp_path` or a folder there, in a process of its own, as a user would."""

    def run(
        *args: object, env: dict[str, str] | None = None, timeout: float = 120, folder: str = "."
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "archsearch", *map(str, args)],
            cwd=tmp_path / folder,
            env={**command_env, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """One Ray for the whole test session: starting it takes four seconds."""
    from archsearch.search.executors import quiet_ray

    quiet_ray()
    import ray

    from archsearch.search.executors.ray import start_ray

    start_ray(None, cpus=4, ray_log=False)
    yield
    ray.shutdown()
