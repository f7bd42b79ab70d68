"""Checkpoints of trials: saved with `trial.save(state)`, and loaded as `trial.restored` when a trial continues.

One file holds one state, under the name of its trial, attempt and step. It is written whole before the report that it
belongs to, and counts from the moment that report is in the store: whatever is killed, a name in the store names a
whole file. An attempt's number is in the name since the worker of a killed driver lives on for some seconds.

Workers write and read, the driver clears away. On a cluster all machines must see the store's folder; where one does
not, a trial that comes there begins anew.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsearch.search.protocols import CheckpointWriter, Job
from archsearch.spaces import ArchsearchError, SpecError
from archsearch.studies.history import History
from archsearch.studies.records import Ended, Event, Reported
from archsearch.studies.store import files_beside


class CheckpointError(ArchsearchError):
    """A checkpoint cannot be read: its file is gone or damaged, or lies on another machine."""


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """folder: absolute, beside the store. every_s: a trial keeps its state at most so often, in seconds."""

    folder: Path
    every_s: float

    @classmethod
    def from_store(cls, store: Path, every_s: float) -> Checkpoints:
        """Those of the study in this store."""
        return cls(files_beside(store), every_s)

    def read(self, name: str) -> Any:
        """The state, its tensors in the host's memory. Raises CheckpointError."""
        import torch  # here, not above: the driver reads none

        try:
            # The study's own file, with its own classes. On the host: the state is there as long as the attempt.
            return torch.load(self.folder / name, map_location="cpu", weights_only=False)
        except Exception as error:  # to read it runs code of whatever was saved
            raise CheckpointError(f"its checkpoint {name} cannot be read: {type(error).__name__}: {error}") from error

    def write(self, name: str, state: object) -> None:
        """Whole or not at all. Raises SpecError for a state that cannot be pickled, OSError from a full disk."""
        import torch  # likewise

        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        try:
            with draft.open("wb") as file:
                torch.save(state, file)
            draft.replace(path)
        except OSError:
            raise
        except Exception as error:  # to write it runs code of whatever is saved
            raise SpecError(
                f"trial.save got a state that cannot be kept ({type(error).__name__}: {error}); save tensors, "
                "state_dict()s and plain values"
            ) from error
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


class FileCheckpointWriter(CheckpointWriter):
    """Writes the checkpoints of one attempt to files. `due` tells whether a state saved now would be written."""

    def __init__(self, checkpoints: Checkpoints, job: Job) -> None:
        self._checkpoints = checkpoints
        self._job = job
        self._step = job.from_step
        self._last_s = time.monotonic()
        self._saved = ""

    @property
    def due(self) -> bool:
        """Has enough time passed since the last? Always where the trial pauses, never where it ends."""
        coming = self._step + 1
        if coming == self._job.last_step:
            return coming != self._job.budget
        return time.monotonic() - self._last_s >= self._checkpoints.every_s

    def save(self, state: object) -> None:
        """Write it, if it is due, for the report that comes next. A disk that has no room is the log's business."""
        if not self.due:
            return
        name = f"trial-{self._job.number}/attempt-{self._job.attempt}-step-{self._step + 1}.pt"
        try:
            self._checkpoints.write(name, state)
        except OSError as error:
            print(f"no checkpoint at step {self._step + 1}: {error}")
            return
        self._saved, self._last_s = name, time.monotonic()

    def reported(self, step: int) -> str:
        """The name of the checkpoint that belongs to this report, "" for none."""
        saved, self._saved, self._step = self._saved, "", step
        return saved


class CheckpointCleanup:
    """Deletes, in the driver, the checkpoints that are no longer needed."""

    def __init__(self, checkpoints: Checkpoints, history: History) -> None:
        """With what killed drivers and their workers have left behind."""
        self._folder = checkpoints.folder
        unfinished = history.open_trials("waiting", "running", "paused")
        self._current = {trial.number: last.checkpoint for trial in unfinished if (last := trial.resumable) is not None}
        for file in self._folder.glob("trial-*/*"):
            if str(file.relative_to(self._folder)) not in self._current.values():
                with suppress(OSError):  # a worker of a killed driver may hold it yet
                    file.unlink()
        self.close()

    def after(self, events: Sequence[Event]) -> None:
        """Once these are in the store: a newer checkpoint replaces the last, and an ended trial needs none."""
        for event in events:
            match event:
                case Reported(_, number, report) if report.checkpoint:
                    self._drop(number)
                    self._current[number] = report.checkpoint
                case Ended(_, number):
                    self._current.pop(number, None)
                    # With what was saved for a report that never came.
                    shutil.rmtree(self._folder / f"trial-{number}", ignore_errors=True)

    def close(self) -> None:
        """Without the folders that are empty."""
        for folder in (*self._folder.glob("trial-*"), self._folder):
            with suppress(OSError):  # not empty, or not there
                folder.rmdir()

    def _drop(self, number: int) -> None:
        if number in self._current:
            with suppress(OSError):  # the next session tries again
                (self._folder / self._current.pop(number)).unlink()
