"""The price of losing: what a logit short of winning costs, searched row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.attacks.smallest import Rows, Smallest
from holdfast.attacks.state import State
from holdfast.ops.batch import fit

_NONE_YET = 1e9  # an upper end of the price that no win has set
_CHECKS = 10  # how often in a descent it is asked whether a row still gets anywhere
_STALLS = 0.9999


@dataclass
class Descent(State):
    """One descent at one price."""

    price: Tensor  # (A,)
    last: Tensor  # (A,) objective at the last check

    def staying(self, stay: Tensor | None, cost: Tensor, step: int, steps: int) -> Tensor | None:
        """Positions of the rows that go on: they are open, and the objective still falls.

        Args:
            stay: positions of the rows that are open; None: all.
            cost: `(A,)` objective.
            step: number of this step.
            steps: of the whole descent.
        """
        if (step + 1) % max(steps // _CHECKS, 1):
            return stay
        going, self.last = cost <= _STALLS * self.last, cost
        if stay is not None:
            going = going & torch.zeros_like(going).index_fill(0, stay, True)
        return None if bool(going.all()) else going.nonzero().flatten()


def descents(known: Smallest, first: float, rounds: int) -> Iterator[tuple[Rows, Tensor, Tensor]]:
    """The binary search of the price of losing, row by row.

    A price at which a row was won is an upper end, one at which it was not a lower end; the next
    price lies half way, or is ten times as high while there is no upper end. In the last of ten
    rounds or more the upper end itself is tried, if there is one.

    Yields:
        The open rows, their prices, and a mask `(A,)` in which the descent notes what it won.
    """
    clean = known.open
    # A half holds no number as large as a price can be.
    low = torch.zeros_like(known.length, dtype=torch.promote_types(known.length.dtype, torch.float))
    high, price = torch.full_like(low, 10 * _NONE_YET), torch.full_like(low, first)
    for number in range(rounds):
        rows = known.still()
        if not len(rows):
            return
        if number == rounds - 1 and rounds >= 10:
            price = torch.where(high < _NONE_YET, high, price)
        won = torch.zeros(len(known.length), dtype=torch.bool, device=clean.index.device)
        yield rows, price, won
        high = torch.where(won, torch.minimum(high, price), high)
        low = torch.where(won, low, torch.maximum(low, price))
        price = torch.where(high < _NONE_YET, (low + high) / 2, 10 * price)


def shortfall(
    rows: Rows, change: Tensor, price: Tensor, confidence: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Margins, the priced shortfall `c max(kappa - margin, 0)` and its gradient."""
    margin, gradient = rows.slope(change)
    due = torch.where(margin < confidence, price.to(margin), 0.0)
    cost = due * (confidence - margin).clamp(min=0)
    return margin, cost.nan_to_num(0.0), -gradient * fit(due, gradient).to(gradient)
