"""Finds the parts of an arbitrary torch module by the names and the order of its layers: the head, and the blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from archsearch.spaces.errors import SpaceError, unknown


def find_head(module: nn.Module, name: str | None) -> str:
    """The name of the layer to replace by a new head: the given one, or the module's last nn.Linear.

    Raises:
        SpaceError: There is no such layer, or it contains no nn.Linear.
    """
    linears: list[str] = [path for path, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    if not linears:
        raise SpaceError(
            f"the pretrained {type(module).__name__} has no nn.Linear that a new head could replace; let "
            "module_factory add one at its end"
        )
    if name is None:
        return linears[-1]
    if not any(_lies_in(path, name) for path in linears):
        raise SpaceError(unknown("layer to replace", name, linears))
    return name


def head_inputs(module: nn.Module, head: str) -> int:
    """The number of inputs of the first nn.Linear in the head."""
    return next(layer.in_features for layer in module.get_submodule(head).modules() if isinstance(layer, nn.Linear))


def replace_layer(module: nn.Module, name: str, layer: nn.Module) -> None:
    """Replaces the layer of this name by another."""
    parent, _, child = name.rpartition(".")
    setattr(module.get_submodule(parent), child, layer)


def split_into_blocks(module: nn.Module, head: str, starts: Sequence[str] | None) -> dict[str, dict[str, nn.Module]]:
    """The layers of each block by name, without those of the head.

    Args:
        module: The module.
        head: The name of its head.
        starts: The names of the layers at which blocks start. A block ends before the next one, in the order in which
            the module declares its layers; layers before the first name belong to the first block. None: a block starts
            at each child of the module that has parameters, and a child that contains the head is replaced by its own
            children.

    Raises:
        SpaceError: A name in `starts` is unknown, or all parameters belong to the head.
    """
    layers = {name: layer for name, layer in module.named_modules() if not _lies_in(name, head)}
    if starts is None:
        starts = list(_children_around(module, head))
    for start in starts:
        if start not in layers:
            raise SpaceError(unknown("layer in blocks", start, _likely(module, start)))
    if not starts:
        raise SpaceError(
            f"the pretrained {type(module).__name__} has no layers but those that the new head replaces; name a "
            "smaller layer with replace="
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
    """Candidates for a mistaken name: the children of the innermost layer on its path that exists."""
    layers = dict(module.named_modules())
    parent = name
    while parent not in layers:
        parent = parent.rpartition(".")[0]
    return [f"{parent}.{child}".removeprefix(".") for child, _ in layers[parent].named_children()]
