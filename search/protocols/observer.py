"""Observer: receives the events of a study."""

from __future__ import annotations

from archsearch.studies.history import History
from archsearch.studies.records import Event, Trial


class Observer:
    """Receives the events of a study after they are committed: `Study(observers=[MyObserver()])`.

    Override the methods that you need. They are called in order, in the driver's process, in a separate thread for each
    observer, so an observer that is slow or raises an exception does not affect the study. Its first exception is shown
    as a warning, and it still receives the following events. When the session ends, observers have five seconds to
    process the remaining events; the rest is dropped, with a warning. Each Ray worker executes the spec file too, so
    open files in these methods, not in `__init__`.

    `history` is the study after all events that were committed together with the event.
    """

    def on_event(self, event: Event, history: History) -> None:
        """Anything that happened; the classes are in `archsearch.studies.records`. Comes before the methods below."""

    def on_trial_end(self, trial: Trial, history: History) -> None:
        """A trial has finished, was pruned or has failed: `trial.state` says which. A paused trial has not ended."""

    def on_new_best(self, trial: Trial, history: History) -> None:
        """The trial, which has just finished, is now `history.best`."""

    def on_study_end(self, history: History) -> None:
        """The session is over, for the reason in `history.session_ended.reason`: it is done, or was interrupted."""
