"""Preflight: checks the configurations of a study before any worker starts.

`archsearch check` samples a thousand configurations and asks the objective for the cost of each, without training.
`archsearch run` rehearses a few in a fraction of a second, so that networks that cannot be built are found immediately.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from archsearch.search.declaration import Declaration
from archsearch.search.protocols import Pruner, Strategy
from archsearch.search.validation import check_metrics
from archsearch.spaces import ArchsearchError, Config, Space, SpecError
from archsearch.studies.formatting import count, duration, file_size, one_line, percent
from archsearch.studies.goals import Goal

if TYPE_CHECKING:
    from archsearch.spaces.networks.costs import Costs

COSTS = ("parameters", "flops", "memory_bytes")  # the fields of the objective's Costs
LIMIT_S = 60.0  # the time limit for counting costs
REHEARSAL_SAMPLES = 20  # samples before a run
CONSTRAINT_DRAWS = 500  # draws for measuring, before a run, how many the constraints reject
REASON_LIMIT = 300  # characters
HIGH_REJECTION = 0.9  # a larger share of rejected draws causes a warning
MAX_REJECTION_SHOWN = 0.9999  # never show 100 %: a legal configuration was found


@dataclass(frozen=True, slots=True)
class Range:
    """The lowest, the median and the highest cost of a trial; `config` is a configuration with the highest."""

    least: int
    median: int
    most: int
    config: Config


@dataclass(frozen=True, slots=True)
class Failure:
    """Configurations that cannot be built for the same reason. Reasons that differ only in numbers are the same.

    Attributes:
        reason: The first reason.
        count: The number of configurations.
        config: The first configuration.
    """

    reason: str
    count: int
    config: Config


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
        warnings: Warnings about the settings and the space.
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
            "costs": None if self.costs is None else {name: asdict(found) for name, found in self.costs.items()},
            "failed": self.failed,
            "failures": [asdict(failure) for failure in self.failures],
            "warnings": list(self.warnings),
        }


def preflight(study: Declaration, samples: int, *, limit_s: float = LIMIT_S) -> Preflight:
    """Check the configurations that a study would try, without training.

    Args:
        study: The study.
        samples: The number of configurations to sample; the two corners of the space are checked too.
        limit_s: Seconds after which no further costs are counted; the result then covers those counted so far.

    Raises:
        ArchsearchError: The data or the goal is invalid, or the space has hardly any legal configuration.
    """
    try:
        return _preflight(study, samples, limit_s)
    finally:
        study.trainable.release()


def _preflight(study: Declaration, samples: int, limit_s: float) -> Preflight:
    space, objective, rng = study.record().space, study.trainable, np.random.default_rng(study.seed)
    shared = prepare(study)
    check_budget(study, shared)
    rejected = space.rejection_rates(rng, samples)
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
    return Preflight(
        study=study.name,
        space=space,
        data=objective.summary_of(shared),
        configs=len(configs),
        active={name: sum(name in config for config in configs) / len(configs) for name in space},
        rejected=rejected.share,
        rejected_by=rejected.by_constraint,
        costs={name: _range(name, counted) for name in COSTS if counted} if has_costs else None,
        failures=sorted(failures.values(), key=lambda failure: -failure.count),
        warnings=[
            *setting_warnings(study, study.stopping.trials),
            *objective.warnings_of(shared),
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


def rehearse(study: Declaration, shared: Any, *, limit_s: float = 0.3) -> str | None:
    """Try to build the networks of a few configurations.

    Args:
        study: The study.
        shared: The data that the objective has prepared.
        limit_s: Seconds after which to stop, however few were tried.

    Returns:
        A warning if some cannot be built; None if all can, or if the objective has no rehearsal.

    Raises:
        SpecError: All were tried, and none can be built. Not raised if trials use a GPU: the networks may need one,
            but are built here on the CPU.
    """
    began, few, tried = time.perf_counter(), _rehearsal_configs(study), 0
    failed: list[tuple[str, Config]] = []
    for config in few:
        tried += 1
        outcome = _attempt(study.trainable.rehearse, config, shared)
        if isinstance(outcome, _Failed):
            failed.append((outcome.reason, config))
        if time.perf_counter() - began > limit_s:
            break
    if not failed:
        return None
    reason, config = failed[0]
    why = f"{reason}; first with {free_values(config, study.record().space)}; see all: archsearch check SPEC.py"
    if len(failed) == tried and next(few, None) is None and not study.gpus:
        raise SpecError(f"none of {count(tried, 'configuration')} can be built: {why}")
    return f"{len(failed)} of {count(tried, 'configuration')} cannot be built, and such trials will fail: {why}"


def prepare(study: Declaration) -> Any:
    """Prepare the data of the objective, and check that the objective reports the metrics of the study on it.

    The metrics are checked first as far as the objective can tell them from a small part of the data.

    Raises:
        ArchsearchError: The data is invalid.
        SpecError: The objective does not report a metric of the study on this data.
    """
    _check_goal(study, study.trainable.peek_metrics())
    shared = study.trainable.prepare()
    _check_goal(study, study.trainable.metrics_of(shared))
    return shared


def _check_goal(study: Declaration, known: Sequence[str] | None) -> None:
    if known is not None:
        check_metrics(study.record().metrics, known, study.trainable)


def setting_warnings(study: Declaration, trials: int | None) -> list[str]:
    """Warnings about settings that have no effect, or that are the opposite of what is usual.

    Args:
        study: The study.
        trials: The total number of trials, which may be given on the command line instead of in the study.
    """
    record = study.record()
    warnings = [warning for goal in record.goals if (warning := _direction_warning(goal)) is not None]
    for part in (study.strategy, study.pruner):
        if isinstance(part, Strategy | Pruner):  # a name was resolved when the study was declared
            warnings += part.warnings_for(record, trials)
    return warnings


# Words in the names of metrics that imply whether higher or lower is better.
_MAXIMIZED = {
    "acc",
    "accuracy",
    "auc",
    "auroc",
    "bleu",
    "dice",
    "f1",
    "iou",
    "map",
    "precision",
    "psnr",
    "r2",
    "recall",
}
_MINIMIZED = {"ce", "err", "error", "loss", "mae", "mape", "mse", "nll", "perplexity", "ppl", "rmse", "wer"}


def _direction_warning(goal: Goal) -> str | None:
    words = set(re.split(r"[^a-z0-9]+", re.sub(r"([a-z])(?=[A-Z])", r"\1_", goal.metric).lower()))
    higher, lower = bool(words & _MAXIMIZED), bool(words & _MINIMIZED)
    if higher == lower or words & {"neg", "negative", "minus"} or higher == goal.maximize:
        return None
    given, usual = ("maximize", "minimize") if goal.maximize else ("minimize", "maximize")
    better = "higher" if higher else "lower"
    return f"{given}='{goal.metric}': {better} is usually better for this metric; did you mean {usual}='{goal.metric}'?"


def check_budget(study: Declaration, shared: Any) -> None:
    """Check the budget of the study with the objective.

    Raises:
        SpecError: The objective does not support the budget.
    """
    study.trainable.check_budget(study.budget, shared)


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
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return hook(config, shared)
    except Exception as error:  # noqa: BLE001 - a user's network may raise anything
        return _Failed(_reason(error))


def _reason(error: Exception) -> str:
    """The error in one line, with its notes, which may name a layer; without its class if it is our own error."""
    text = " ".join(str(error).split())
    told = text if isinstance(error, ArchsearchError) else f"{type(error).__name__}: {text}".removesuffix(": ")
    return "; ".join([told[:REASON_LIMIT], *getattr(error, "__notes__", ())])


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
            f"{', '.join(idle)} is active in none of {count(len(configs), 'configuration')}; check its condition "
            "and the constraints that use it"
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
