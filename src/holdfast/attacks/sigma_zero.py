"""As few positions as possible: a smooth count of them is descended, small ones are cut off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.attacks.minimum_norm import MinimumNorm
from holdfast.attacks.smallest import Rows, Smallest, cosine
from holdfast.attacks.state import State, adam
from holdfast.core.catalog import register
from holdfast.core.fields import Count, NonNegative, Positive, Share, settings
from holdfast.core.kinds import Access
from holdfast.ops.batch import fit
from holdfast.ops.sparse import by_position, over_channels

_TINY = 1e-12


@dataclass
class _Point(State):
    """The change of each open row, in widths of the box, with the moments of its gradients."""

    change: Tensor
    mean: Tensor
    square: Tensor
    threshold: Tensor  # (A,)


@register("attack", cites="sigma-zero", name="sigma-zero", says="Changes as few pixels as it can.")
@settings
class SigmaZero(MinimumNorm):
    """Minimum number of changed positions, by descending a smooth count of them.

    Minimised are what the margin lacks and the mean of d^2 / (d^2 + sigma) over positions, which
    counts those whose change d is well above zero. After each step of Adam, along the gradient
    scaled by its largest entry, positions changed by less than a threshold are reset; the
    threshold of a row rises while its change wins and falls while it does not. The win with the
    fewest positions is kept, as counted, not as smoothed.

    Args:
        steps: gradient steps.
        rate: first step length, in widths of the box; falls to a tenth along a cosine.
        smooth: the sigma above, in squared widths of the box.
        threshold: first threshold, in widths of the box.
        drift: by what share of the step length the threshold moves.
        smallest: go on where a winning change inside the threat is known, and hand back winning
            changes of any number of positions.

    Cost: `steps` forwards and backwards and two forwards per open row.

    Raises:
        Unsupported: unless the threat counts changed positions.

    Unlike the paper, which counts numbers: the threat decides what is counted, which is pixels
    with all their channels in images, by the length of their change.
    """

    access: ClassVar[Access] = Access.GRADIENT
    orders: ClassVar[tuple[float, ...]] = (0.0,)
    steps: Count = 300
    rate: Positive = 1.0
    smooth: Positive = 1e-3
    threshold: Share = 0.3
    drift: NonNegative = 0.01
    smallest: bool = False

    def shorten(self, known: Smallest) -> None:
        rows = known.open
        none = rows.threat.none(rows.x)
        start = torch.full_like(known.length[rows.index], self.threshold)
        state = _Point(none, none, none, start)
        for step in range(self.steps):
            if not len(rows):
                return
            change = rows.boxed(state.change * rows.width)
            margin, gradient = rows.slope(change)
            stay = known.see(rows, change, margin)
            rate = cosine(self.rate, self.rate / 10, step / self.steps)
            self._step(state, rows, margin, gradient * rows.width, step, rate)
            if stay is not None:
                rows = rows.take(stay)
                state.take(stay)
        if len(rows):
            change = rows.boxed(state.change * rows.width)
            known.see(rows, change, rows.margins(change))

    def _step(
        self, state: _Point, rows: Rows, margin: Tensor, gradient: Tensor, step: int, rate: float
    ) -> None:
        """Descend, clamp to the box, move the threshold, reset what lies below it."""
        lost = (margin < 0).to(gradient)
        downhill = self._thinner(state.change) - gradient * fit(lost, gradient)
        largest = downhill.flatten(1).abs().amax(1).clamp(min=_TINY)
        state.change, state.mean, state.square = adam(
            state.change, downhill / fit(largest, downhill), state.mean, state.square,
            step=step, rate=rate,
        )  # fmt: skip
        state.change = rows.boxed(state.change * rows.width) / rows.width
        drift = self.drift * rate * torch.where(margin >= 0, 1.0, -1.0).to(state.threshold)
        state.threshold = (state.threshold + drift).clamp(0, 1)
        kept = _sizes(state.change).sqrt() >= state.threshold[:, None]
        state.change = torch.where(over_channels(kept, state.change), state.change, 0.0)

    def _thinner(self, change: Tensor) -> Tensor:
        """Gradient of the smooth count's mean over positions."""
        size = _sizes(change)
        slope = 2 * self.smooth / (size + self.smooth).square() / max(size.shape[1], 1)
        return over_channels(slope, change) * change


def _sizes(change: Tensor) -> Tensor:
    """`(B, P)`: squared length of the change of each position."""
    return by_position(change.square())
