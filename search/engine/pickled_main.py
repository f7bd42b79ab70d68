"""Pickles of a script's or notebook's objects, whose classes and functions can be found in another process too.

cloudpickle sends what is defined in `__main__` by value. In the process that receives it, it still says that it is from
`__main__`, where pickle does not find it: a worker could not save a network, or start a child process. So the names are
sent along, and looked up there.
"""

from __future__ import annotations

import io
import pickle
import sys
from importlib.machinery import ModuleSpec
from types import FunctionType
from typing import Any

import cloudpickle


def dumps(value: object) -> bytes:
    """Pickle a value, with the names of all classes and functions of `__main__` that it uses."""
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump((value, pickler.names))
    return file.getvalue()


def loads(data: bytes) -> Any:
    """Unpickle what `dumps` returned, and let `__main__` find the names."""
    value, names = cloudpickle.loads(data)
    main = sys.modules["__main__"]
    known = getattr(main, "__getattr__", None)

    def find(name: str) -> object:
        if name in names:
            return names[name]
        if known is not None:
            return known(name)
        raise AttributeError(f"module '__main__' has no attribute '{name}'", name=name, obj=main)

    if names:
        vars(main)["__getattr__"] = find  # a module calls it for the names that it does not have
    return value


def use_script(path: str, module: str | None) -> None:
    """Let the child processes of this worker execute a script as they would if it had started them.

    Args:
        path: The path of the script.
        module: The name of its module if it was started with `python -m`, else None.
    """
    main = sys.modules["__main__"]
    main.__file__ = path
    main.__spec__ = None if module is None else ModuleSpec(module, None, origin=path)


class ByValue:
    """An object that Ray sends to workers: its classes from `__main__` are those of the study there.

    Ray has a cloudpickle of its own, which would create the classes once more. Arrays are sent without a copy.
    """

    def __init__(self, value: object) -> None:
        self._value = value

    def __reduce__(self) -> tuple[Any, ...]:
        buffers: list[pickle.PickleBuffer] = []
        data = cloudpickle.dumps(self._value, protocol=5, buffer_callback=buffers.append)
        return _unpickle, (data, buffers)


def _unpickle(data: bytes, buffers: list[pickle.PickleBuffer]) -> Any:
    return cloudpickle.loads(data, buffers=buffers)


class _Names:
    """Stands for the names, which are complete when it is pickled, last."""

    def __init__(self) -> None:
        self.found: dict[str, object] = {}


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.names = _Names()
        self._main = sys.modules["__main__"]

    def reducer_override(self, obj: Any) -> Any:
        if obj is self.names:
            return dict, (list(self.names.found.items()),)
        if isinstance(obj, type | FunctionType):
            name = str(obj.__name__)
            if vars(self._main).get(name) is obj:
                self.names.found[name] = obj
        return super().reducer_override(obj)
