"""A random walk along the decision boundary towards the input: labels are enough."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from holdfast.attacks.decisions import asked, bisected, decided, started, unit
from holdfast.attacks.minimum_norm import MinimumNorm
from holdfast.attacks.smallest import Rows, Smallest
from holdfast.core.catalog import register
from holdfast.core.fields import Count, Ingredient, Inner, ingredient, settings
from holdfast.core.kinds import Access
from holdfast.ops.batch import fit, pick
from holdfast.ops.geometry import norm

FACTOR = 1.5  # by which step lengths are adapted


@register(
    "attack",
    cites="boundary-attack",
    name="boundary",
    says="Walks along the boundary towards the input, by labels alone.",
)
@settings
class Boundary(MinimumNorm):
    """Minimum Euclidean norm from labels alone: a walk that stays on the winning side.

    Each proposal moves a random way along the sphere around the input on which the change ends,
    and, where that still wins, a share of the way to the input; it is kept where both win. Per
    row the first length grows while half of the moves along the sphere win, the second while a
    quarter of those towards the input do, and shrink otherwise. Property: the change wins at
    every moment and its length never grows.

    Args:
        steps: rounds, after each of which step lengths are adapted.
        samples: proposals per round.
        sideways: first length of a move along the sphere, as a share of the change's length.
        inwards: first length of a move towards the input, likewise.
        tries: draws of noise to start from; a row that none of them wins is given up.
        pool: `(n, ...)` inputs to start from before that; a target needs some of its class.
        smallest: go on shrinking where a winning change inside the threat is known, and hand
            back winning changes of any length.

    Cost: at most two forwards per proposal and open row, and some 20 for the start.

    Raises:
        Unsupported: unless changes are measured in the Euclidean norm.

    Unlike the paper: the start tries four kinds of noise and is bisected to the boundary; both
    rates are counted over all proposals of a round, per row.
    """

    access: ClassVar[Access] = Access.DECISION
    orders: ClassVar[tuple[float, ...]] = (2.0,)
    steps: Count = 200
    samples: Count = 10
    sideways: Inner = 0.01
    inwards: Inner = 0.01
    tries: Count = 200
    pool: Ingredient[Tensor] = ingredient()
    smallest: bool = False

    def shorten(self, known: Smallest) -> None:
        rows, change = started(known, self.tries, self.pool)
        change = bisected(known, rows, change, 1e-3)
        lengths = norm(change, 2)
        sideways = torch.full_like(lengths, self.sideways)
        inwards = torch.full_like(lengths, self.inwards)
        for _ in range(self.steps):
            stay = (~decided(known, rows)).nonzero().flatten()
            rows, change = rows.take(stay), change[stay]
            sideways, inwards = sideways[stay], inwards[stay]
            if not len(rows):
                break
            change, along, closer = self._round(known, rows, change, sideways, inwards)
            grown = torch.where(2 * along > self.samples, FACTOR, 1 / FACTOR)
            sideways = (sideways * grown).clamp(max=1)
            grown = torch.where(4 * closer > along, FACTOR, 1 / FACTOR)
            inwards = (inwards * grown).clamp(max=0.5)

    def _round(
        self, known: Smallest, rows: Rows, change: Tensor, sideways: Tensor, inwards: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The changes after some proposals; how many moves won along the sphere, and inwards."""
        along, closer = torch.zeros_like(sideways), torch.zeros_like(sideways)
        everyone = torch.ones_like(along, dtype=torch.bool)
        for _ in range(self.samples):
            draw = rows.dice.normal(change.shape[1:], device=change.device, dtype=change.dtype)
            length = norm(change, 2)
            aside = change + unit(draw) * fit(sideways * length, change)
            aside = rows.boxed(unit(aside) * fit(length, change))
            won = asked(known, rows, aside, everyone)
            point = aside * fit(1 - inwards, aside)
            nearer = asked(known, rows, point, won)
            change = pick(nearer & (norm(point, 2) < length), point, change)
            along, closer = along + won, closer + nearer
        return change, along, closer
