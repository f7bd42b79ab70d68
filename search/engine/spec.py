"""The source of a study, from which a worker or a later session can recreate it.

A spec file is sent as path and text, and executed again: functions sent by reference fail if they use other functions
of the same file. A study that its file does not declare when executed is sent by value, with cloudpickle: one from a
notebook, or one that a script creates under `if __name__ == "__main__":` or inside a function.
"""

from __future__ import annotations

import ast
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
    """A spec file as it was when the study started, so that later edits do not change a study in progress.

    Attributes:
        path: The absolute path of the file.
        text: Its content.
    """

    path: str
    text: str

    @classmethod
    def from_path(cls, path: str | Path) -> SpecFile:
        """Read a spec file.

        Raises:
            SpecError: There is no such file, or it is not UTF-8 text.
        """
        path = Path(path)
        if not path.is_file():
            kind = "is a folder" if path.is_dir() else "does not exist"
            raise SpecError(f"no spec file at {path}: it {kind}; give a Python file with `study = Study(...)`")
        try:
            return cls(str(path.absolute()), path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"the spec file {path} cannot be read: {error}; it must be Python text in UTF-8") from error

    def load(self) -> Declaration:
        """Execute the file and return its `study`.

        Raises:
            SpecError: The file has a syntax error, raises an exception (the message gives its line), or defines no
                `study`.
        """
        names, name = self.execute(), Path(self.path).name
        if "study" not in names and self.binds_study_when_run:
            raise SpecError(
                f"{name} makes its study under if __name__ == '__main__': only; run it with python {name}, or move "
                "study = Study(...) above that line"
            )
        return _study_of(names, name)

    def execute(self) -> dict[str, Any]:
        """Execute the file as a separate module.

        Returns:
            The names that the file defines, with their values.

        Raises:
            SpecError: The file has a syntax error or raises an exception.
        """
        name = Path(self.path).name
        try:
            code = compile(self.text, self.path, "exec", dont_inherit=True)  # without our own __future__
        except (SyntaxError, ValueError) as error:
            where = f"{name}, line {error.lineno}, column {error.offset}" if isinstance(error, SyntaxError) else name
            raise SpecError(f"{where}: {error.args[0]}; fix the syntax") from error
        module = types.ModuleType(MODULE)
        module.__file__ = self.path
        sys.modules[MODULE] = module
        _make_importable(Path(self.path).parent)
        token = loading_spec.set(True)
        try:
            exec(code, module.__dict__)  # running the user's own file is what the command is for
        except (Exception, SystemExit) as error:
            raise SpecError(_with_location(error, name, self.path, vars(module))) from error
        finally:
            loading_spec.reset(token)
        return vars(module)

    @property
    def binds_study_when_run(self) -> bool:
        """Whether the file binds `study` under `if __name__ == "__main__":`, and so only when it is run as a script."""
        guards = (node for node in ast.parse(self.text).body if isinstance(node, ast.If) and _reads_name(node.test))
        return any(
            isinstance(node, ast.Name) and node.id == "study" and isinstance(node.ctx, ast.Store)
            for guard in guards
            for node in ast.walk(guard)
        )

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
    """A pickled study, from a notebook, a script or a program.

    Attributes:
        data: The pickle of the study without its observers, in base64. What is defined in `__main__` is pickled by
            value, with everything that it uses from there; what is imported from other modules, by reference.
        observers: The pickle of the observers, in base64; empty if there are none. Workers do not need them.
        lost: The class names of the observers that cannot be pickled.
        folder: The folder of the script, from which it may import modules; None for a notebook.
    """

    data: str
    observers: str = ""
    lost: tuple[str, ...] = ()
    folder: Path | None = None

    @classmethod
    def from_study(cls, study: Declaration, folder: Path | None = None) -> Pickled:
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
            return cls(data, _pickle(tuple(kept)) if kept else "", tuple(lost), folder)
        except Exception as error:
            raise SpecError(
                f"the study cannot be sent to workers: {error}; create this object inside the objective instead"
            ) from error

    def load(self) -> Declaration:
        if self.folder is not None:
            _make_importable(self.folder)
        try:
            study = cloudpickle.loads(base64.b64decode(self.data))
            observers = cloudpickle.loads(base64.b64decode(self.observers)) if self.observers else ()
        except Exception as error:
            raise SpecError(
                f"the stored study cannot be loaded: {type(error).__name__}: {error}; resume it where its modules can "
                "be imported"
            ) from error
        if not isinstance(study, Declaration):
            raise SpecError(f"the store must contain a Study, but contains a {type(study).__name__}")
        return replace(study, observers=observers) if observers else study

    @property
    def warning(self) -> str | None:
        """A warning about observers that will be missing when the study is resumed; None if there are none."""
        if not self.lost:
            return None
        return f"the observers {', '.join(self.lost)} cannot be pickled, so archsearch.resume continues without them"

    def objective(self) -> Objective:
        return replace(self, observers="").load().trainable

    def to_json(self) -> dict[str, Any]:
        folder = {} if self.folder is None else {"folder": str(self.folder)}
        return {"kind": "pickle", "data": self.data, "observers": self.observers, "lost": self.lost, **folder}


def _pickle(value: object) -> str:
    return base64.b64encode(cloudpickle.dumps(value)).decode()


Source = SpecFile | Pickled


def source_from_json(body: Mapping[str, Any]) -> Source:
    """The source that `to_json` wrote into the store.

    Raises:
        SpecError: The store belongs to a `Session`, which has no source.
    """
    if body["kind"] == "session":
        raise SpecError("this store belongs to a Session, whose trials your own program runs; run that program again")
    if body["kind"] == "file":
        return SpecFile(body["path"], body["text"])
    folder = Path(body["folder"]) if "folder" in body else None
    return Pickled(body["data"], body.get("observers", ""), tuple(body.get("lost", ())), folder)


def source_of(study: Declaration) -> Source:
    """The source of a study: the running script if it declares the study as its `study`, else the pickled study."""
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    if path is None or not Path(path).is_file():
        return Pickled.from_study(study)
    if getattr(main, "study", None) is study:
        spec = SpecFile.from_path(path)
        # Execute the file here too, to detect an unguarded study.run(), which would start again on every worker.
        if not spec.binds_study_when_run and "study" in spec.execute():
            return spec
    return Pickled.from_study(study, Path(path).absolute().parent)


def _reads_name(test: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(test))


def _make_importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # last: a file beside the spec must not shadow a package


def _study_of(namespace: Mapping[str, Any], name: str) -> Declaration:
    if "study" not in namespace:
        others = [key for key, value in namespace.items() if isinstance(value, Declaration)]
        hint = f"; it has a Study named '{others[0]}'; rename it to study" if others else "; add study = Study(...)"
        raise SpecError(f"{name} defines no `study`{hint}")
    study = namespace["study"]
    if not isinstance(study, Declaration):
        raise SpecError(f"`study` in {name} must be a Study, got a {type(study).__name__}; write study = Study(...)")
    return study


def _with_location(error: BaseException, name: str, path: str, namespace: Mapping[str, Any]) -> str:
    """`spec.py, line 12: what went wrong; did you mean …?`"""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    where = f"{name}, line {lines[-1]}" if lines else name
    if isinstance(error, ArchsearchError):
        return f"{where}: {error}"
    return f"{where}: {_name_error(error, namespace) or f'{type(error).__name__}: {error}'}"


def _name_error(error: BaseException, namespace: Mapping[str, Any]) -> str | None:
    """The error as "unknown …; did you mean …?" if it is about a name, else None."""
    text = str(error)
    if isinstance(error, NameError) and error.name:
        return _unknown_name("name", error.name, {*namespace, *vars(builtins)})
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"no module named '{error.name}'; install it, or fix the name"
    if match := re.match(r"cannot import name '(\w+)' from '([\w.]+)'", text):
        return _unknown_name(f"name in {match[2]}", match[1], dir(sys.modules.get(match[2])))
    if match := re.match(r"([\w.]+)\(\) got an unexpected keyword argument '(\w+)'", text):
        called = namespace.get(match[1].split(".")[0])
        if called is not None:
            return _unknown_name(
                f"argument of {match[1].removesuffix('.__init__')}", match[2], inspect.signature(called).parameters
            )
    if isinstance(error, AttributeError) and error.name and error.obj is not None:
        owner = getattr(error.obj, "__name__", type(error.obj).__name__)
        return _unknown_name(f"attribute of {owner}", error.name, dir(error.obj))
    return None


def _unknown_name(what: str, got: str, known: Iterable[str]) -> str:
    names = [name for name in known if not name.startswith("_")]
    text = unknown(what, got, names)
    # A list of a hundred known names is not useful; the closest name is.
    return text if len(names) <= 50 else re.sub(r"; known: [^;]*", "", text)
