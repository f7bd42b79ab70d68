"""The conversion between events and the rows of the store: kind, trial, time and a JSON body."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from archsearch.spaces.domains import tupled
from archsearch.studies.records import (
    Ended,
    Event,
    Extended,
    Failed,
    Finished,
    Logged,
    Lost,
    Outcome,
    Paused,
    Proposal,
    Proposed,
    Pruned,
    Report,
    Reported,
    RunCompleted,
    SessionEnded,
    SessionStarted,
    Started,
)
from archsearch.studies.stopping_criteria import StoppingCriteria

Row = tuple[str, int | None, float, str]  # kind, trial, at, body

_PROPOSAL_FIELDS = ("budget", "proposer", "reason", "drawn_at_random", "state")
_SESSION_FIELDS = ("workers", "executor", "host", "pid")


def encode(event: Event) -> Row:
    """Convert an event to a row.

    The body is compact JSON in UTF-8. A lone surrogate cannot be encoded in UTF-8 and is written as a JSON escape;
    trials may print them, as they occur in file names.

    Returns:
        The kind, the number of the trial (None for events of the whole study), the time in seconds since the epoch,
        and the body.

    Raises:
        ValueError: The event contains NaN or an infinity.
    """
    trial = None if isinstance(event, SessionStarted | SessionEnded) else event.trial
    body = json.dumps(_body(event), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    body = body.encode("utf-8", "backslashreplace").decode("utf-8")
    return _kind(event), trial, float(event.at), body


def _kind(event: Event) -> str:
    """`SessionStarted` → `session_started`."""
    return re.sub(r"(?<=.)(?=[A-Z])", "_", type(event).__name__).lower()


def _body(event: Event) -> dict[str, Any]:
    match event:
        case Reported(_, _, report):
            body = {"step": report.step, "metrics": dict(report.metrics), "seconds": report.seconds}
            return {**body, "checkpoint": report.checkpoint} if report.checkpoint else body
        case Proposed(_, _, proposal, seen):
            return {
                "config": dict(proposal.config),
                "budget": proposal.budget,
                "proposer": proposal.proposer,
                "reason": proposal.reason,
                "drawn_at_random": proposal.drawn_at_random,
                "state": dict(proposal.state),
                "seen": seen,
            }
        case Started(_, _, attempt, worker, from_step):
            return {"attempt": attempt, "worker": worker, "from_step": from_step}
        case Ended(_, _, outcome):
            return _outcome_body(outcome)
        case Lost(_, _, reason, blame):
            return {"reason": reason, "blame": blame}
        case Logged(_, _, text):
            return {"text": text}
        case Extended(_, _, budget, reason, state, seen):
            return {"budget": budget, "reason": reason, "state": dict(state), "seen": seen}
        case Paused() | RunCompleted():
            return {}
        case SessionStarted():
            return {"stopping": event.stopping.to_json(), **{name: getattr(event, name) for name in _SESSION_FIELDS}}
        case SessionEnded(_, reason):
            return {"reason": reason}


def _outcome_body(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Finished():
            return {"outcome": "finished"}
        case Pruned(reason):
            return {"outcome": "pruned", "reason": reason}
        case Failed(error):
            return {"outcome": "failed", "reason": error}


def decode(kind: str, trial: int, at: float, text: str) -> Event:
    """Convert a row to its event; the inverse of `encode`.

    Args:
        kind: The kind of the event, such as "session_started".
        trial: The number of the trial; ignored for events of the whole study.
        at: The time, in seconds since the epoch.
        text: The JSON body.

    Raises:
        ValueError: This version does not know the kind or the outcome.
        KeyError: The body lacks a field.
    """
    body: Mapping[str, Any] = json.loads(text)
    match kind:
        case "reported":
            report = Report(body["step"], body["metrics"], body["seconds"], body.get("checkpoint", ""))
            return Reported(at, trial, report)
        case "proposed":
            config = {name: tupled(value) for name, value in body["config"].items()}
            proposal = Proposal(config, **{name: body[name] for name in _PROPOSAL_FIELDS})
            return Proposed(at, trial, proposal, body["seen"])
        case "started":
            return Started(at, trial, body["attempt"], body["worker"], body["from_step"])
        case "ended":
            return Ended(at, trial, _outcome(body))
        case "lost":
            return Lost(at, trial, body["reason"], body["blame"])
        case "logged":
            return Logged(at, trial, body["text"])
        case "extended":
            return Extended(at, trial, body["budget"], body["reason"], body["state"], body["seen"])
        case "paused":
            return Paused(at, trial)
        case "run_completed":
            return RunCompleted(at, trial)
        case "session_started":
            stopping = StoppingCriteria.from_json(body["stopping"])
            return SessionStarted(at, stopping, **{name: body[name] for name in _SESSION_FIELDS})
        case "session_ended":
            return SessionEnded(at, body["reason"])
        case _:
            raise ValueError(f"unknown event kind {kind!r}")


def _outcome(body: Mapping[str, Any]) -> Outcome:
    match body["outcome"]:
        case "finished":
            return Finished()
        case "pruned":
            return Pruned(body["reason"])
        case "failed":
            return Failed(body["reason"])
        case other:
            raise ValueError(f"unknown outcome {other!r}")
