"""Mixtures of experts inside a model: what their routers choose, and answers under other choices.

A mixture is any module with `experts`, `routing(x) -> (B, E)` shares and `combine(x, shares)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Outputs, logits
from holdfast.core.kinds import Model, Threat
from holdfast.core.quiet import modules_of


def mixtures(model: Model) -> list[Any]:
    """The mixtures of experts inside a model, in the order of its modules.

    Raises:
        Unsupported: if there are none.
    """
    parts = [m for module in modules_of(model) for m in module.modules()]
    found = [m for m in parts if all(hasattr(m, n) for n in ("experts", "routing", "combine"))]
    if not found:
        raise Unsupported(
            "the model has no mixture of experts inside",
            fix="A mixture has experts, routing(x) and combine(x, shares), as layers.TopKMoE.",
        )
    return found


def entering(model: Model, x: Tensor, layers: Sequence[nn.Module]) -> list[Tensor]:
    """What enters each of the given layers. Cost: one forward pass.

    Raises:
        Unsupported: if a layer is not called exactly once.
    """
    seen: dict[int, list[Tensor]] = {id(layer): [] for layer in layers}

    def before(module: nn.Module, given: tuple[Any, ...]) -> None:
        seen[id(module)].append(given[0].detach())

    hooks = [layer.register_forward_pre_hook(before) for layer in layers]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    if any(len(found) != 1 for found in seen.values()):
        raise Unsupported(
            "a mixture must be called once for one input, got "
            f"{sorted({len(found) for found in seen.values()})} calls",
            fix="Give a model whose forward runs every TopKMoE exactly once.",
        )
    return [seen[id(layer)][0] for layer in layers]


def routes(model: Model, x: Tensor, layers: Sequence[Any] | None = None) -> list[Tensor]:
    """`(B, E)` shares that each mixture gives its experts. Cost: one forward pass."""
    layers = mixtures(model) if layers is None else layers
    with torch.no_grad():
        inputs = entering(model, x, layers)
        return [layer.routing(v) for layer, v in zip(layers, inputs, strict=True)]


def selected(shares: Tensor) -> Tensor:
    """`(B, E)` bool: the experts that are used; of a mixture that uses all, the foremost one."""
    used = shares != 0
    first = torch.zeros_like(used).scatter(1, shares.argmax(1, keepdim=True), True)
    return torch.where(used.all(1, keepdim=True), first, used)


@contextmanager
def forced(layers: Sequence[Any], shares: Sequence[Tensor]) -> Iterator[None]:
    """Run a block in which mixtures share rows out as they are told.

    Args:
        layers: mixtures inside a model.
        shares: `(B, E)` for each of them: how much of each expert's answer a row gets.
    """
    hooks = [
        layer.register_forward_hook(
            lambda module, given, out, own=own: module.combine(given[0], own.to(given[0]))
        )
        for layer, own in zip(layers, shares, strict=True)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def rankings(model: Model, x: Tensor, layers: Sequence[Any]) -> list[Tensor]:
    """`(B, E)` scores by which each mixture ranks its experts: its router's, else its shares."""
    with torch.no_grad():
        inputs = entering(model, x, layers)
        return [
            layer.router(v) if hasattr(layer, "router") else layer.routing(v)
            for layer, v in zip(layers, inputs, strict=True)
        ]


def another(shares: Tensor, scores: Tensor, among: int, dice: Dice) -> Tensor:
    """Shares given to experts drawn among the `among` best-ranked ones, as many as before."""
    best = scores.argsort(dim=1, descending=True, stable=True)[:, :among]
    count = int(selected(shares).sum(1).max()) if len(shares) else 1
    drawn = dice.uniform((best.shape[1],)).to(shares.device).argsort(dim=1)[:, :count]
    which = best.gather(1, drawn)
    weights = shares.sort(dim=1, descending=True).values[:, : which.shape[1]]
    weights = weights / weights.sum(1, keepdim=True)
    return torch.zeros_like(shares).scatter(1, which, weights)


@dataclass(frozen=True, eq=False)
class Held(Threat):
    """A threat under which every mixture keeps the routing of the clean input.

    Args:
        inner: the threat itself.
        model: whose mixtures are held.
    """

    inner: Threat
    model: Model

    @property
    def low(self) -> float:  # type: ignore[override]
        """Least valid input value."""
        return self.inner.low

    @property
    def high(self) -> float:  # type: ignore[override]
        """Largest valid input value."""
        return self.inner.high

    @property
    def spec(self) -> str:
        return self.inner.spec

    def none(self, x: Tensor) -> Tensor:
        return self.inner.none(x)

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        return self.inner.sample(x, dice)

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        return self.inner.near(x, change, share, dice, gradient)

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return self.inner.project(x, change)

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        return self.inner.apply(x, change)

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        return self.inner.size(x, change)

    def scaled(self, factor: float) -> Held:
        return Held(self.inner.scaled(factor), self.model)

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        return self.inner.steepest(x, change, gradient)

    def take(self, rows: Tensor | slice) -> Held:
        return Held(self.inner.take(rows), self.model)

    def through(self, model: Model, x: Tensor, change: Tensor) -> Outputs:
        layers = mixtures(self.model)
        with forced(layers, routes(self.model, x, layers)):
            return self.inner.through(model, x, change)


def answers(model: Model, x: Tensor) -> Tensor:
    """`(B,)`: the class of each row; a tie counts as none."""
    with torch.no_grad():
        top = logits(model(x)).topk(2, 1)
    return torch.where(top.values[:, 0] > top.values[:, 1], top.indices[:, 0], -1)
