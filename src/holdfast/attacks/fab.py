"""Walks along the boundary towards the input: minimum norm without a step size."""

from __future__ import annotations

from math import inf
from typing import ClassVar, Literal

from torch import Tensor

from holdfast.attacks.minimum_norm import MinimumNorm
from holdfast.attacks.smallest import Rows, Smallest
from holdfast.attacks.tangent import from_clean, lengths, nearest_way, shortest
from holdfast.attacks.ways import ranked
from holdfast.core.catalog import register
from holdfast.core.fields import Count, Decay, NonNegative, Share, settings
from holdfast.core.kinds import Access
from holdfast.ops.batch import fit, pick


@register("attack", cites="fab", name="fab", says="Walks along the boundary towards the input.")
@settings
class FAB(MinimumNorm):
    """Minimum norm by projections onto linearised boundaries, drawn towards the clean input.

    The nearest boundary is linearised; the iterate and the clean input are both projected onto
    it, within the box, and the next point lies between the two, a little beyond. A winning point
    is moved back towards the input. Properties: no step size; multiplying or shifting the logits
    changes nothing; exact in one step on an affine model.

    Args:
        steps: projections per restart (and way).
        restarts: starts; the first is the input, later ones are drawn around it, at half of the
            smallest length known.
        pull: largest share with which the clean input's projection counts.
        overshoot: by what share projections go beyond the boundary.
        back: to what share of its change a winning point is moved back.
        aim: `nearest` linearises all likely ways and takes the nearest; `each` walks towards one
            way after the other, at one backward per step.
        targets: how many ways, the likeliest at the clean input first.
        smallest: go on shrinking where a winning change inside the threat is known, and hand
            back winning changes of any length.

    Cost: per step and open row two forwards and `targets` backwards (one for `each`, which takes
    `targets` times as many steps).

    Raises:
        Unsupported: unless changes are measured in the maximum, Euclidean or sum norm.

    Unlike the paper: the final search between the last points, which the authors' code does not
    have either, is left out.
    """

    access: ClassVar[Access] = Access.GRADIENT
    orders: ClassVar[tuple[float, ...]] = (inf, 2.0, 1.0)
    steps: Count = 100
    restarts: Count = 1
    pull: Share = 0.1
    overshoot: NonNegative = 0.05
    back: Decay = 0.9
    aim: Literal["nearest", "each"] = "nearest"
    targets: Count = 9
    smallest: bool = False

    def shorten(self, known: Smallest) -> None:
        rows = known.open
        likely = ranked(
            rows.model, rows.x, rows.goal, rows.threat, rows.threat.none(rows.x), self.targets
        )
        order = likely.new_zeros(len(known.x), likely.shape[1])
        order[rows.index] = likely
        ways = [order] if self.aim == "nearest" else list(order.split(1, dim=1))
        for restart in range(self.restarts):
            for chosen in ways:
                self._walk(known, known.still(), chosen, restart > 0)

    def _walk(self, known: Smallest, rows: Rows, chosen: Tensor, drawn: bool) -> None:
        """One start and its steps, on the rows that are still open."""
        if not len(rows):
            return
        change = self._start(known, rows) if drawn else rows.threat.none(rows.x)
        for _ in range(self.steps):
            value, slope, margin = nearest_way(rows, change, chosen[rows.index])
            stay = known.see(rows, change, margin)  # drawn, or moved back: it may still win
            if stay is not None:
                if not len(stay):
                    return
                rows, change, value, slope = rows.take(stay), change[stay], value[stay], slope[stay]
            change = self._next(rows, change, value, slope)
            margin = rows.margins(change)
            stay = known.see(rows, change, margin)
            change = pick(margin >= 0, self.back * change, change)
            if stay is not None:
                if not len(stay):
                    return
                rows, change = rows.take(stay), change[stay]

    def _next(self, rows: Rows, change: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        """Between the projections of the iterate and of the clean input, a little beyond both."""
        here = shortest(rows, change, value, slope)
        clean = from_clean(rows, change, value, slope)
        far, near = lengths(rows, clean, here)
        share = (near / (near + far)).clamp(max=self.pull)
        ahead = (1 - share) * (change + (1 + self.overshoot) * here)
        return rows.boxed(ahead + share * (1 + self.overshoot) * clean)

    def _start(self, known: Smallest, rows: Rows) -> Tensor:
        """A random change, half as long as the smallest winning one, or as the radius."""
        draw = rows.dice.normal(rows.x.shape[1:], device=rows.x.device, dtype=rows.x.dtype)
        (length,) = lengths(rows, draw)
        wanted = known.length[rows.index].clamp(max=rows.threat.radius) / 2
        return rows.boxed(draw / length * fit(wanted, draw))


FAB_TARGETED = register(
    "attack", cites="fab", name="fab-targeted", says="FAB towards each of the likeliest ways."
)(FAB(aim="each"))
