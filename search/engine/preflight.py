"""Preflight: checks the configurations of a study before any worker starts.

`archsearch check` samples a thousand configurations and asks the objective for the cost of each, without training. Both
`check` and `run` rehearse a few of them in a fraction of a second, so that networks that cannot be built and functions
that fail are found immediately.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archsearch.search.declaration import Declaration
from archsearch.search.engine.hooks import call_hook
from archsearch.search.engine.setting_warnings import setting_warnings
from archsearch.search.executors.isolation import settings_for
from archsearch.search.user_code import describe, message_of
from archsearch.search.validation import check_metrics
from archsearch.spaces import ArchsearchError, Config, Space, SpecError
from archsearch.studies.formatting import count, duration, file_size, one_line, percent

if TYPE_CHECKING:
    from archsearch.spaces.networks.costs import Costs

COSTS = ("parameters", "flops", "memory_bytes")  # the fields of the objective's Costs
LIMIT_S = 60.0  # the time limit for counting costs
REHEARSAL_SAMPLES = 20  # samples that are rehearsed
REHEARSAL_LIMIT_S = 0.3  # the time limit for the rehearsal, unless all have failed so far
CONSTRAINT_DRAWS = 500  # draws for measuring, before a run, how many the constraints reject
HIGH_REJECTION = 0.9  # a larger share of rejected draws causes a warning
MAX_REJECTION_SHOWN = 0.9999  # never show 100 %: a legal configuration was found


@dataclass(frozen=True, slots=True)
class Range:
    """The lowest, the median and the highest cost of a trial; `config` is a configuration with the highest."""

    least: int
    median: int
    most: int
    config: Config

    def to_json(self) -> dict[str, Any]:
        return {"min": self.least, "median": self.median, "max": self.most, "config": dict(self.config)}


@dataclass(frozen=True, slots=True)
class Failure:
    """Configurations that fail for the same reason. Reasons that differ only in numbers are the same.

    Attributes:
        reason: The first reason.
        count: The number of configurations.
        config: The first configuration.
    """

    reason: str
    count: int
    config: Config


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The result of a rehearsal.

    Attributes:
        tried: The number of configurations that were tried.
        complete: Whether there are no others to try.
        failures: Those that failed, by reason, the most frequent reason first.
    """

    tried: int
    complete: bool
    failures: Sequence[Failure]

    @property
    def failed(self) -> int:
        """The number of configurations that failed."""
        return sum(failure.count for failure in self.failures)

    def to_json(self) -> dict[str, Any]:
        return {"tried": self.tried, "failures": [asdict(failure) for failure in self.failures]}


@dataclass(frozen=True, slots=True)
class Preflight:
    """The result of a preflight.

    Attributes:
        study: The name of the study.
        space: Its space.
        data: The objective's summary of its data; None if it has none.
        configs: The number of configurations that were checked.
        active: For each parameter, the share of configurations in which it is active.
        rejected: The share of all draws that the constraints reject.
        rejected_by: The share of all draws that each constraint rejects.
        costs: The costs by their names in `COSTS`; empty if no configuration could be built, None if the objective
            does not provide costs.
        failures: The configurations that cannot be built, by reason, the most frequent reason first.
        rehearsal: The rehearsal of a few configurations among those that can be built.
        warnings: Warnings about the settings, the data and the space.
    """

    study: str
    space: Space
    data: str | None
    configs: int
    active: Mapping[str, float]
    rejected: float
    rejected_by: Mapping[str, float]
    costs: Mapping[str, Range] | None
    failures: Sequence[Failure]
    rehearsal: Rehearsal
    warnings: Sequence[str]

    @property
    def failed(self) -> int:
        """The number of configurations that cannot be built."""
        return sum(failure.count for failure in self.failures)

    def to_json(self) -> dict[str, Any]:
        size = self.space.size()
        return {
            "study": self.study,
            "size": None if size == math.inf else int(size),
            "data": self.data,
            "configs": self.configs,
            "parameters": [
                {
                    "name": parameter.name,
                    "domain": parameter.domain.to_json(),
                    "when": parameter.condition.text if parameter.condition else None,
                    "active": self.active[parameter.name],
                }
                for parameter in self.space.parameters
            ],
            "rejected": {"share": self.rejected, "by_constraint": dict(self.rejected_by)},
            "costs": None if self.costs is None else {name: found.to_json() for name, found in self.costs.items()},
            "failed": self.failed,
            "failures": [asdict(failure) for failure in self.failures],
            "rehearsal": self.rehearsal.to_json(),
            "warnings": list(self.warnings),
        }


def preflight(study: Declaration, samples: int, *, limit_s: float = LIMIT_S) -> Preflight:
    """Check the configurations that a study would try, without training.

    Args:
        study: The study.
        samples: The number of configurations to sample; the two corners of the space are checked too.
        limit_s: Seconds after which no further costs are counted; the result then covers those counted so far.

    Raises:
        ArchsearchError: The data, the goal or a custom function is invalid, or the space has hardly any legal
            configuration.
    """
    try:
        with settings_for(study.trainable):
            return _preflight(study, samples, limit_s)
    finally:
        call_hook(study.trainable, "release")


def _preflight(study: Declaration, samples: int, limit_s: float) -> Preflight:
    space, objective = study.record().space, study.trainable
    shared = prepare(study)
    check_budget(study, shared)
    functions = check_functions(study, shared)
    rejected = space.rejection_rates(np.random.default_rng(study.seed), samples)
    rng = np.random.default_rng(study.seed)  # the same samples as in the rehearsal come first
    configs = [*corners(space), *(space.sample(rng) for _ in range(samples))]
    counted: list[tuple[Costs, Config]] = []
    failures: dict[str, Failure] = {}
    stopped: list[str] = []
    has_costs = True
    outcomes: dict[str, Any] = {}  # by the repr of the configuration, which distinguishes 1 and True
    began = time.perf_counter()
    for tried, config in enumerate(configs):
        if time.perf_counter() - began > limit_s:
            stopped = [f"stopped after {duration(limit_s)}, with {tried:,} of {len(configs):,} configurations counted"]
            configs = configs[:tried]
            break
        if (text := repr(config)) not in outcomes:
            outcomes[text] = _attempt(objective.costs, config, shared)
        if (outcome := outcomes[text]) is None:
            has_costs = False
            break
        if isinstance(outcome, _Failed):
            _add(failures, outcome.reason, config)
        else:
            counted.append((outcome, config))
    # What cannot be built is listed already.
    sound = (config for config in _rehearsal_configs(study) if not isinstance(outcomes.get(repr(config)), _Failed))
    return Preflight(
        study=study.name,
        space=space,
        data=call_hook(objective, "summary_of", shared),
        configs=len(configs),
        active={name: sum(name in config for config in configs) / len(configs) for name in space},
        rejected=rejected.share,
        rejected_by=rejected.by_constraint,
        costs={name: _range(name, counted) for name in COSTS if counted} if has_costs else None,
        failures=_most_frequent_first(failures),
        rehearsal=_rehearse(study, shared, sound, REHEARSAL_LIMIT_S),
        warnings=[
            *setting_warnings(study, study.stopping.trials),
            *objective.data_warnings(shared),
            *([] if functions is None else [functions]),
            *stopped,
            *_constraint_warnings(rejected.share),
            *_activity_warnings(configs, space),
            *_memory_warnings(counted, study),
        ],
    )


def check_space(study: Declaration) -> str | None:
    """Check that the constraints leave enough of the space.

    Returns:
        A warning if the constraints reject nearly all configurations, else None.

    Raises:
        SpaceError: The constraints reject all configurations.
    """
    space, rng = study.record().space, np.random.default_rng(study.seed)
    if not space.constraints:
        return None
    space.sample(rng)
    return next(_constraint_warnings(space.rejection_rates(rng, CONSTRAINT_DRAWS).share), None)


def rehearse(
    study: Declaration, shared: Any, *, spec: str | None = None, limit_s: float = REHEARSAL_LIMIT_S
) -> str | None:
    """Try a few configurations: build their networks, and call custom functions and techniques.

    Args:
        study: The study.
        shared: The data that the objective has prepared.
        spec: The path of the spec file, for which the message recommends `archsearch check`; None if there is none.
        limit_s: Seconds after which to stop, however few were tried, if at least one of them has succeeded.

    Returns:
        A warning if some fail; None if none does, or if the objective has no rehearsal.

    Raises:
        SpecError: All fail. Not raised if trials use a GPU: they may need one, but are tried here on the CPU.
    """
    found = _rehearse(study, shared, _rehearsal_configs(study), limit_s)
    if not found.failures:
        return None
    first = found.failures[0]
    why = f"{first.reason}; first with {free_values(first.config, study.record().space)}"
    if spec is not None:
        why += f"; see all: archsearch check {shlex.quote(_short_path(spec))}"
    tried = count(found.tried, "configuration")
    if found.failed == found.tried and found.complete and not study.gpus:
        raise SpecError(f"none of {tried} can be trained: {why}")
    return f"{found.failed} of {tried} cannot be trained, and such trials will fail: {why}"


def _rehearse(study: Declaration, shared: Any, configs: Iterator[Config], limit_s: float) -> Rehearsal:
    failures: dict[str, Failure] = {}
    tried, sound = 0, False
    began = math.inf
    for config in configs:
        tried += 1
        with settings_for(study.trainable):
            outcome = _attempt(study.trainable.rehearse, config, shared)
        if isinstance(outcome, _Failed):
            _add(failures, outcome.reason, config)
        else:
            sound = True
        began = min(began, time.perf_counter())  # the first attempt may import modules, and does not count
        # While all have failed, only trying the rest tells whether any trial can succeed.
        if (sound or study.gpus) and time.perf_counter() - began >= limit_s:
            break
    return Rehearsal(tried, next(configs, None) is None, _most_frequent_first(failures))


def check_functions(study: Declaration, shared: Any) -> str | None:
    """Try each custom function of the objective once, whatever configurations use it.

    Args:
        study: The study.
        shared: The data that the objective has prepared.

    Returns:
        A warning if one fails and trials use a GPU, which the function may need, but is tried here on the CPU.

    Raises:
        SpecError: One fails, and trials do not use a GPU.
    """
    try:
        with _silenced(), settings_for(study.trainable):
            call_hook(study.trainable, "check_functions", shared)
    except SpecError as error:
        if not study.gpus:
            raise
        return f"{error} (it was tried on the CPU)"
    return None


def prepare(study: Declaration) -> Any:
    """Prepare the data of the objective, and check that the objective reports the metrics of the study on it.

    The metrics are checked first as far as the objective can tell them from a small part of the data.

    Raises:
        ArchsearchError: The data is invalid.
        SpecError: The objective does not report a metric of the study on this data.
    """
    _check_goal(study, call_hook(study.trainable, "peek_metrics"))
    shared = call_hook(study.trainable, "prepare")
    _check_goal(study, call_hook(study.trainable, "metrics_of", shared))
    return shared


def _check_goal(study: Declaration, known: Sequence[str] | None) -> None:
    if known is not None:
        check_metrics(study.record().metrics, known, study.trainable)


def check_budget(study: Declaration, shared: Any) -> None:
    """Check the budget of the study with the objective.

    Raises:
        SpecError: The objective does not support the budget.
    """
    call_hook(study.trainable, "check_budget", study.budget, shared)


def corners(space: Space) -> list[dict[str, Any]]:
    """The configuration of all lowest values and the one of all highest values, if they are legal."""
    ends = (
        space.walk(lambda parameter: parameter.domain.from_unit(0.0)),
        space.walk(lambda parameter: parameter.domain.from_unit(1.0)),
    )
    return [config for config in ends if space.legal(config)]


def _rehearsal_configs(study: Declaration) -> Iterator[Config]:
    """The smallest configuration, some samples, and the largest, which may take longest."""
    space, rng = study.record().space, np.random.default_rng(study.seed)
    ends = corners(space)
    yield from ends[:1]
    for _ in range(REHEARSAL_SAMPLES):
        yield space.sample(rng)
    yield from ends[1:]


@dataclass(frozen=True, slots=True)
class _Failed:
    reason: str


def _attempt(hook: Callable[[Config, Any], Any], config: Config, shared: Any) -> Any:
    """The objective's answer, or _Failed. Its output is discarded, since there is no trial to log it for."""
    try:
        with _silenced():
            return hook(config, shared)
    except Exception as error:  # noqa: BLE001 - a user's network may raise anything
        return _Failed(_reason(error))


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _reason(error: Exception) -> str:
    """The error in one line, with the line of the user's code that raised it and its notes, which may name a layer."""
    own = isinstance(error, ArchsearchError)
    told = message_of(error) if own else describe(error)
    return "; ".join([told, *getattr(error, "__notes__", ())])


def _most_frequent_first(failures: Mapping[str, Failure]) -> list[Failure]:
    return sorted(failures.values(), key=lambda failure: -failure.count)


def _short_path(path: str) -> str:
    """The path relative to the current folder, if it lies inside."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def _add(failures: dict[str, Failure], reason: str, config: Config) -> None:
    kind = re.sub(r"\d+", "#", reason)
    before = failures.get(kind, Failure(reason, 0, config))
    failures[kind] = replace(before, count=before.count + 1)


def _range(name: str, counted: Sequence[tuple[Costs, Config]]) -> Range:
    numbers = [int(getattr(costs, name)) for costs, _ in counted]
    most = max(numbers)
    return Range(min(numbers), statistics.median_low(numbers), most, counted[numbers.index(most)][1])


def _constraint_warnings(rejected: float) -> Iterator[str]:
    if rejected > HIGH_REJECTION:
        yield (
            f"the constraints reject {percent(min(rejected, MAX_REJECTION_SHOWN))} of all draws, which leaves little "
            "to search; narrow the domains to where the constraints are satisfied"
        )


def _activity_warnings(configs: Sequence[Config], space: Space) -> Iterator[str]:
    idle = [parameter.name for parameter in space.free if not any(parameter.name in config for config in configs)]
    if idle:
        yield (
            f"{', '.join(idle)} {'is' if len(idle) == 1 else 'are'} active in none of "
            f"{count(len(configs), 'configuration')}; check the conditions and the constraints"
        )


def _memory_warnings(counted: Sequence[tuple[Costs, Config]], study: Declaration) -> Iterator[str]:
    room, needs = available_memory(study), [costs.memory_bytes for costs, _ in counted]
    if room is not None and (over := sum(need > room for need in needs)):
        where = "its GPU" if study.gpus else "this machine"
        yield (
            f"{over:,} of {count(len(needs), 'configuration')} may not fit into memory: they need up to "
            f"{file_size(max(needs))}, and {where} has {file_size(room)} for a trial; make the networks or "
            "the batches smaller"
        )


def available_memory(study: Declaration) -> float | None:
    """The memory in bytes for one trial on this machine, or on its GPU if trials use one; None if it is not known."""
    if study.gpus:
        torch = sys.modules.get("torch")  # loaded by the objective, if it can use a GPU
        if torch is None or not torch.cuda.is_available():
            return None
        return float(torch.cuda.get_device_properties(0).total_memory * min(1.0, study.gpus))
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not Linux, nor a Mac
        return None
    return total / (study.workers or 1)


def free_values(config: Config, space: Space) -> str:
    """The values of the free parameters in one line: `layers=2 units_1=64`."""
    return one_line({parameter.name: config[parameter.name] for parameter in space.free if parameter.name in config})
