"""archsearch: search for network architectures and hyperparameters.

Every public name is imported from here: `from archsearch import Study, TPE, Space, Float, MLP, Supervised, digits`. The
names and their modules are listed once, in `__init__.pyi`, where editors and type checkers read them too. A module is
loaded when one of its names is first used, so that `archsearch --help` needs neither torch nor ray.
"""

from importlib.metadata import version

import lazy_loader

_public_name, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = version("archsearch")


def __getattr__(name: str) -> object:
    """Load a public name. A misspelled one is an AttributeError with "did you mean"."""
    try:
        return _public_name(name)
    except AttributeError:
        from archsearch.spaces.errors import nearest  # only needed here

        near = None if name.startswith("_") or name in __all__ else nearest(name, __all__)
        if near is None:
            raise
        text = f"module 'archsearch' has no attribute '{name}'; did you mean '{near}'?"
        raise AttributeError(text, name=name, obj=__import__(__name__)) from None
