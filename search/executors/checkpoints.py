"""Checkpoints of trials: saved with `trial.save(state)`, and loaded as `trial.restored` when a trial continues.

Each state is a file, named after its trial, attempt and step. A worker writes it before the report of that step, and it
is valid once the report, which contains its name, is in the store. So a name in the store always belongs to a complete
file, whichever process is killed. The name contains the attempt, since the worker of a killed driver runs on for some
seconds.

Workers read and write checkpoints, and the driver deletes them. On a cluster, all machines must share the folder of the
store; on one that does not, a trial starts from the beginning.
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
    """A checkpoint cannot be read: its file is missing or damaged, or is on another machine."""


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoint files of a study.

    Attributes:
        folder: The absolute path of their folder.
        every_s: The minimum time in seconds between two checkpoints of a trial.
    """

    folder: Path
    every_s: float

    @classmethod
    def from_store(cls, store: Path, every_s: float) -> Checkpoints:
        """The checkpoints of the study in a store, which are in a folder beside it."""
        return cls(files_beside(store), every_s)

    def read(self, name: str) -> Any:
        """Load a state, with its tensors on the CPU.

        Args:
            name: The name of the checkpoint, as in its report.

        Raises:
            CheckpointError: The file cannot be read.
        """
        import torch  # not at the top, since the driver never needs it

        try:
            # weights_only=False: the file was written by this study, and may contain objects of any class.
            # On the CPU, since the state stays in memory as long as the attempt runs.
            return torch.load(self.folder / name, map_location="cpu", weights_only=False)
        except Exception as error:  # unpickling may run the user's code
            raise CheckpointError(f"its checkpoint {name} cannot be read: {type(error).__name__}: {error}") from error

    def write(self, name: str, state: object) -> None:
        """Save a state: the complete file, or none.

        Args:
            name: The name of the checkpoint.
            state: Any object that can be pickled.

        Raises:
            SpecError: The state cannot be pickled.
            OSError: The file cannot be written, for example because the disk is full.
        """
        import torch  # see read

        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        try:
            with draft.open("wb") as file:
                torch.save(state, file)
            draft.replace(path)
        except OSError:
            raise
        except Exception as error:  # pickling may run the user's code
            raise SpecError(
                f"trial.save got a state that cannot be pickled ({type(error).__name__}: {error}); save tensors, "
                "state_dict()s and plain values"
            ) from error
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


class FileCheckpointWriter(CheckpointWriter):
    """Writes the checkpoints of one attempt.

    Args:
        checkpoints: The checkpoint files of the study.
        job: The attempt.
    """

    def __init__(self, checkpoints: Checkpoints, job: Job) -> None:
        self._checkpoints = checkpoints
        self._job = job
        self._step = job.from_step
        self._last_s = time.monotonic()
        self._saved = ""

    @property
    def due(self) -> bool:
        """Whether a state saved now would be written: if `every_s` have passed since the last one.

        Always true before the report at which the trial pauses, and never before its last one.
        """
        step = self._step + 1
        if step == self._job.last_step:
            return step != self._job.budget
        return time.monotonic() - self._last_s >= self._checkpoints.every_s

    def save(self, state: object) -> None:
        """Write a state for the next report, if it is due. A disk error is logged, and does not fail the trial."""
        if not self.due:
            return
        name = f"trial-{self._job.number}/attempt-{self._job.attempt}-step-{self._step + 1}.pt"
        try:
            self._checkpoints.write(name, state)
        except OSError as error:
            print(f"cannot save the checkpoint of step {self._step + 1}: {error}")
            return
        self._saved, self._last_s = name, time.monotonic()

    def reported(self, step: int) -> str:
        """Note that the trial has made a report.

        Returns:
            The name of the checkpoint that was saved for this report; "" if there is none.
        """
        saved, self._saved, self._step = self._saved, "", step
        return saved


class CheckpointCleanup:
    """Deletes checkpoints that are no longer needed. Used in the driver.

    On creation, it deletes those that killed drivers and their workers have left.

    Args:
        checkpoints: The checkpoint files of the study.
        history: The study so far.
    """

    def __init__(self, checkpoints: Checkpoints, history: History) -> None:
        self._folder = checkpoints.folder
        unfinished = history.open_trials("waiting", "running", "paused")
        self._current = {trial.number: last.checkpoint for trial in unfinished if (last := trial.resumable) is not None}
        for file in self._folder.glob("trial-*/*"):
            if str(file.relative_to(self._folder)) not in self._current.values():
                with suppress(OSError):  # a worker of a killed driver may still have it open
                    file.unlink()
        self.close()

    def after(self, events: Sequence[Event]) -> None:
        """Delete what is not needed after these events: replaced checkpoints, and all of trials that have ended.

        Args:
            events: Events that are in the store already.
        """
        for event in events:
            match event:
                case Reported(_, number, report) if report.checkpoint:
                    self._drop(number)
                    self._current[number] = report.checkpoint
                case Ended(_, number):
                    self._current.pop(number, None)
                    # The whole folder, which may contain a state whose report was never made.
                    shutil.rmtree(self._folder / f"trial-{number}", ignore_errors=True)

    def close(self) -> None:
        """Delete the folders that are empty."""
        for folder in (*self._folder.glob("trial-*"), self._folder):
            with suppress(OSError):  # it is not empty, or does not exist
                folder.rmdir()

    def _drop(self, number: int) -> None:
        if number in self._current:
            with suppress(OSError):  # the next session will try again
                (self._folder / self._current.pop(number)).unlink()
