"""NetworkFamily: a family writes `build` or `stack` and gets the other, and a misspelt member is refused."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from archsearch import CNN, MLP, Cells, Inputs, NetworkFamily, Pretrained, Space, SpecError, TextCNN, TextTransformer
from archsearch.spaces.networks.base import check_family, stack_key, stacked

CONFIG = {"layers": 1, "units_1": 4, "activation": "relu", "dropout": 0.0, "norm": "none"}
INPUTS = Inputs((3,))


def backbone() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


class Plain(NetworkFamily):
    def build(self, config: Any, inputs: Any, outputs: int) -> nn.Module:
        return nn.Linear(*inputs.shape, outputs)


BUILT_IN = [
    MLP(layers=1, units=4),
    CNN(blocks=1, channels=2),
    Cells(nodes=1, cells=1, channels=2),
    TextCNN(embedding=4, filters=2),
    TextTransformer(layers=1, heads=1, head_width=4),
    Pretrained(backbone),
]


@pytest.mark.parametrize("family", BUILT_IN, ids=lambda family: type(family).__name__)
def test_the_families_of_the_package_derive_from_it_and_stay_plain_values(family: Any) -> None:
    assert isinstance(family, NetworkFamily)
    check_family(family)
    assert not hasattr(family, "__dict__")
    assert pickle.loads(pickle.dumps(family)) == copy.copy(family) == family
    assert repr(family).startswith(f"{type(family).__name__}(")


def test_a_family_that_only_builds_has_an_empty_space_trains_alone_and_stacks() -> None:
    family = Plain()
    check_family(family)
    assert family.space == Space()
    assert stack_key(family, {}) is None
    generators = [torch.Generator().manual_seed(1)]
    expected = stacked(family, [{}], INPUTS, 2, [torch.Generator().manual_seed(1)])
    assert torch.equal(family.stack([{}], INPUTS, 2, generators)(torch.ones(1, 5, 3)), expected(torch.ones(1, 5, 3)))


def test_a_family_that_only_stacks_builds_a_plain_network_from_torch_s_seed() -> None:
    def network(seed: int) -> Tensor:
        torch.manual_seed(seed)
        module = MLP(layers=1, units=4).build(CONFIG, INPUTS, 2)
        outputs: Tensor = module(torch.ones(5, 3))
        return outputs

    assert network(1).shape == (5, 2)
    assert torch.equal(network(1), network(1))
    assert not torch.equal(network(1), network(2))


def test_a_family_with_neither_is_refused_and_does_not_recurse() -> None:
    with pytest.raises(SpecError, match=r"has no `build`; write def build\(self, config, inputs, outputs\)"):
        check_family(type("Empty", (NetworkFamily,), {})())
    with pytest.raises(NotImplementedError, match="Empty has no `build`"):
        type("Empty", (NetworkFamily,), {})().build({}, INPUTS, 2)


@pytest.mark.parametrize("base", [(), (NetworkFamily,)], ids=["duck-typed", "derived"])
@pytest.mark.parametrize(
    ("members", "meant"),
    [
        ({"space": Space(), "bild": print}, "build"),
        ({"spaces": Space(), "build": print}, "space"),
        ({"space": Space(), "build": print, "stackkey": print}, "stack_key"),
        ({"space": Space(), "build": print, "stack_keys": print}, "stack_key"),
    ],
)
def test_a_misspelt_member_is_refused(base: tuple[type, ...], members: dict[str, Any], meant: str) -> None:
    (wrong,) = members.keys() - {"space", "build"}
    with pytest.raises(SpecError, match=f"has the member '{wrong}', .* did you mean '{meant}'?"):
        check_family(type("Family", base, members)())


def test_a_name_that_is_near_a_member_which_is_there_is_the_family_s_own() -> None:
    members = {"space": Space(), "build": print, "built": print, "spaces": (), "_stack_key": print}
    check_family(type("Family", (), members)())
