"""How it happens: the declaration of a study, the engine, strategies, pruners, executors, training, the command line.

The public names are in `archsearch`; see its `__init__.pyi`.
"""
