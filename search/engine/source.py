"""The source of a study, from which a worker or a later session can recreate it.

A spec file is kept as path and text, and imported again (`archsearch.search.engine.spec`). A study that its file does
not declare when imported is pickled by value, with cloudpickle: one from a notebook, or one that a script creates under
`if __name__ == "__main__":` or inside a function.
"""

from __future__ import annotations

import base64
import inspect
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from archsearch.search.declaration import Declaration
from archsearch.search.engine import pickled_main
from archsearch.search.engine.moved_folders import Moved, moved_folder
from archsearch.search.engine.spec import SpecFile
from archsearch.search.engine.spec_module import add_to_path, arguments
from archsearch.search.protocols import Objective
from archsearch.spaces import SpecError


@dataclass(frozen=True, slots=True)
class Pickled:
    """A pickled study, from a notebook, a script or a program.

    Attributes:
        data: The pickle of the study without its observers, in base64. What is defined in `__main__` is pickled by
            value, with everything that it uses from there; what is imported from other modules, by reference.
        observers: The pickle of the observers, in base64; empty if there are none. Workers do not need them.
        lost: The class names of the observers that cannot be pickled.
        folder: The folder from which the script may import modules; None for a notebook.
        script: The script, which the children of workers import as they would if it had started them; None for a
            notebook.
        module: The name of the script's module if it was started with `python -m`.
        argv: `sys.argv` of the script, which its trials may read; None for a notebook.
        moved: Where to search for modules instead, if the folder no longer exists.
    """

    data: str
    observers: str = ""
    lost: tuple[str, ...] = ()
    folder: Path | None = None
    script: str | None = None
    module: str | None = None
    argv: tuple[str, ...] | None = None
    moved: Moved | None = None

    @classmethod
    def from_study(cls, study: Declaration) -> Pickled:
        """Pickle a study.

        Raises:
            SpecError: Something in the study other than an observer cannot be pickled.
        """
        kept, lost = [], []
        for observer in study.observers:
            try:
                cloudpickle.dumps(observer)
                kept.append(observer)
            except Exception:  # noqa: BLE001 - pickling runs the observer's own code
                lost.append(type(observer).__name__)
        try:
            data = _pickle(replace(study, observers=()) if study.observers else study)
            return cls(data, _pickle(tuple(kept)) if kept else "", tuple(lost))
        except Exception as error:
            raise SpecError(
                f"the study cannot be sent to workers: {error}; create this object inside the objective instead"
            ) from error

    def load(self) -> Declaration:
        if self.folder is not None:
            add_to_path([str(self.folder)] if self.moved is None else self.moved.folders)
        try:
            study = pickled_main.loads(base64.b64decode(self.data))
            observers = pickled_main.loads(base64.b64decode(self.observers)) if self.observers else ()
        except Exception as error:
            moved = "" if self.moved is None else f" ({self.moved})"
            raise SpecError(
                f"the stored study cannot be loaded: {type(error).__name__}: {error}; resume it where its modules can "
                f"be imported{moved}"
            ) from error
        if not isinstance(study, Declaration):
            raise SpecError(f"the store must contain a Study, but contains a {type(study).__name__}")
        return replace(study, observers=observers) if observers else study

    @property
    def warnings(self) -> list[str]:
        """What the user should know before the study runs or continues."""
        found = [] if self.moved is None else [str(self.moved)]
        if self.lost:
            names = ", ".join(self.lost)
            found.append(f"the observers {names} cannot be pickled, so archsearch.resume continues without them")
        return found

    def arguments(self) -> AbstractContextManager[None]:
        """A context in which `sys.argv` is what the user gave."""
        return arguments(self.argv)

    def objective(self) -> Objective:
        """The objective, on a worker. `sys.argv` remains what the user gave."""
        if self.argv is not None:
            sys.argv = [*self.argv]
        if self.script is not None and Path(self.script).is_file():
            pickled_main.use_script(self.script, self.module)
        return replace(self, observers="").load().trainable

    def with_store(self, store: Path) -> Pickled:
        """The same, with modules from beside the store or from the current folder if the script's folder was moved."""
        return self if self.folder is None else replace(self, moved=moved_folder(self.folder, store))

    def to_json(self) -> dict[str, Any]:
        body = {"kind": "pickle", "data": self.data, "observers": self.observers, "lost": [*self.lost]}
        if self.folder is not None:
            body["folder"] = str(self.folder)
        for name in ("script", "module"):
            if (value := getattr(self, name)) is not None:
                body[name] = value
        return body if self.argv is None else body | {"argv": [*self.argv]}


def _pickle(value: object) -> str:
    return base64.b64encode(pickled_main.dumps(value)).decode()


Source = SpecFile | Pickled


def stored_source(meta: Mapping[str, Any], store: Path) -> Source:
    """The latest source in the `meta` of a store.

    Args:
        meta: The entries of the store.
        store: Its file. If the folder of the study was moved, its modules are searched near the store.

    Raises:
        SpecError: The store belongs to a `Session`, which has no source.
    """
    body = meta[_keys(meta)[-1]]
    if body["kind"] == "session":
        raise SpecError("this store belongs to a Session, whose trials your own program runs; run that program again")
    if body["kind"] == "file":
        return SpecFile.from_json(body).with_store(store)
    pickled = Pickled(
        body["data"],
        body.get("observers", ""),
        tuple(body.get("lost", ())),
        folder=Path(body["folder"]) if "folder" in body else None,
        script=body.get("script"),
        module=body.get("module"),
        argv=tuple(body["argv"]) if "argv" in body else None,
    )
    return pickled.with_store(store)


def next_key(meta: Mapping[str, Any], source: Source) -> str | None:
    """The key under which to store this source, as entries cannot be changed; None if it is already the latest one."""
    keys = _keys(meta)
    return None if meta[keys[-1]] == source.to_json() else f"source_{len(keys) + 1}"


def _keys(meta: Mapping[str, Any]) -> list[str]:
    """The keys of all sources, the latest last: `source`, `source_2` and so on."""
    keys = ["source"]
    while (key := f"source_{len(keys) + 1}") in meta:
        keys.append(key)
    return keys


def source_of(study: Declaration) -> Source:
    """The source of a study: the running script if it declares the study as its `study`, else the pickled study.

    Raises:
        SpecError: The script calls `study.run()` outside of `if __name__ == "__main__":`.
    """
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    if main is None or path is None or not Path(path).is_file():
        return Pickled.from_study(study)
    if vars(main).get("study") is study:
        spec = SpecFile.from_main(main)
        if spec.binds_study and not spec.binds_study_when_run:
            _check_guarded(spec, main)
            spec.as_module.adopt(main)
            return spec
    script = Path(path).absolute()
    module = None if main.__spec__ is None else main.__spec__.name  # python -m package.script
    # A module is found where its package is.
    folder = script.parent if module is None else script.parents[module.count(".")]
    return replace(Pickled.from_study(study), folder=folder, script=str(script), module=module, argv=tuple(sys.argv))


def _check_guarded(spec: SpecFile, main: ModuleType) -> None:
    line = _line_of(main)
    if line is not None and not spec.guards(line):
        raise SpecError(
            f"{Path(spec.path).name}, line {line}: study.run() would start again in every worker, since each one "
            "imports the file; put it under if __name__ == '__main__':"
        )


def sent_to_workers(source: Source, shared: object) -> object:
    """The data of the objective, so that a worker can read it even if it contains objects of the user's classes."""
    return _WithSpec(source, shared) if isinstance(source, SpecFile) else pickled_main.ByValue(shared)


class _WithSpec:
    """A value that is pickled after its spec file, whose module is then known when the value is unpickled."""

    def __init__(self, spec: SpecFile, value: object) -> None:
        self._spec = spec
        self._value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return _value_of, (self._spec, self._value)


def _value_of(spec: SpecFile, value: object) -> object:
    return value


def _line_of(module: ModuleType) -> int | None:
    """The line of a module that is being executed now; None if it is not, as in a thread that it has started."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals is vars(module) and frame.f_code.co_name == "<module>":
            return frame.f_lineno
        frame = frame.f_back
    return None
