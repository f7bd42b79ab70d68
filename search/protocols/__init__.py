"""The interfaces of the search: Strategy, Pruner, Executor, Objective and Observer, and the values they exchange."""

from archsearch.search.protocols.executor import UNSTAMPED, Executor, Job
from archsearch.search.protocols.objective import Objective
from archsearch.search.protocols.observer import Observer
from archsearch.search.protocols.progress import Progress, ShowProgress, Silent
from archsearch.search.protocols.pruner import Continue, Pruner, Stop, Verdict
from archsearch.search.protocols.strategy import Strategy
from archsearch.search.protocols.trial_context import CheckpointWriter, Reporter, TrialContext, TrialStopped
from archsearch.studies.records import Metrics

__all__ = [
    "UNSTAMPED",
    "CheckpointWriter",
    "Continue",
    "Executor",
    "Job",
    "Metrics",
    "Objective",
    "Observer",
    "Progress",
    "Pruner",
    "Reporter",
    "ShowProgress",
    "Silent",
    "Stop",
    "Strategy",
    "TrialContext",
    "TrialStopped",
    "Verdict",
]
