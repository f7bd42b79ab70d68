"""The Ray executor: runs trials on persistent actors, one for each slot. The only file that imports ray.

Each report costs one actor call. A call stops the previous trial if necessary, starts the next one or continues the
current one, runs it up to its next report, and returns the events. Each worker has at most one call in flight, and the
driver sleeps in `ray.wait`, without polling. If a worker dies, its trial is Lost, and the worker is replaced. A worker
that a trial may have left in an unclean state is replaced too.
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

# Ray reads both on import: send no usage reports, and do not change CUDA_VISIBLE_DEVICES of workers without GPUs.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray.exceptions import RayActorError, RayError, RaySystemError, RayTaskError

from archsearch.search.executors.checkpoints import Checkpoints
from archsearch.search.executors.output import OutputCapture, OutputFile, remaining_output
from archsearch.search.executors.worker import Worker, use_threads
from archsearch.search.protocols import UNSTAMPED, Executor, Job, Objective
from archsearch.search.user_code import describe
from archsearch.spaces import ExecutionError
from archsearch.studies.formatting import count, number
from archsearch.studies.records import Ended, Event, Failed, Logged, Lost

_REACH_TIMEOUT_S = 5.0
_SOCKET_BYTES = 75  # of `/ray/session_2026-11-30_12-00-00_123456_1234567/sockets/plasma_store` and some more
_MAX_SOCKET_BYTES = 103  # the path of a Unix socket, on macOS
_CLOSE_TIMEOUT_S = 3.0  # for the `finally` blocks of the objectives when the session ends


class _Actor:
    """The actor on a Ray worker: a Worker, in the folder in which the user started the study."""

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
        with suppress(OSError):  # these files and folders may not exist on another machine of the cluster
            self._crash = Path(crash).open("w", encoding="utf-8")  # noqa: SIM115 - stays open until the process ends
            faulthandler.enable(self._crash)
        output = _open_output(_output_file(Path(crash)))
        if output is not None:
            output.redirect_descriptors()  # before anything of the user's runs, which may keep them
        with suppress(OSError):
            os.chdir(folder)
            sys.path.append(folder)
        os.environ["OMP_NUM_THREADS"] = str(threads)
        import torch  # noqa: F401 - so that seed and threads are set even if the objective imports it later

        objective = make_objective()
        use_threads(threads)
        objective.attach(shared)
        self._worker = Worker(objective, device, capture=OutputCapture(output), checkpoints=checkpoints)

    def ready(self) -> None:
        """Return as soon as the objective is loaded."""

    def advance(self, start: Job | None, stop: bool) -> tuple[list[Event], bool, bool]:
        """Like `Worker.advance`, but an unclean worker starts no job.

        Returns:
            The events, whether the worker is clean, and whether `start` was started.
        """
        events = self._worker.advance(None, stop=True) if stop else []
        if not self._worker.clean:
            return events, False, False
        return events + self._worker.advance(start, stop=False), self._worker.clean, True


@dataclass
class _Slot:
    """A slot for one trial, with its worker."""

    name: str
    actor: Any
    crash: Path  # faulthandler writes here when the process dies
    call: Any = None  # the call in flight
    trial: int | None = None
    queued: Job | None = None  # the job to send with the next call
    sent: Job | None = None  # the job that was sent with the call in flight
    stop: bool = False  # whether the next call stops the trial of the worker


class RayExecutor(Executor):
    """Runs trials on a local Ray, or on an existing Ray cluster.

    Args:
        make_objective: Creates the objective; called on each worker.
        shared: The data of the objective. It is put into the object store once, and the workers map it without a copy.
        workers: The number of workers, each of which runs one trial at a time.
        cpus: The number of CPUs of each worker.
        gpus: The number of GPUs of each worker; workers share a GPU if it is below 1.
        checkpoints: Where trials save their states; None if they do not.
        address: The address of an existing cluster; None to start a local Ray, or to use the one to which this process
            is already connected.
        ray_log: Whether Ray may log to the terminal.

    Raises:
        ExecutionError: The cluster cannot be reached, this process is connected to another one, it has too few CPUs or
            GPUs, or its workers cannot load the objective.
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
            elif address is not None:
                _check_connected_to(address)
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
            raise ExecutionError(f"no worker is free; the capacity is {self.capacity}")
        slot.trial, slot.queued = job.number, job
        return slot.name

    def stop(self, trial: int) -> None:
        for slot in self._slots:
            if slot.trial == trial:
                slot.trial, slot.queued, slot.stop = None, None, True

    def wait(self, timeout_s: float | None) -> list[Event]:
        for slot in self._slots:
            if slot.call is None and (slot.trial is not None or slot.stop):
                slot.call = slot.actor.advance.remote(slot.queued, slot.stop)
                slot.sent, slot.queued, slot.stop = slot.queued, None, False
        by_call = {slot.call: slot for slot in self._slots if slot.call is not None}
        ready, rest = ray.wait(list(by_call), num_returns=1, timeout=timeout_s)
        if rest:
            ready += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        # In the order of the slots, not of arrival, so that results depend less on timing.
        return [event for slot in self._slots if slot.call in ready for event in self._collect(slot)]

    def close(self) -> None:
        """Close every objective, so that its `finally` blocks run, unless its next report takes too long."""
        busy = [slot for slot in self._slots if slot.stop or slot.call is not None or slot.trial is not None]
        with suppress(RayError):
            calls = [slot.actor.advance.remote(None, True) for slot in busy]
            ray.wait(calls, num_returns=len(calls), timeout=_CLOSE_TIMEOUT_S)
        self._release()

    def _await_workers(self) -> None:
        """Wait until all workers have loaded the objective, so that errors are found before the first trial starts.

        It also keeps the start of a worker out of the duration of its first trial.
        """
        for slot in self._slots:
            try:
                ray.get(slot.actor.ready.remote())
            except RayError as error:
                raise ExecutionError(f"{slot.name} could not load the study: {_last_line(error)}") from error

    def _collect(self, slot: _Slot) -> Iterator[Event]:
        call, slot.call = slot.call, None
        try:
            events, clean, started = ray.get(call)
        except (RayTaskError, RaySystemError) as error:
            yield from self._handle_error(slot, error)
            return
        except RayError as error:
            if isinstance(error, RayActorError) and error.actor_init_failed:
                raise ExecutionError(f"{slot.name} could not load the study: {_last_line(error)}") from error
            yield from self._handle_death(slot, error)
            return
        yield from events
        if any(isinstance(event, Ended | Lost) for event in events):
            slot.trial = None
        if not started and slot.sent is not None:
            slot.queued = slot.sent
        if not clean and (slot.trial is None or slot.queued is not None):
            self._replace_worker(slot)

    def _handle_death(self, slot: _Slot, error: RayError) -> Iterator[Event]:
        """The worker has died. Its trial is lost, and may be started again."""
        ran, lost, text = self._interrupted(slot)
        text += _crash_report(slot)
        reason = f"{slot.name} died: {_death_reason(text, error)}"
        if ran is not None and (text or ran == lost):
            yield Logged(UNSTAMPED, ran, text or f"{reason}\n")
        if lost is not None:
            yield Lost(UNSTAMPED, lost, reason, "worker")
        self._replace_worker(slot)

    def _handle_error(self, slot: _Slot, error: RayError) -> Iterator[Event]:
        """An exception has escaped from the worker, which lives. The trial has failed: it would do so again."""
        ran, failed, text = self._interrupted(slot)
        if ran is not None:
            yield Logged(UNSTAMPED, ran, f"{text}{error}\n")
        if failed is not None:
            cause = error.cause if isinstance(error, RayTaskError) else error
            yield Ended(UNSTAMPED, failed, Failed(describe(cause)))
        self._replace_worker(slot)

    def _interrupted(self, slot: _Slot) -> tuple[int | None, int | None, str]:
        """What a call that brought no events has interrupted. The slot is freed, or queues its job again.

        Returns:
            The trial that was running or being closed, and its output since its last report; between them, the trial
            that has been lost: None if it was being closed, or has not begun.
        """
        ran, text = remaining_output(_output_file(slot.crash))
        sent = slot.sent
        if slot.queued is None and sent is not None and sent.number == slot.trial and ran not in (None, sent.number):
            slot.queued = sent  # the call has not come so far; the job is sent to the new worker
        lost = None
        if slot.queued is None:
            lost, slot.trial = slot.trial, None
        return lost if ran is None else ran, lost, text

    def _replace_worker(self, slot: _Slot) -> None:
        """Start another process for the slot. It gets the queued job."""
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
    """Start a local Ray, or connect to a cluster.

    A `RayExecutor` does this itself if Ray is not running yet, and then stops it when it is closed.

    Args:
        address: The address of an existing cluster; None to start a local Ray.
        cpus: The minimum number of CPUs that a local Ray offers.
        ray_log: Whether Ray may log to the terminal.

    Raises:
        ExecutionError: Ray cannot be started or reached.
    """
    if address is not None:
        _check_reachable(address)
    level = logging.INFO if ray_log else logging.ERROR
    logging.getLogger("ray").setLevel(level)
    # If the user wants more workers than cores, they share the cores.
    size = {} if address else {"num_cpus": max(cpus, os.cpu_count() or 1)}
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            log_to_driver=ray_log,
            logging_level=level,
            configure_logging=ray_log,
            **size,
            **({} if address else _short_folder()),
        )
    except (ConnectionError, RayError, RuntimeError, ValueError) as error:
        action = f"connect to the Ray cluster at {address}" if address else "start Ray"
        fix = "if it requires a token, set RAY_AUTH_MODE=token" if address else "fix this, or use the inline executor"
        raise ExecutionError(f"cannot {action}: {error}; {fix}") from error


def _short_folder() -> dict[str, str]:
    """The argument of `ray.init` for its files: a short folder if the path of a socket would be too long."""
    usual = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    if len(os.fsencode(usual)) + _SOCKET_BYTES <= _MAX_SOCKET_BYTES:
        return {}
    return {"_temp_dir": f"/tmp/archsearch-ray-{os.getuid()}"}


def _check_reachable(address: str) -> None:
    """Check that something listens at a `HOST:PORT` address, since Ray itself would try to connect for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or "://" in address:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise ExecutionError(
            f"no Ray cluster at {address}: {error}; start one there with `ray start --head`, or fix the address"
        ) from error


def _check_connected_to(address: str) -> None:
    """Check that the Ray to which this process is connected is the one at the address."""
    connected = ray.get_runtime_context().gcs_address
    if "://" not in address and address != "auto" and not _same_endpoint(address, connected):
        raise ExecutionError(
            f"cannot use the Ray cluster at {address}: this process is already connected to the one at {connected}; "
            "call ray.shutdown() before, or leave out the address"
        )


def _same_endpoint(address: str, other: str) -> bool:
    """Whether two `HOST:PORT` addresses are the same one, maybe by another name of this machine."""
    (host, _, port), (host2, _, port2) = address.rpartition(":"), other.rpartition(":")
    if port != port2:
        return False
    addresses, addresses2 = _addresses(host), _addresses(host2)
    here = _addresses(socket.gethostname()) | {ray.util.get_node_ip_address(), "127.0.0.1", "::1"}
    return bool(addresses & addresses2) or bool(addresses & here and addresses2 & here)


def _addresses(host: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host.strip("[]"), None)}
    except OSError:  # unknown
        return {host}


def _check_resources(workers: int, cpus: int, gpus: float) -> None:
    """Check that the cluster has enough CPUs and GPUs, since Ray would wait for missing ones forever."""
    have = ray.cluster_resources()
    for unit, each in (("GPU", gpus), ("CPU", float(cpus))):
        got = have.get(unit, 0.0)
        # A fraction belongs to one GPU: two workers of 0.6 GPUs need two GPUs.
        need = math.ceil(workers / int(1 / each)) if 0 < each < 1 else workers * each
        if need > got:
            raise ExecutionError(
                f"{count(workers, 'worker')} of {count(each, unit)} each: {count(need, unit)} needed, "
                f"{number(got)} available; use fewer workers, or fewer {unit}s per trial"
            )


def _actor_maker(
    make_objective: Callable[[], Objective], shared: Any, cpus: int, gpus: float, checkpoints: Checkpoints | None
) -> Callable[[str], Any]:
    """A function that starts an actor, given the path of its crash file."""
    actor = ray.remote(_Actor).options(num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0)
    device = "cuda" if gpus else "cpu"
    folder = str(Path.cwd())
    return lambda crash: actor.remote(make_objective, shared, cpus, device, folder, checkpoints, crash)


def _output_file(crash: Path) -> Path:
    return crash.with_suffix(".out")


def _open_output(path: Path) -> OutputFile | None:
    """The file for the output of a worker, which is a local one on another machine; None if no disk can be written."""
    with suppress(OSError):
        return OutputFile(path)
    with suppress(OSError), tempfile.TemporaryDirectory() as folder:
        return OutputFile(Path(folder) / path.name)  # it stays open
    return None


def _crash_report(slot: _Slot) -> str:
    """The traceback that faulthandler wrote when the process crashed in native code; "" if there is none."""
    try:
        return slot.crash.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _death_reason(text: str, error: RayError) -> str:
    """The first line of a crash in the last output of the worker, or else Ray's message."""
    crash = next((line for line in text.splitlines() if line.startswith("Fatal Python error: ")), None)
    return crash or " ".join(str(error).split("\n\t")[0].split())[:300]


def _last_line(error: RayError) -> str:
    """The last line of the worker's traceback, such as `ImportError: …`."""
    return str(error).strip().splitlines()[-1].strip()
