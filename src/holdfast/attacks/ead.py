"""A length, a sum and a price on losing, descended to by soft thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.attacks.minimum_norm import MinimumNorm
from holdfast.attacks.price import Descent, descents, shortfall
from holdfast.attacks.smallest import Rows, Smallest
from holdfast.core.catalog import register
from holdfast.core.fields import Count, NonNegative, Positive, settings
from holdfast.core.kinds import Access


@dataclass
class _Fista(Descent):
    """The point of each row and the one that runs ahead of it, as changes."""

    change: Tensor
    ahead: Tensor


@register("attack", cites="ead", name="ead", says="Sparse shortest change by soft thresholds.")
@settings
class EAD(MinimumNorm):
    """Minimum sum of changes: squared length, a share of the sum, and a priced shortfall.

    Accelerated proximal descent: a step along the gradient of squared length and shortfall, then
    every coordinate is drawn back towards the input by `weight`, and stays at it if that is all
    it moved. So most coordinates of the result are exactly unchanged. The price of each row is
    searched as in CW; the shortest win, in the norm of the threat, is kept, be it at a point or
    at the one that runs ahead of it.

    Args:
        steps: descent steps per price.
        rounds: prices tried.
        rate: first step length, in widths of the box; falls with the square root of what is left.
        weight: how far coordinates are drawn back per step, in widths of the box; 0 makes it an
            attack in the Euclidean norm.
        price: first price of a logit, in squared widths of the box.
        confidence: margin that has to be reached for a win.
        smallest: go on shrinking where a winning change inside the threat is known, and hand
            back winning changes of any length.

    Cost: per open row at most `rounds * steps` times two forwards and a backward, and one
    forward; a row that gets nowhere within a tenth of the steps rests until the next price.

    Raises:
        Unsupported: unless changes are measured in the sum or the Euclidean norm.

    Unlike the paper: the norm of the threat decides which win is the shortest (its rule `l1`
    under an L1 threat); 200 steps per price, not 1,000; rows rest one by one.
    """

    access: ClassVar[Access] = Access.GRADIENT
    orders: ClassVar[tuple[float, ...]] = (1.0, 2.0)
    steps: Count = 200
    rounds: Count = 9
    rate: Positive = 0.01
    weight: NonNegative = 1e-3
    price: Positive = 1e-3
    confidence: NonNegative = 0.0
    smallest: bool = False

    def shorten(self, known: Smallest) -> None:
        for rows, price, won in descents(known, self.price, self.rounds):
            self._descend(known, rows, price, won)

    def _descend(self, known: Smallest, rows: Rows, price: Tensor, won: Tensor) -> None:
        """Accelerated descent from the input at one price, on the rows that are still open."""
        none = rows.threat.none(rows.x)
        mine = price[rows.index]
        state = _Fista(mine, torch.full_like(mine, torch.inf), none, none)
        for step in range(self.steps):
            margin, cost, gradient = shortfall(rows, state.ahead, state.price, self.confidence)
            # The model sees what runs ahead clamped to the box: as such it may be a win, too.
            stay = known.see(rows, rows.boxed(state.ahead), margin, self.confidence)
            unit = state.ahead / rows.width
            cost = cost + (unit.square() + self.weight * unit.abs()).flatten(1).sum(1)
            rate = self.rate * (1 - step / self.steps) ** 0.5
            moved = unit - rate * (2 * unit + gradient * rows.width)
            change = rows.boxed(_drawn_back(moved, self.weight) * rows.width)
            state.ahead = change + step / (step + 3) * (change - state.change)
            state.change = change
            if stay is not None:
                if not len(stay):
                    return
                rows, change, cost = rows.take(stay), change[stay], cost[stay]
                state.take(stay)
            margin = rows.margins(change)
            won[rows.index] |= margin >= self.confidence
            stay = known.see(rows, change, margin, self.confidence)
            stay = state.staying(stay, cost, step, self.steps)
            if stay is not None:
                if not len(stay):
                    return
                rows = rows.take(stay)
                state.take(stay)


def _drawn_back(moved: Tensor, by: float) -> Tensor:
    """Soft threshold: every coordinate this much closer to zero, and zero if that is enough."""
    return moved.sign() * (moved.abs() - by).clamp(min=0)
