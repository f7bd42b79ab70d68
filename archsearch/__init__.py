"""archsearch: search for network architectures and hyperparameters.

Every public name is imported from here: `from archsearch import Study, TPE, Space, Float, MLP, Supervised, digits`. The
names and their modules are listed once, in `__init__.pyi`, where editors and type checkers read them too. A module is
loaded when one of its names is first used, so that `archsearch --help` needs neither torch nor ray.
"""

from importlib.metadata import version

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = version("archsearch")
