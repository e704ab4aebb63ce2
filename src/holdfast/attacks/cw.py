"""A length and a price on losing, descended to in variables that cannot leave the box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.attacks.minimum_norm import MinimumNorm
from holdfast.attacks.price import Descent, descents, shortfall
from holdfast.attacks.smallest import Rows, Smallest
from holdfast.attacks.state import adam
from holdfast.core.catalog import register
from holdfast.core.fields import Count, NonNegative, Positive, settings
from holdfast.core.kinds import Access

_EDGE = 1 - 1e-6  # how close to a wall the change of variables starts


@dataclass
class _Adam(Descent):
    """The free variables of each row with the moments of their gradients."""

    free: Tensor
    mean: Tensor
    square: Tensor


@register("attack", cites="cw-l2", name="cw", says="Shortest change whose loss is priced in.")
@settings
class CW(MinimumNorm):
    """Minimum Euclidean norm: squared length plus a price on every logit short of winning.

    The changed input is a hyperbolic tangent of free variables, so that it cannot leave the box,
    and Adam descends from the input. The shortfall is zero, and so is its gradient, once the
    margin reaches `confidence`: from there on only the length is left to shrink. The price of
    each row is searched by halving, with a fresh descent each time; the shortest win is kept.

    Args:
        steps: descent steps per price.
        rounds: prices tried.
        rate: step length of Adam, in the free variables.
        price: first price of a logit, in squared widths of the box.
        confidence: margin that has to be reached for a win.
        smallest: go on shrinking where a winning change inside the threat is known, and hand
            back winning changes of any length.

    Cost: per open row at most `rounds * steps` forwards and backwards, and one forward; a row
    that gets nowhere within a tenth of the steps rests until the next price.

    Raises:
        Unsupported: unless changes are measured in the Euclidean norm.

    Unlike the paper: 500 steps per price, not up to 10,000; rows rest one by one. Where changes
    are long (pixels at the ends of the box that have to move far), more steps or a larger rate
    are needed; where they are shorter than a step, the rate must be smaller.
    """

    access: ClassVar[Access] = Access.GRADIENT
    orders: ClassVar[tuple[float, ...]] = (2.0,)
    steps: Count = 500
    rounds: Count = 9
    rate: Positive = 0.01
    price: Positive = 1e-3
    confidence: NonNegative = 0.0
    smallest: bool = False

    def shorten(self, known: Smallest) -> None:
        for rows, price, won in descents(known, self.price, self.rounds):
            self._descend(known, rows, price, won)

    def _descend(self, known: Smallest, rows: Rows, price: Tensor, won: Tensor) -> None:
        """Adam from the input at one price, on the rows that are still open."""
        share = (rows.x - rows.threat.low) / rows.width
        free = torch.atanh((2 * share.clamp(0, 1) - 1) * _EDGE)
        state = _Adam(
            price[rows.index], torch.full_like(price[rows.index], torch.inf), free,
            torch.zeros_like(free), torch.zeros_like(free),
        )  # fmt: skip
        for step in range(self.steps):
            bent = torch.tanh(state.free)
            change = rows.threat.low + rows.width * (bent + 1) / 2 - rows.x
            margin, cost, gradient = shortfall(rows, change, state.price, self.confidence)
            unit = change / rows.width
            cost = cost + unit.square().flatten(1).sum(1)
            won[rows.index] |= margin >= self.confidence
            stay = known.see(rows, change, margin, self.confidence)
            uphill = (2 * unit + gradient * rows.width) * (1 - bent.square()) / 2
            state.free, state.mean, state.square = adam(
                state.free, uphill, state.mean, state.square, step=step, rate=self.rate
            )
            stay = state.staying(stay, cost, step, self.steps)
            if stay is not None:
                if not len(stay):
                    return
                rows = rows.take(stay)
                state.take(stay)
