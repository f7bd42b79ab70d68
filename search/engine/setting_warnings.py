"""Warnings about settings of a study that have no effect, or that are the opposite of what is usual."""

from __future__ import annotations

import os
import re

from archsearch.search.declaration import Declaration
from archsearch.search.engine.hooks import call_hook
from archsearch.search.protocols import Pruner, Strategy
from archsearch.spaces import Choice
from archsearch.spaces.flattening import Parameter
from archsearch.studies.formatting import count
from archsearch.studies.goals import Goal


def setting_warnings(study: Declaration, trials: int | None, *, address: str | None = None) -> list[str]:
    """Warnings about settings that have no effect, or that are the opposite of what is usual.

    Args:
        study: The study.
        trials: The total number of trials, which may be given on the command line instead of in the study.
        address: The address of a Ray cluster, if trials run on one instead of on this machine.
    """
    record = study.record()
    warnings = [warning for goal in record.goals if (warning := _direction_warning(goal)) is not None]
    warnings += [warning for parameter in record.space.free if (warning := _step_warning(parameter)) is not None]
    if study.executor == "inline" and (study.workers or 1) > 1:
        warnings.append(
            f"executor='inline' runs one trial at a time, so workers={study.workers} has no effect; remove it, or use "
            "executor='ray'"
        )
    if address is None and study.cpus > (cores := _cores()):
        warnings.append(
            f"cpus={study.cpus}, but this machine has {count(cores, 'core')}, so trials will compete for them; use "
            f"cpus={cores} or fewer"
        )
    for part in (study.strategy, study.pruner):
        if isinstance(part, Strategy | Pruner):  # a name was resolved when the study was declared
            warnings += call_hook(part, "warnings_for", record, trials)
    return warnings


def _step_warning(parameter: Parameter) -> str | None:
    domain = parameter.domain
    if isinstance(domain, Choice) or not domain.step or (highest := domain.from_unit(1.0)) == domain.high:
        return None
    return f"'{parameter.name}' never reaches {domain.high}: with step={domain.step}, its highest value is {highest}"


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


def _cores() -> int:
    """The number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
