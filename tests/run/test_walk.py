"""The walk through a net against torch's own, on nets that share, lack and hide layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.run.walk import those_with, within, without_gradients


class Odd(nn.Module):
    """A net that shares a layer and its weight, has an empty place, and lies in several floors."""

    def __init__(self) -> None:
        super().__init__()
        shared = nn.Linear(3, 3)
        self.first = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Linear(3, 2), shared))
        self.register_module("none", None)
        self.register_parameter("empty", None)
        self.last = nn.ModuleDict({"shared": shared, "own": nn.Linear(3, 3, bias=False)})
        self.last["own"].weight = shared.weight


class Costly(nn.Linear):
    def penalty(self) -> Tensor:
        return self.weight.square().sum()


class Wrapped(nn.Module):
    """Says that it has whatever its inside has."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = Costly(2, 2)

    def __getattr__(self, name: str) -> object:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.inside, name)


def test_every_module_once_and_in_the_order_of_torch() -> None:
    for top in (Odd(), nn.Sequential(), nn.ModuleDict(), nn.Sequential(Odd(), Odd(), nn.ReLU())):
        assert [id(m) for m in within(top)] == [id(m) for m in top.modules()]
    scripted = torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    assert [id(m) for m in within(scripted)] == [id(m) for m in scripted.modules()]


def test_gradients_are_dropped_wherever_torch_knows_of_a_weight() -> None:
    for top in (Odd(), torch.jit.script(nn.Sequential(nn.Linear(3, 3), nn.ReLU()))):
        for p in top.parameters():
            p.grad = torch.ones_like(p)
        without_gradients(within(top))
        assert all(p.grad is None for p in top.parameters())


def test_an_attribute_is_found_in_class_instance_parts_and_behind_a_wrapper() -> None:
    own, part = nn.Linear(2, 2), nn.Linear(2, 2)
    own.penalty = lambda: torch.ones(())  # type: ignore[assignment]
    part.penalty = nn.Identity()
    modules = [nn.ReLU(), Costly(2, 2), own, Wrapped(), nn.Linear(2, 2), part]
    found = those_with(modules, "penalty")
    assert [id(m) for m in found] == [id(m) for m in modules if hasattr(m, "penalty")]
    assert len(found) == 4
