"""Direction and length of a change, set apart."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from holdfast.attacks.minimum_norm import MinimumNorm
from holdfast.attacks.smallest import Rows, Smallest, cosine, straight
from holdfast.core.catalog import register
from holdfast.core.fields import Count, Inner, Natural, Positive, settings
from holdfast.core.kinds import Access
from holdfast.ops.batch import fit, pick


@register("attack", cites="ddn-fmn", name="ddn", says="Direction and length are set apart.")
@settings
class DDN(MinimumNorm):
    """Minimum Euclidean norm by setting direction and length of the change apart.

    Each step adds a normalised gradient of the loss, which turns the change; its length is then
    set, to a share less than before where the change wins and a share more where it does not.
    Property: the length oscillates around the boundary, so that no penalty has to be searched.

    Args:
        steps: gradient steps.
        rate: share by which the length changes.
        start: first length, in widths of the box.
        levels: round changed inputs to so many equal steps of the box (255 for 8-bit images);
            0: do not.
        smallest: go on shrinking where a winning change inside the threat is known, and hand
            back winning changes of any length.

    Cost: `steps` forwards and backwards and two forwards per open row.

    Raises:
        Unsupported: unless changes are measured in the Euclidean norm.

    Unlike the paper: nothing is rounded unless asked for.
    """

    access: ClassVar[Access] = Access.GRADIENT
    orders: ClassVar[tuple[float, ...]] = (2.0,)
    steps: Count = 100
    rate: Inner = 0.05
    start: Positive = 1.0
    levels: Natural = 0
    smallest: bool = False

    def shorten(self, known: Smallest) -> None:
        rows = known.open
        change = rows.threat.none(rows.x)
        length = torch.full_like(known.length[rows.index], self.start * rows.width)
        for step in range(self.steps):
            if not len(rows):
                return
            margin, gradient = rows.slope(change, climb="soft")
            stay = known.see(rows, change, margin)
            stride = cosine(1.0, 0.01, step / self.steps) * rows.width
            change = change + stride * straight(gradient)
            length = length * torch.where(margin >= 0, 1 - self.rate, 1 + self.rate).to(length)
            change = self._rounded(rows, rows.boxed(straight(change) * fit(length, change)))
            if stay is not None:
                rows, change, length = rows.take(stay), change[stay], length[stay]
        if len(rows):
            known.see(rows, change, rows.margins(change))

    def _rounded(self, rows: Rows, change: Tensor) -> Tensor:
        """The change after the changed input was rounded, where that is asked for."""
        if not self.levels:
            return change
        step, low = rows.width / self.levels, rows.threat.low
        whole = low + ((rows.x + change - low) / step).round() * step
        return pick((change != 0).flatten(1).any(1), rows.boxed(whole - rows.x), change)
