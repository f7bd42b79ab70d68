"""Trials on Ray: persistent actors, one a slot, started once (the only file that imports ray).

A trial costs one actor call a report. One call in flight per worker carries the stop of the last trial and the start of
the next, goes on to the next report and returns the events; the driver sleeps in `ray.wait`, and nothing polls. A
worker that dies makes its trial Lost and is replaced; one that a trial may have left unclean is replaced too.
"""

from __future__ import annotations

import faulthandler
import logging
import math
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before ray is imported: both are read then. No usage reports; no accelerator variables changed behind the user's back.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray.exceptions import RayActorError, RayError

from archsearch.search.executors.checkpoints import Checkpoints
from archsearch.search.executors.worker import Worker, use_threads
from archsearch.search.protocols import UNSTAMPED, Executor, Job, Objective
from archsearch.spaces import ExecutionError
from archsearch.studies.formatting import count, number
from archsearch.studies.records import Ended, Event, Logged, Lost

_REACH_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 3.0  # for the objectives' `finally` when the session ends


class _Actor:
    """What runs on the Ray worker: a Worker, in the folder where the user started the study."""

    def __init__(
        self,
        make_objective: Callable[[], Objective],
        shared: Any,
        threads: int,
        device: str,
        folder: str,
        checkpoints: Checkpoints | None,
        crash: str,
    ) -> None:
        capture = None
        with suppress(OSError):  # on another machine of the cluster none of these need exist
            self._crash = Path(crash).open("w", encoding="utf-8")  # noqa: SIM115 - open as long as the process lives
            faulthandler.enable(self._crash)
            capture = _output_file(Path(crash)).open("w", encoding="utf-8", errors="surrogatepass")
        with suppress(OSError):
            os.chdir(folder)
            sys.path.append(folder)
        os.environ["OMP_NUM_THREADS"] = str(threads)
        import torch  # noqa: F401 - so that a trial's seed and threads hold where an objective imports it late

        objective = make_objective()
        use_threads(threads)
        objective.attach(shared)
        self._worker = Worker(objective, device, capture=capture, checkpoints=checkpoints)

    def ready(self) -> None:
        """Answers once the objective is loaded."""

    def advance(self, start: Job | None, stop: bool) -> tuple[list[Event], bool, bool]:
        """The events; whether the worker is clean; whether `start` was begun, which an unclean worker does not."""
        events = self._worker.advance(None, stop=True) if stop else []
        if not self._worker.clean:
            return events, False, False
        return events + self._worker.advance(start, stop=False), self._worker.clean, True


@dataclass
class _Slot:
    name: str
    actor: Any
    crash: Path  # where faulthandler writes when the process dies
    call: Any = None  # the call in flight
    trial: int | None = None
    order: Job | None = None  # to be sent with the next call
    sent: Job | None = None  # with the call in flight
    stop: bool = False  # likewise


class RayExecutor(Executor):
    """`workers` slots on a local Ray, or on the cluster at `address`.

    make_objective: called on each worker. shared: the objective's data, put once into the object store and mapped by
    the workers without a copy. cpus, gpus: of each worker; a fraction of a GPU is shared. checkpoints: where trials
    keep their states.

    Raises ExecutionError when the cluster cannot be reached or has not what was asked for.
    """

    def __init__(
        self,
        make_objective: Callable[[], Objective],
        shared: Any,
        *,
        workers: int,
        cpus: int = 1,
        gpus: float = 0.0,
        checkpoints: Checkpoints | None = None,
        address: str | None = None,
        ray_log: bool = False,
    ) -> None:
        self.capacity = workers
        self._scratch = Path(tempfile.mkdtemp(prefix="archsearch-"))
        self._owns_ray = not ray.is_initialized()
        try:
            if self._owns_ray:
                start_ray(address, workers * cpus, ray_log)
            _check_resources(workers, cpus, gpus)
            self._new_actor = _actor_maker(make_objective, ray.put(shared), cpus, gpus, checkpoints)
            self._slots = [self._new_slot(f"worker-{index}") for index in range(workers)]
            self._await_workers()
        except BaseException:
            self._release()
            raise

    def submit(self, job: Job) -> str:
        slot = next((slot for slot in self._slots if slot.trial is None), None)
        if slot is None:
            raise ExecutionError(f"all {self.capacity} workers are taken")
        slot.trial, slot.order = job.number, job
        return slot.name

    def stop(self, trial: int) -> None:
        for slot in self._slots:
            if slot.trial == trial:
                slot.trial, slot.order, slot.stop = None, None, True

    def wait(self, timeout_s: float | None) -> list[Event]:
        for slot in self._slots:
            if slot.call is None and (slot.trial is not None or slot.stop):
                slot.call = slot.actor.advance.remote(slot.order, slot.stop)
                slot.sent, slot.order, slot.stop = slot.order, None, False
        by_call = {slot.call: slot for slot in self._slots if slot.call is not None}
        ready, rest = ray.wait(list(by_call), num_returns=1, timeout=timeout_s)
        if rest:
            ready += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        # By slot, not by arrival within the batch: fewer orders in which the same things can happen.
        return [event for slot in self._slots if slot.call in ready for event in self._collect(slot)]

    def close(self) -> None:
        """Every objective is closed, so that its `finally` runs, unless it takes too long to its next report."""
        busy = [slot for slot in self._slots if slot.stop or slot.call is not None or slot.trial is not None]
        with suppress(RayError):
            calls = [slot.actor.advance.remote(None, True) for slot in busy]
            ray.wait(calls, num_returns=len(calls), timeout=_CLOSE_TIMEOUT_S)
        self._release()

    def _await_workers(self) -> None:
        """No trial's time holds a worker's start, and a spec that fails to load there is told before the first."""
        for slot in self._slots:
            try:
                ray.get(slot.actor.ready.remote())
            except RayError as error:
                raise ExecutionError(f"{slot.name} could not load the study: {_last_line(error)}") from error

    def _collect(self, slot: _Slot) -> Iterator[Event]:
        call, slot.call = slot.call, None
        try:
            events, clean, started = ray.get(call)
        except RayError as error:
            if isinstance(error, RayActorError) and error.actor_init_failed:
                raise ExecutionError(f"{slot.name} could not load the study: {_last_line(error)}") from error
            if slot.trial is not None and slot.order is None:  # an order that was not sent is sent to the next worker
                yield from _remaining_output(slot)
                yield Lost(UNSTAMPED, slot.trial, f"{slot.name} died: {_death_reason(slot, error)}", "worker")
                slot.trial = None
            self._replace_worker(slot)
            return
        yield from events
        if any(isinstance(event, Ended | Lost) for event in events):
            slot.trial = None
        if not started and slot.sent is not None:
            slot.order = slot.sent
        if not clean and (slot.trial is None or slot.order is not None):
            self._replace_worker(slot)

    def _replace_worker(self, slot: _Slot) -> None:
        """Another process for the slot; what was ordered and not begun goes there."""
        ray.kill(slot.actor)
        fresh = self._new_slot(slot.name)
        slot.actor, slot.crash, slot.stop = fresh.actor, fresh.crash, False

    def _new_slot(self, name: str) -> _Slot:
        descriptor, crash = tempfile.mkstemp(prefix=f"{name}-", suffix=".crash", dir=self._scratch)
        os.close(descriptor)
        return _Slot(name, self._new_actor(crash), Path(crash))

    def _release(self) -> None:
        for slot in getattr(self, "_slots", ()):
            with suppress(RayError):
                ray.kill(slot.actor)
        if self._owns_ray:
            ray.shutdown()
        shutil.rmtree(self._scratch, ignore_errors=True)


def start_ray(address: str | None, cpus: int, ray_log: bool) -> None:
    """A local Ray that carries `cpus` workers of one CPU, or a connection to the cluster at `address`; quietly.

    An executor does this by itself, and stops it again, unless Ray runs already.
    """
    if address is not None:
        _check_reachable(address)
    level = logging.INFO if ray_log else logging.ERROR
    logging.getLogger("ray").setLevel(level)
    # More workers than cores are the user's choice, and share them.
    size = {} if address else {"num_cpus": max(cpus, os.cpu_count() or 1)}
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            log_to_driver=ray_log,
            logging_level=level,
            configure_logging=ray_log,
            **size,
        )
    except (ConnectionError, RayError, RuntimeError, ValueError) as error:
        where = f"the Ray cluster at {address}" if address else "a local Ray"
        fix = "a cluster with a token needs RAY_AUTH_MODE=token set" if address else "or use --executor inline"
        raise ExecutionError(f"cannot start or reach {where}: {error}; {fix}") from error


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes; a machine that answers does so within seconds. `auto` is Ray's to find."""
    host, colon, port = address.rpartition(":")
    if not colon or "://" in address:
        return
    try:
        socket.create_connection((host, int(port)), timeout=_REACH_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise ExecutionError(
            f"no Ray cluster answers at {address}: {error}; start one there (`ray start --head`) or correct the address"
        ) from error


def _check_resources(workers: int, cpus: int, gpus: float) -> None:
    have = ray.cluster_resources()
    for unit, each in (("GPU", gpus), ("CPU", float(cpus))):
        got = have.get(unit, 0.0)
        # A fraction is of one GPU: of 0.6 each, two GPUs carry two.
        need = math.ceil(workers / int(1 / each)) if 0 < each < 1 else workers * each
        if need > got:
            raise ExecutionError(
                f"{count(workers, 'worker')} of {count(each, unit)} each: {count(need, unit)} needed, "
                f"{number(got)} available; use fewer --workers or fewer {unit.lower()}s a trial"
            )


def _actor_maker(
    make_objective: Callable[[], Objective], shared: Any, cpus: int, gpus: float, checkpoints: Checkpoints | None
) -> Callable[[str], Any]:
    actor = ray.remote(_Actor).options(num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0)
    device = "cuda" if gpus else "cpu"
    folder = str(Path.cwd())
    return lambda crash: actor.remote(make_objective, shared, cpus, device, folder, checkpoints, crash)


def _output_file(crash: Path) -> Path:
    return crash.with_suffix(".out")


def _remaining_output(slot: _Slot) -> Iterator[Event]:
    """What the trial printed since its last report, and the traceback of a crash in native code."""
    texts = []
    for path in (_output_file(slot.crash), slot.crash):
        with suppress(OSError):
            texts.append(path.read_text(encoding="utf-8", errors="replace"))
    if slot.trial is not None and any(texts):
        yield Logged(UNSTAMPED, slot.trial, "".join(texts))


def _death_reason(slot: _Slot, error: RayError) -> str:
    """Where the process was when it died if faulthandler could tell, else what Ray says."""
    with suppress(OSError):
        if lines := slot.crash.read_text(encoding="utf-8").splitlines():
            return lines[0]
    return " ".join(str(error).split("\n\t")[0].split())[:300]


def _last_line(error: RayError) -> str:
    """`ImportError: …`, from below the worker's traceback."""
    return str(error).strip().splitlines()[-1].strip()
