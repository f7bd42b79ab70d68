"""Preflight: what a study would try, looked at before any worker starts.

`archsearch check` samples a thousand configurations and asks the objective what each would cost, without training.
`archsearch run` rehearses a few, in a fraction of a second, so that networks which cannot be built are found at once.
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

COSTS = ("parameters", "flops", "memory_bytes")  # of a trial, as the objective's Costs name them
LIMIT_S = 60.0  # for counting costs
REHEARSED = 20  # samples before a run
REJECTABLE = 500  # draws before a run, of which the constraints may reject so many
REASON_LIMIT = 300  # characters
MOSTLY = 0.9  # of the draws: more rejected than that is worth a warning
MOST_REJECTED = 0.9999  # as it is shown: a few draws cannot tell that all are, and a legal configuration was found


@dataclass(frozen=True, slots=True)
class Range:
    """The least, the median and the most that a trial costs; `config` is one that costs the most."""

    least: int
    median: int
    most: int
    config: Config


@dataclass(frozen=True, slots=True)
class Failure:
    """Configs that cannot be built, for one reason; what differs in its numbers alone is one, told as the first."""

    reason: str
    count: int
    config: Config


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found. configs: how many were looked at. active: the share of them in which a parameter is active.

    data: the objective's line on its data, if it has one. rejected: the share of all draws that the constraints reject,
    and `rejected_by` each of them. costs: by their names
    in COSTS; empty when no config could be built, None when the objective does not tell them.
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
        """How many configs cannot be built."""
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
    """Looks at what a study would try.

    Args:
        study: The study.
        samples: How many configs to sample; the two corners of the space are looked at too.
        limit_s: Seconds after which no further costs are counted, and what was counted so far is the answer.

    Raises:
        ArchsearchError: There is a mistake in the data or the goal, or the space has hardly a legal config.
    """
    try:
        return _preflight(study, samples, limit_s)
    finally:
        study.trainable.release()


def _preflight(study: Declaration, samples: int, limit_s: float) -> Preflight:
    space, objective, rng = study.record().space, study.trainable, np.random.default_rng(study.seed)
    shared = objective.prepare()
    check_goal(study, shared)
    check_budget(study, shared)
    rejected = space.rejection_rates(rng, samples)
    configs = [*corners(space), *(space.sample(rng) for _ in range(samples))]
    counted: list[tuple[Costs, Config]] = []
    failures: dict[str, Failure] = {}
    stopped: list[str] = []
    tells = True
    outcomes: dict[str, Any] = {}  # by the config's text: equal values of two kinds, 1 and True, are not one
    began = time.perf_counter()
    for tried, config in enumerate(configs):
        if time.perf_counter() - began > limit_s:
            stopped = [f"stopped after {duration(limit_s)}, with {tried:,} of {len(configs):,} configurations counted"]
            configs = configs[:tried]
            break
        if (text := repr(config)) not in outcomes:
            outcomes[text] = _attempt(objective.costs, config, shared)
        if (outcome := outcomes[text]) is None:
            tells = False
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
        costs={name: _range(name, counted) for name in COSTS if counted} if tells else None,
        failures=sorted(failures.values(), key=lambda failure: -failure.count),
        warnings=[
            *setting_warnings(study, study.stopping.trials),
            *stopped,
            *_of_constraints(rejected.share),
            *_of_activity(configs, space),
            *_of_memory(counted, study),
        ],
    )


def check_space(study: Declaration) -> str | None:
    """A warning when the constraints leave next to nothing. Raises SpaceError when they leave nothing at all."""
    space, rng = study.record().space, np.random.default_rng(study.seed)
    if not space.constraints:
        return None
    space.sample(rng)
    return next(_of_constraints(space.rejection_rates(rng, REJECTABLE).share), None)


def rehearse(study: Declaration, shared: Any, *, limit_s: float = 0.3) -> str | None:
    """Tries to build a few configs.

    Args:
        study: The study.
        shared: What the objective has prepared.
        limit_s: Seconds after which it stops, however few it has tried.

    Returns:
        A warning if some cannot be built; None if all can, or the objective cannot tell.

    Raises:
        SpecError: It has tried all, and none can be built; never if trials use a GPU, since the networks may need one,
            and are tried on the CPU.
    """
    began, few, tried = time.perf_counter(), _few(study), 0
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


def check_goal(study: Declaration, shared: Any) -> None:
    """Raises SpecError for a metric that the objective does not yield on this data, if it says what it yields."""
    if (known := study.trainable.metrics_of(shared)) is not None:
        check_metrics(study.record().metrics, known, study.trainable)


def setting_warnings(study: Declaration, trials: int | None) -> list[str]:
    """Warnings about settings that do nothing, or the opposite of what is usual; a search does not fail by them.

    Args:
        study: The study.
        trials: How many it is to have in total, as the command may say otherwise than the study.
    """
    record = study.record()
    warnings = [warning for goal in record.goals if (warning := _direction_warning(goal)) is not None]
    for part in (study.strategy, study.pruner):
        if isinstance(part, Strategy | Pruner):  # a name was resolved when the study was declared
            warnings += part.warnings_for(record, trials)
    return warnings


# Words in the names of metrics that say which way is better.
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
    return f"{given}='{goal.metric}': of this metric {better} is usually better; did you mean {usual}='{goal.metric}'?"


def check_budget(study: Declaration, shared: Any) -> None:
    """Raises SpecError for a budget that the objective cannot have, if it says so."""
    study.trainable.check_budget(study.budget, shared)


def corners(space: Space) -> list[dict[str, Any]]:
    """The config of all lowest values and that of all highest, as far as they are legal."""
    ends = (
        space.walk(lambda parameter: parameter.domain.from_unit(0.0)),
        space.walk(lambda parameter: parameter.domain.from_unit(1.0)),
    )
    return [config for config in ends if space.legal(config)]


def _few(study: Declaration) -> Iterator[Config]:
    """The smallest, some samples, and the largest, which may take longest."""
    space, rng = study.record().space, np.random.default_rng(study.seed)
    ends = corners(space)
    yield from ends[:1]
    for _ in range(REHEARSED):
        yield space.sample(rng)
    yield from ends[1:]


@dataclass(frozen=True, slots=True)
class _Failed:
    reason: str


def _attempt(hook: Callable[[Config, Any], Any], config: Config, shared: Any) -> Any:
    """What the objective answers, or _Failed. What it prints is for a trial's log, and there is no trial."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return hook(config, shared)
    except Exception as error:  # noqa: BLE001 - a user's network may raise anything
        return _Failed(_reason(error))


def _reason(error: Exception) -> str:
    """In one line: what, where (a note may say in which layer), and without the kind where the text is ours."""
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


def _of_constraints(rejected: float) -> Iterator[str]:
    if rejected > MOSTLY:
        yield (
            f"the constraints reject {percent(min(rejected, MOST_REJECTED))} of all draws, so a strategy can hardly "
            "move; narrow the domains to where the constraints hold"
        )


def _of_activity(configs: Sequence[Config], space: Space) -> Iterator[str]:
    idle = [parameter.name for parameter in space.free if not any(parameter.name in config for config in configs)]
    if idle:
        yield (
            f"{', '.join(idle)} is active in none of {count(len(configs), 'configuration')}; look at its condition "
            "and at the constraints that read it"
        )


def _of_memory(counted: Sequence[tuple[Costs, Config]], study: Declaration) -> Iterator[str]:
    room, needs = room_bytes(study), [costs.memory_bytes for costs, _ in counted]
    if room is not None and (over := sum(need > room for need in needs)):
        where = "its GPU" if study.gpus else "this machine"
        yield (
            f"{over:,} of {count(len(needs), 'configuration')} may not fit into memory: they need up to "
            f"{file_size(max(needs))}, and {where} has {file_size(room)} for a trial; make the networks or "
            "the batches smaller"
        )


def room_bytes(study: Declaration) -> float | None:
    """The memory that this machine has for one trial, on the GPU where the study asks for one; None: not known."""
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
    """What varies of a config, in one line: `layers=2 units_1=64`."""
    return one_line({parameter.name: config[parameter.name] for parameter in space.free if parameter.name in config})
