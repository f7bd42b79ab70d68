"""The base class of data sources. A source only loads samples; checks, split and preprocessing are the same for all.

The built-in sources (`csv`, `idx`, `arrays`, …) derive from it, just as a user's own do.
"""

from __future__ import annotations

import difflib

import numpy.typing as npt

from archsearch.search.training.data.samples import Samples
from archsearch.search.training.data.streaming import Allocate
from archsearch.spaces.errors import DataError


class DataSource:
    """Where data comes from: subclass it, write `load`, and pass an instance as `Supervised(data=...)`.

        class Measurements(DataSource):
            def __init__(self, path):
                self.path = path

            def load(self):
                table = np.loadtxt(self.path)  # (n, 5)
                return Samples(inputs=table[:, :4], targets=table[:, 4])

        Supervised(data=Measurements("m.txt"), ...)
        Supervised(data=Data(Measurements("m.txt"), split=Split(folds=5), scaling="min_max"), ...)

    Everything else works the same for all sources: checks and error messages, the split and its folds, preprocessing,
    streaming of data larger than memory, the fingerprint that a resumed study compares, the transfer to the workers.

    A source is a declaration: making one should read nothing, so that a study file stays quick to import. It must
    pickle, and should hold a path rather than the data. `archsearch.search.testing.data_sources` has tests for it.
    """

    __slots__ = ()

    def load(self) -> Samples:
        """Read the whole data set. This is the only method that a source must have.

        Called in the driver process, once per session and never on a worker. Each call must return the same samples in
        the same order, also in another process: a resumed study refuses other data.

        Raises:
            DataError: Data is missing or malformed. Say what was expected, what was found, and how to fix it.
        """
        raise DataError(_missing_load(type(self)))

    def load_into(self, allocate: Allocate) -> Samples:
        """Same as `load`, for a source that fills one large array; by default it calls `load`.

        Override it where the inputs may be larger than memory and are made one by one, as images are decoded. Inputs
        that are already on disk as one array need no override: return an `np.load(path, mmap_mode="r")` from `load`.

        Args:
            allocate: Called as `allocate(shape, dtype)`, returns an array to fill, like `np.empty`. The array is in
                memory, or a temporary file if it would be too large (see `Streaming`).
        """
        return self.load()

    def load_targets(self) -> npt.ArrayLike | None:
        """Read only the targets, if that is much faster than `load`; None, the default, if it is not.

        Called before `load`, unless the source has an attribute `task` that is not None: the targets tell the task, and
        a study with a metric of the other task is then refused before the inputs are read.

        Returns:
            The targets of `load`, including those of an official test part; or None.

        Raises:
            DataError: As in `load`.
        """
        return None

    def __str__(self) -> str:
        """How error messages name the source."""
        return type(self).__name__

    def __repr__(self) -> str:
        settings = (f"{name}={value!r}" for name, value in getattr(self, "__dict__", {}).items() if name[0] != "_")
        return f"{type(self).__name__}({', '.join(settings)})"


def check_source(source: object) -> None:
    """Raises DataError if it is no source, has no `load`, or has a method whose name looks like a misspelt one."""
    if isinstance(source, type):
        raise DataError(
            f"a data source must be an instance, got the class {source.__name__}; write {source.__name__}(...)"
        )
    if not isinstance(source, DataSource):
        raise DataError(
            f"a data source must be a DataSource, got {source!r}; derive its class from DataSource, or use one of "
            "csv(), arrays(), dataset() and the like"
        )
    kind = type(source)
    if kind.load is DataSource.load:
        raise DataError(_missing_load(kind))
    for name in ("load_into", "load_targets"):
        # Below 0.85 are names that are meant as they are, such as load_one.
        misspelt = difflib.get_close_matches(name, _own_methods(kind), n=1, cutoff=0.85)
        if misspelt and getattr(kind, name) is getattr(DataSource, name):
            raise DataError(f"{kind.__name__} has no member {name}, but {misspelt[0]}; did you mean '{name}'?")


def _missing_load(kind: type) -> str:
    close = difflib.get_close_matches("load", _own_methods(kind), n=1)
    hint = (
        f"it has {close[0]}(); did you mean 'load'?"
        if close
        else "write def load(self): return Samples(inputs, targets)"
    )
    return f"the data source {kind.__name__} has no load(); {hint}"


def _own_methods(kind: type) -> list[str]:
    return [name for name in dir(kind) if name not in dir(DataSource) and callable(getattr(kind, name))]
