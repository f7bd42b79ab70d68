"""A spec file as a module: imported under one name in the driver, on the workers and in their child processes.

Pickle finds classes and functions by the name of their module. So a spec file is imported as `spec` if it is `spec.py`,
or as `package.spec` in a package, unless another module has that name. It is imported from the text that the study
stored, which a finder on `sys.meta_path` provides. Spawned child processes have no such finder, but Python gives them
the `sys.path` of their parent. It therefore starts with a temporary folder, in which a small module of the same name
installs the finder.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.abc
import importlib.util
import json
import linecache
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import blake2b
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FunctionType, ModuleType

_STUB = '''"""Written by archsearch for child processes: provides a spec file as the study stored it."""

from archsearch.search.engine.spec_module import import_in_child

import_in_child(__name__, __file__)
'''


@dataclass(frozen=True, slots=True)
class SpecModule:
    """A spec file that can be imported.

    Attributes:
        name: The full name of the module, such as `spec` or `package.spec`.
        path: The absolute path of the file, which is `__file__` of the module.
        text: Its content.
        argv: `sys.argv` while it is executed.
        folders: The folders from which the spec may import modules.
    """

    name: str
    path: str
    text: str
    argv: tuple[str, ...]
    folders: tuple[str, ...]

    def load(self, scratch: str = "") -> ModuleType:
        """Import the module, once per process.

        Args:
            scratch: The folder for the files that child processes need; by default one that is deleted when this
                process ends.

        Returns:
            The module.

        Raises:
            BaseException: What the spec raises.
        """
        if _finder.modules.get(self.name) == self and self.name in sys.modules:
            return sys.modules[self.name]
        self.provide(scratch)
        try:
            return importlib.import_module(self.name)
        except BaseException:
            _finder.modules.pop(self.name, None)
            raise

    def provide(self, scratch: str = "") -> None:
        """Let this process and its children import the module when they need it, for instance to read a pickle."""
        if _finder.modules.get(self.name) == self:
            return
        sys.modules.pop(self.name, None)  # another spec with this name, or another version of this one
        _install(self)
        _make_first(_write_stub(self, Path(scratch or own_scratch())))

    def adopt(self, main: ModuleType, scratch: str = "") -> None:
        """Use the script that is running as this module, instead of executing it again.

        The classes and functions of the script get the name of the module, so that their pickles can be read by
        processes in which it is not `__main__`.
        """
        if sys.modules.get(self.name) is not main:
            self.provide(scratch)
            sys.modules[self.name] = main
            _rename(vars(main), main.__name__, self.name)


def module_name(path: Path) -> str:
    """The name under which a spec file is imported.

    It is the natural one, so that another program can load pickles of its classes if it can import the file. If
    another module has that name, as `random.py` would, it is `archsearch_spec_random`.
    """
    parts = [] if path.name == "__init__.py" else [path.stem.replace(".", "_")]
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    if not parts or is_taken(parts[0], [folder / f"{parts[0]}.py", folder / parts[0] / "__init__.py", path]):
        return f"archsearch_spec_{path.stem.replace('.', '_').strip('_')}"
    return ".".join(parts)


def is_taken(name: str, files: Sequence[Path]) -> bool:
    """Whether `import name` would give another module than one of these files."""
    if name in sys.stdlib_module_names or name == "__main__":
        return True
    if any(known.split(".")[0] == name for known in _finder.modules):
        return False  # an earlier spec, which is replaced
    found = location(name)
    return found is not None and not any(same_file(found, str(file)) for file in files)


def location(name: str) -> str | None:
    """The file of a top-level module, or what Python says instead, such as "built-in"; None if there is no module.

    A folder without `__init__.py` is no module here, since any module of the same name precedes it.
    """
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a module that was created by hand has no spec
        return getattr(sys.modules.get(name), "__file__", None)
    return None if found is None else found.origin


def same_file(one: str, other: str) -> bool:
    """Whether two paths lead to the same file, which need not exist."""
    return os.path.realpath(one) == os.path.realpath(other)


def add_to_path(folders: Sequence[str]) -> None:
    """Let modules be imported from these folders."""
    # Last: a file beside the spec must not shadow a package.
    sys.path += [folder for folder in folders if folder not in sys.path]


@contextmanager
def arguments(argv: Sequence[str] | None) -> Iterator[None]:
    """A context in which `sys.argv` is `argv`, or as it was if that is None."""
    before = sys.argv
    sys.argv = before if argv is None else [*argv]
    try:
        yield
    finally:
        sys.argv = before


@cache
def own_scratch() -> str:
    """A temporary folder of this process, deleted when it ends."""
    folder = tempfile.mkdtemp(prefix="archsearch-spec-")
    atexit.register(_delete, folder, os.getpid())
    return folder


def import_in_child(name: str, stub: str) -> None:
    """Replace the stub by the module whose name it has: the spec, or the package that contains it."""
    folder = str(Path(stub).parent)
    body = json.loads(Path(folder, "spec.json").read_text(encoding="utf-8"))
    module = SpecModule(body["name"], body["path"], body["text"], tuple(body["argv"]), tuple(body["folders"]))
    _install(module)
    del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if entry != folder]  # or a package would not be found behind its stub
    try:
        importlib.import_module(name)
    finally:
        _make_first(folder)  # for the children of this process


class _Finder(importlib.abc.MetaPathFinder):
    """Finds spec files by their names."""

    def __init__(self) -> None:
        self.modules: dict[str, SpecModule] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        module = self.modules.get(fullname)
        if module is None:
            return None
        return importlib.util.spec_from_file_location(fullname, module.path, loader=_Loader(module))


class _Loader(importlib.abc.ExecutionLoader):
    """Executes the text of a spec."""

    def __init__(self, module: SpecModule) -> None:
        self._module = module
        self._spec_of_main: ModuleSpec | None = None

    def get_source(self, fullname: str) -> str:
        return self._module.text

    def get_filename(self, fullname: str) -> str:
        return self._module.path

    def is_package(self, fullname: str) -> bool:
        return Path(self._module.path).name == "__init__.py"

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        # multiprocessing has executed the script in this child process, under the name __mp_main__.
        main = sys.modules.get("__mp_main__")
        if main is None or not _runs(main, self._module):
            return None
        self._spec_of_main = main.__spec__
        return main

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == "__mp_main__":
            module.__spec__ = self._spec_of_main  # the import system has replaced it
            _rename(vars(module), "__mp_main__", self._module.name)
            return
        from archsearch.search.declaration import loading_spec

        token = loading_spec.set(True)
        try:
            with arguments(self._module.argv):
                super().exec_module(module)
        finally:
            loading_spec.reset(token)


_finder = _Finder()


def _install(module: SpecModule) -> None:
    _finder.modules[module.name] = module
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    add_to_path(module.folders)
    # Tracebacks and inspect.getsource show the text that runs, even if the file has changed. Without a time (None),
    # linecache does not compare it with the file.
    lines = module.text.splitlines(keepends=True)
    linecache.cache[module.path] = (len(module.text), None, lines, module.path)


def _runs(main: ModuleType, module: SpecModule) -> bool:
    """Whether `main` is the script of this module, with the same text."""
    path = getattr(main, "__file__", None)
    return path is not None and same_file(path, module.path) and read_text(module.path) == module.text


def read_text(path: str | Path) -> str:
    """The text of a Python file."""
    return Path(path).read_text(encoding="utf-8-sig")


def _rename(namespace: Mapping[str, object], before: str, after: str) -> None:
    """Set `__module__` of the classes and functions that were defined in the module `before`."""
    for value in namespace.values():
        # An instance has `__module__` from its class; what functools.cache returns has one of its own.
        named = isinstance(value, type | FunctionType) or "__module__" in getattr(value, "__dict__", ())
        if named and getattr(value, "__module__", None) == before:
            value.__module__ = after
            if isinstance(value, type):
                _rename(vars(value), before, after)


def _write_stub(module: SpecModule, scratch: Path) -> str:
    body = json.dumps(asdict(module))
    folder = scratch / blake2b(body.encode(), digest_size=8).hexdigest()
    if not folder.is_dir():
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=scratch))
        (draft / "spec.json").write_text(body, encoding="utf-8")
        (draft / f"{module.name.split('.')[0]}.py").write_text(_STUB, encoding="utf-8")
        try:
            draft.rename(folder)
        except OSError:  # another worker was faster
            shutil.rmtree(draft)
    return str(folder)


def _make_first(folder: str) -> None:
    sys.path[:] = [folder, *(entry for entry in sys.path if entry != folder)]


def _delete(folder: str, process: int) -> None:
    if os.getpid() == process:  # not in a forked child
        shutil.rmtree(folder, ignore_errors=True)
