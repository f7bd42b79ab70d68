"""Where a study comes from, so that a worker or a later session can make it again.

A spec file is sent as path and text, and executed anew: functions sent by reference fail when they use siblings from
the same file. A study made in a notebook has no file, and travels by value, through cloudpickle.
"""

from __future__ import annotations

import base64
import builtins
import inspect
import re
import sys
import traceback
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cloudpickle

from archsearch.search.declaration import Declaration, loading_spec
from archsearch.search.protocols import Objective
from archsearch.spaces import ArchsearchError, SpecError
from archsearch.spaces.errors import unknown

MODULE = "archsearch_spec"  # the name under which a spec file is executed: not __main__


@dataclass(frozen=True, slots=True)
class SpecFile:
    """A spec file as it was when the study began: later edits do not change a study that is under way."""

    path: str
    text: str

    @classmethod
    def from_path(cls, path: str | Path) -> SpecFile:
        """Raises SpecError when there is no such file, or it is not UTF-8 text."""
        path = Path(path)
        if not path.is_file():
            kind = "is a folder" if path.is_dir() else "does not exist"
            raise SpecError(f"no spec file at {path}: it {kind}; give a Python file with `study = Study(...)`")
        try:
            return cls(str(path.absolute()), path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"the spec file {path} cannot be read: {error}; it must be Python text in UTF-8") from error

    def load(self) -> Declaration:
        """Execute the file and take its `study`.

        Raises SpecError for a syntax error, for whatever the file raises (with its line), and for a missing `study`.
        """
        name = Path(self.path).name
        try:
            code = compile(self.text, self.path, "exec", dont_inherit=True)  # without our own __future__
        except (SyntaxError, ValueError) as error:
            where = f"{name}, line {error.lineno}, column {error.offset}" if isinstance(error, SyntaxError) else name
            raise SpecError(f"{where}: {error.args[0]}; mend the syntax") from error
        module = types.ModuleType(MODULE)
        module.__file__ = self.path
        sys.modules[MODULE] = module
        folder = str(Path(self.path).parent)
        if folder not in sys.path:
            sys.path.append(folder)  # last: a file beside the spec must not shadow a package
        token = loading_spec.set(True)
        try:
            exec(code, module.__dict__)  # running the user's own file is what the command is for
        except (Exception, SystemExit) as error:
            raise SpecError(_located(error, name, self.path, vars(module))) from error
        finally:
            loading_spec.reset(token)
        return _study_of(vars(module), name)

    @property
    def folder(self) -> Path | None:
        return Path(self.path).parent

    @property
    def warning(self) -> str | None:
        return None

    def objective(self) -> Objective:
        return self.load().trainable

    def to_json(self) -> dict[str, str]:
        return {"kind": "file", "path": self.path, "text": self.text}


@dataclass(frozen=True, slots=True)
class Pickled:
    """A study by value, from a notebook or a program of one's own. Its observers are apart: workers need none.

    data, observers: pickles in base64; observers is empty where there are none. lost: the kinds of those that do not
    pickle.
    """

    data: str
    observers: str = ""
    lost: tuple[str, ...] = ()

    @classmethod
    def from_study(cls, study: Declaration) -> Pickled:
        """Raises SpecError when something in the study cannot be pickled, beside observers."""
        kept, lost = [], []
        for observer in study.observers:
            try:
                cloudpickle.dumps(observer)
                kept.append(observer)
            except Exception:  # noqa: BLE001 - to pickle it runs its own code
                lost.append(type(observer).__name__)
        try:
            data = _dumped(replace(study, observers=()) if study.observers else study)
            return cls(data, _dumped(tuple(kept)) if kept else "", tuple(lost))
        except Exception as error:
            raise SpecError(
                f"the study cannot be sent to workers: {error}; make what it holds inside the objective instead"
            ) from error

    def load(self) -> Declaration:
        try:
            study = cloudpickle.loads(base64.b64decode(self.data))
            observers = cloudpickle.loads(base64.b64decode(self.observers)) if self.observers else ()
        except Exception as error:
            raise SpecError(
                f"the stored study cannot be loaded: {type(error).__name__}: {error}; resume it where its modules are "
                "found"
            ) from error
        if not isinstance(study, Declaration):
            raise SpecError(f"the store holds no Study but a {type(study).__name__}")
        return replace(study, observers=observers) if observers else study

    @property
    def folder(self) -> Path | None:
        return None

    @property
    def warning(self) -> str | None:
        """About what of the study does not last."""
        if not self.lost:
            return None
        return f"the observers {', '.join(self.lost)} cannot be pickled, so archsearch.resume goes on without them"

    def objective(self) -> Objective:
        return replace(self, observers="").load().trainable

    def to_json(self) -> dict[str, Any]:
        return {"kind": "pickle", "data": self.data, "observers": self.observers, "lost": self.lost}


def _dumped(value: object) -> str:
    return base64.b64encode(cloudpickle.dumps(value)).decode()


Source = SpecFile | Pickled


def source_from_json(body: Mapping[str, Any]) -> Source:
    """The source that `to_json` wrote into the store."""
    if body["kind"] == "session":
        raise SpecError("this store is of a Session, whose trials your own program runs: run that again")
    if body["kind"] == "file":
        return SpecFile(body["path"], body["text"])
    return Pickled(body["data"], body.get("observers", ""), tuple(body.get("lost", ())))


def source_of(study: Declaration) -> Source:
    """The script that made the study as its `study`, when there is one; else the study by value."""
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    if path is not None and getattr(main, "study", None) is study and Path(path).is_file():
        spec = SpecFile.from_path(path)
        spec.load()  # an unguarded study.run() would start anew on every worker: found here
        return spec
    return Pickled.from_study(study)


def _study_of(namespace: Mapping[str, Any], name: str) -> Declaration:
    if "study" not in namespace:
        others = [key for key, value in namespace.items() if isinstance(value, Declaration)]
        hint = f"; it has a Study named '{others[0]}': call that study" if others else "; add study = Study(...)"
        raise SpecError(f"{name} defines no `study`{hint}")
    study = namespace["study"]
    if not isinstance(study, Declaration):
        raise SpecError(f"`study` in {name} is a {type(study).__name__}, not a Study; write study = Study(...)")
    return study


def _located(error: BaseException, name: str, path: str, namespace: Mapping[str, Any]) -> str:
    """`spec.py, line 12: what went wrong; did you mean …?`"""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    where = f"{name}, line {lines[-1]}" if lines else name
    if isinstance(error, ArchsearchError):
        return f"{where}: {error}"
    return f"{where}: {_mistaken_name(error, namespace) or f'{type(error).__name__}: {error}'}"


def _mistaken_name(error: BaseException, namespace: Mapping[str, Any]) -> str | None:
    """The error as "unknown …; did you mean …?" when it is about a name, else None."""
    text = str(error)
    if isinstance(error, NameError) and error.name:
        return _near("name", error.name, {*namespace, *vars(builtins)})
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"no module named '{error.name}'; install it, or mend the name"
    if match := re.match(r"cannot import name '(\w+)' from '([\w.]+)'", text):
        return _near(f"name in {match[2]}", match[1], dir(sys.modules.get(match[2])))
    if match := re.match(r"([\w.]+)\(\) got an unexpected keyword argument '(\w+)'", text):
        called = namespace.get(match[1].split(".")[0])
        if called is not None:
            return _near(
                f"argument of {match[1].removesuffix('.__init__')}", match[2], inspect.signature(called).parameters
            )
    if isinstance(error, AttributeError) and error.name and error.obj is not None:
        owner = getattr(error.obj, "__name__", type(error.obj).__name__)
        return _near(f"attribute of {owner}", error.name, dir(error.obj))
    return None


def _near(what: str, got: str, known: Iterable[str]) -> str:
    names = [name for name in known if not name.startswith("_")]
    text = unknown(what, got, names)
    # A hundred known names help nobody; the nearest one does.
    return text if len(names) <= 50 else re.sub(r"; known: [^;]*", "", text)
