"""The parts of a module that somebody else wrote, found by the names and the order of its layers: the one that gives
the answer, and the blocks that lead to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from archsearch.spaces.errors import SpaceError, unknown


def find_head(module: nn.Module, name: str | None) -> str:
    """The layer of that name, in which there must be an nn.Linear; None: the module's last nn.Linear."""
    linears: list[str] = [path for path, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    if not linears:
        raise SpaceError(
            f"the pretrained {type(module).__name__} has no nn.Linear that a new head could take the place of; let the "
            "factory put one at its end"
        )
    if name is None:
        return linears[-1]
    if not any(_lies_in(path, name) for path in linears):
        raise SpaceError(unknown("layer to replace", name, linears))
    return name


def head_inputs(module: nn.Module, head: str) -> int:
    """Of the first nn.Linear in the head."""
    return next(layer.in_features for layer in module.get_submodule(head).modules() if isinstance(layer, nn.Linear))


def replace_layer(module: nn.Module, name: str, layer: nn.Module) -> None:
    """In the place of the layer of that name."""
    parent, _, child = name.rpartition(".")
    setattr(module.get_submodule(parent), child, layer)


def split_into_blocks(module: nn.Module, head: str, starts: Sequence[str] | None) -> dict[str, dict[str, nn.Module]]:
    """The layers of each block, by their names, without those of the head.

    A block begins at the layer that it is named by and ends where the next begins, in the order in which the module
    declares its layers; the first begins at the start. Without `starts`, a block begins at each child of the module
    that has parameters; a child in which the head lies is opened, and its own children count in its stead.
    """
    layers = {name: layer for name, layer in module.named_modules() if not _lies_in(name, head)}
    if starts is None:
        starts = list(_children_around(module, head))
    for start in starts:
        if start not in layers:
            raise SpaceError(unknown("layer in blocks", start, _likely(module, start)))
    if not starts:
        raise SpaceError(
            f"the pretrained {type(module).__name__} has no layers but those that the head takes the place of; "
            "name another with replace="
        )
    blocks: dict[str, dict[str, nn.Module]] = {name: {} for name in layers if name in starts}
    block = next(iter(blocks))
    for name, layer in layers.items():
        block = name if name in blocks else block
        blocks[block][name] = layer
    return blocks


def _lies_in(name: str, other: str) -> bool:
    return f"{name}.".startswith(f"{other}.")


def _children_around(module: nn.Module, head: str, prefix: str = "") -> Iterator[str]:
    for name, child in module.named_children():
        path = prefix + name
        if path == head:
            continue
        if _lies_in(head, path):
            yield from _children_around(child, head, f"{path}.")
        elif next(child.parameters(), None) is not None:
            yield path


def _likely(module: nn.Module, name: str) -> list[str]:
    """What a mistaken name may have meant: the children of the innermost layer on its path that there is."""
    layers = dict(module.named_modules())
    parent = name
    while parent not in layers:
        parent = parent.rpartition(".")[0]
    return [f"{parent}.{child}".removeprefix(".") for child, _ in layers[parent].named_children()]
