"""Errors of a spec file in one line: where, what, and the name that was probably meant."""

from __future__ import annotations

import builtins
import inspect
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from archsearch.search.engine.shadowing import shadowed_siblings
from archsearch.spaces import ArchsearchError
from archsearch.spaces.errors import unknown


def with_location(error: BaseException, path: str, text: str) -> str:
    """The error of a spec as `spec.py, line 12: what went wrong; did you mean …?`.

    Args:
        error: What the spec raised while it was executed.
        path: The path of the spec.
        text: Its content.
    """
    name = Path(path).name
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if _file(frame) == path]
    where = f"{name}, line {frames[-1][1]}" if frames else name
    namespace = frames[0][0].f_globals if frames else {}
    if isinstance(error, ArchsearchError):
        return f"{where}: {error}"
    if isinstance(error, SystemExit):
        return (
            f"{where}: the spec exits with status {error.code} before it has declared a study; if it needs arguments, "
            f"give them after --, as in archsearch run {name} -- --epochs 5"
        )
    what = _shadow_error(error, path, text) or _name_error(error, namespace) or f"{type(error).__name__}: {error}"
    return f"{where}: {what}"


def _file(frame: FrameType) -> str:
    return frame.f_code.co_filename


def _shadow_error(error: BaseException, path: str, text: str) -> str | None:
    """The error with both places if a module that it is about shadows a file beside the spec, else None."""
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        module = error.obj.__name__
    elif isinstance(error, ImportError) and error.name:
        module = error.name
    else:
        return None
    for shadowed in shadowed_siblings(text, Path(path).parent):
        if shadowed.name == module.split(".")[0]:
            return f"{type(error).__name__}: {str(error).partition(' (')[0]}: {shadowed}"
    return None


def _name_error(error: BaseException, namespace: Mapping[str, Any]) -> str | None:
    """The error as "unknown …; did you mean …?" if it is about a name, else None."""
    text = str(error)
    if isinstance(error, NameError) and error.name:
        return _unknown_name("name", error.name, {*namespace, *vars(builtins)})
    if isinstance(error, ImportError) and "no known parent package" in text:
        return (
            f"{text}: the folder of the spec is not a package that can be imported; give it an __init__.py, and a name "
            "that no other module has"
        )
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
