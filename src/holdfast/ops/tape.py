"""Values of a network on boxes, with live weights, and linear bounds that travel back along them.

Nothing is rounded outward: these bounds are for training and for measuring; certificates come
from certifiers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

Map = Callable[..., Tensor]
Through = Literal["stop", "relax", "mask", "ignore"]


class NoRule(TypeError):
    """A function that has no rule for boxes."""


@dataclass(frozen=True, eq=False)
class Step:
    """One value of the network.

    Args:
        parents: positions of the values it is made of; none for the input.
        point: `(B, ...)` at the inputs themselves.
        low: lower ends.
        high: upper ends.
        linear: of an affine step, the map of each parent without the constant.
        constant: of an affine step, its value where all parents are zero, `(1 or B, ...)`.
        relu: whether it is a ReLU of its parent.
    """

    parents: tuple[int, ...]
    point: Tensor
    low: Tensor
    high: Tensor
    linear: tuple[Map, ...] = ()
    constant: Tensor | None = None
    relu: bool = False


@dataclass(frozen=True, eq=False)
class Tape:
    """All values of a network, in order; each follows its parents.

    Args:
        steps: the values.
        relu: what ReLUs do to widths: `box` bounds their image; `mask` keeps the signs they have
            at the inputs whatever the box says, `ignore` leaves them out: what is propagated
            then are the widths of a linear piece, not bounds.
    """

    steps: list[Step] = field(default_factory=list)
    relu: Literal["box", "mask", "ignore"] = "box"

    def affine(
        self, parents: Sequence[int], linear: Sequence[Map], spread: Sequence[Map],
        constant: Tensor | None = None,
    ) -> int:  # fmt: skip
        """Add `sum linear_p(x_p) + constant`; half widths go through `spread`, its absolute."""
        before = [self.steps[p] for p in parents]
        rows = len(before[0].point)
        both: Tensor | None = None
        reach: Tensor | None = None
        for step, f, s in zip(before, linear, spread, strict=True):
            part = f(torch.cat([step.point, (step.low + step.high) / 2]))
            width = s((step.high - step.low) / 2)
            both = part if both is None else both + part
            reach = width if reach is None else reach + width
        if both is None or reach is None:
            raise NoRule("an affine step of nothing")
        point, middle = both[:rows], both[rows:]
        if constant is not None:
            point, middle = point + constant, middle + constant
        return self.add(
            Step(tuple(parents), point, middle - reach, middle + reach, tuple(linear), constant)
        )

    def bend(self, parents: Sequence[int], f: Map, *, relu: bool = False) -> int:
        """Add a function that rises with every parent, so that ends go to ends."""
        before = [self.steps[p] for p in parents]
        point = f(*(s.point for s in before))
        if relu and self.relu != "box":
            (only,) = before
            half = (only.high - only.low) / 2
            half = half * (only.point > 0) if self.relu == "mask" else half
            return self.add(Step(tuple(parents), point, -half, half, relu=True))
        low, high = (f(*(getattr(s, end) for s in before)) for end in ("low", "high"))
        return self.add(Step(tuple(parents), point, low, high, relu=relu))

    def add(self, step: Step) -> int:
        """Add a value; returns its position."""
        self.steps.append(step)
        return len(self.steps) - 1

    def upper(self, end: int, a: Tensor, through: Through = "stop") -> Tensor:
        """`(W, B)`: above `a . value` over the box of each row.

        Args:
            end: position of the value asked about.
            a: `(W, B, ...)` coefficients.
            through: `stop` bounds the rest by the boxes at the last bend; `relax` puts two lines
                around each ReLU and goes on to the input.
        """
        ways, rows = a.shape[:2]
        found, total = self.pulled(end, a, through)
        for i, part in found.items():
            step, flat = self.steps[i], part.flatten(2)
            middle, half = (step.low + step.high) / 2, (step.high - step.low) / 2
            total = total + (flat * middle.flatten(1)).sum(2)
            total = total + (flat.abs() * half.flatten(1)).sum(2)
        return total.reshape(ways, rows)

    def pulled(self, end: int, a: Tensor, through: Through) -> tuple[dict[int, Tensor], Tensor]:
        """Coefficients `(W, B, ...)` where they end, by position, and the sum of constants.

        Args:
            end: position of the value they are on.
            a: `(W, B, ...)`.
            through: see `upper`; `mask` passes where the ReLU is on at the inputs, `ignore`
                everywhere.
        """
        waiting, found = {end: a}, {}
        total = a.new_zeros(a.shape[:2])
        for i in range(end, -1, -1):
            if i not in waiting:
                continue
            a, step = waiting.pop(i), self.steps[i]
            if step.linear:
                if step.constant is not None:
                    total = total + (a * step.constant).flatten(2).sum(2)
                parts = [_back(f, a, self.steps[p].point) for f, p in
                         zip(step.linear, step.parents, strict=True)]  # fmt: skip
            elif step.relu and through != "stop":
                part, offset = _through(self.steps[step.parents[0]], a, through)
                parts, total = [part], total + offset
            else:
                found[i] = a
                continue
            for p, part in zip(step.parents, parts, strict=True):
                waiting[p] = waiting[p] + part if p in waiting else part
        return found, total


def _back(linear: Map, a: Tensor, like: Tensor) -> Tensor:
    """`a W`, by differentiating `a . W x`, so that no map needs a transpose of its own."""
    ways, rows = a.shape[:2]
    with torch.enable_grad():
        x = torch.zeros(ways * rows, *like.shape[1:], dtype=a.dtype, device=a.device)
        x.requires_grad_()
        out = linear(x)
        (found,) = torch.autograd.grad(out, x, a.reshape(out.shape), create_graph=True)
    return found.reshape(ways, rows, *like.shape[1:])


def _through(before: Step, a: Tensor, through: Through) -> tuple[Tensor, Tensor | float]:
    """Coefficients in front of a ReLU, and what its offsets add."""
    if through == "ignore":
        return a, 0.0
    if through == "mask":
        return a * (before.point > 0).to(a), 0.0
    low, high = before.low, before.high
    crossing = (low < 0) & (high > 0)
    width = torch.where(crossing, high - low, torch.ones_like(low))
    on = (low >= 0).to(a)
    chord = torch.where(crossing, high / width, on)
    offset = torch.where(crossing, -low * high / width, torch.zeros_like(low))
    below = torch.where(crossing, (high > -low).to(a), on)
    up, down = a.clamp(min=0), a.clamp(max=0)
    return up * chord + down * below, (up * offset).flatten(2).sum(2)
