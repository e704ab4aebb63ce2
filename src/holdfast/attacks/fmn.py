"""A ball that shrinks while the change wins and grows while it does not."""

from __future__ import annotations

from math import inf
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.attacks.minimum_norm import MinimumNorm, measured
from holdfast.attacks.smallest import Rows, Smallest, cosine, straight
from holdfast.core.catalog import register, resolve
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Count, Inner, Part, Positive, settings
from holdfast.core.kinds import Access, Attack
from holdfast.ops.batch import fit
from holdfast.ops.geometry import norm, project_l1, project_l2, project_linf
from holdfast.ops.hyperplane import dual_norm
from holdfast.ops.sparse import project_l0

_NEAREST = {0.0: project_l0, 1.0: project_l1, 2.0: project_l2, inf: project_linf}


@register("attack", cites="ddn-fmn", name="fmn", says="A ball that shrinks where the change wins.")
@settings
class FMN(MinimumNorm):
    """Minimum norm by gradient ascent in a ball whose radius follows the boundary.

    Each step climbs the margin along the gradient, then projects onto ball and box. The radius of
    a row falls by a share while its change wins, never above the smallest winning one, and grows
    by a share while it does not; before the first win it is the distance to the linearised
    boundary. Both shares and the step fall along a cosine. Properties: no penalty to tune; per
    row the length seen never grows; one run gives the distance, in any norm.

    Args:
        steps: gradient steps.
        start: a minimum-norm attack whose changes are where the search starts, on the rows that
            it leaves open; the input unless given. The climb stays with the way to win it starts
            with, so that a start at the nearest boundary (`attack:deepfool`) finds shorter
            changes in far fewer steps.
        stride: first step, Euclidean, in distances from the input to the boundary as it looks
            from the start; in widths of the box where positions are counted. The last step is a
            hundredth of it.
        rate: first share by which the radius changes.
        rate_end: last share.
        smallest: go on shrinking where a winning change inside the threat is known, and hand
            back winning changes of any length.

    Cost: `steps` forwards and backwards and two forwards per open row, and those of the start.

    Raises:
        ConfigError: if the start is no minimum-norm attack.
        Unsupported: unless changes are counted or measured in the maximum, Euclidean or sum norm.

    Unlike the paper: ball and box are projected onto together, not in turn; the step is measured
    in distances to the boundary, so that no box or unit of inputs makes it too long or short.
    """

    access: ClassVar[Access] = Access.GRADIENT
    orders: ClassVar[tuple[float, ...]] = (inf, 2.0, 1.0, 0.0)
    steps: Count = 100
    start: Part[Attack] | None = None
    stride: Positive = 1.0
    rate: Inner = 0.05
    rate_end: Inner = 0.001
    smallest: bool = False

    def shorten(self, known: Smallest) -> None:
        rows, change = self._started(known)
        order = known.threat.order
        radius = torch.full_like(known.length[rows.index], 1.0 if order == 0 else inf)
        unit = None
        for step in range(self.steps):
            if not len(rows):
                return
            margin, gradient = rows.slope(change)
            stay = known.see(rows, change, margin)
            unit = _away(rows, change, margin, gradient) if unit is None else unit
            rate = cosine(self.rate, self.rate_end, step / self.steps)
            grown = _counted if order == 0 else _followed
            radius = grown(known, rows, radius, rate, change, margin, gradient)
            stride = cosine(self.stride, self.stride / 100, step / self.steps) * unit
            change = change + fit(stride, change) * straight(gradient)
            change = _NEAREST[order](change, radius, *rows.room)
            if stay is not None:
                rows, change = rows.take(stay), change[stay]
                radius, unit = radius[stay], unit[stay]
        if len(rows):
            known.see(rows, change, rows.margins(change))

    def _started(self, known: Smallest) -> tuple[Rows, Tensor]:
        """The rows that are still open after the start, and the changes that it leaves them."""
        if self.start is None:
            return known.open, known.threat.none(known.open.x)
        first = resolve(self.start)
        if not isinstance(first, MinimumNorm):
            raise ConfigError(
                f"FMN cannot start with {self.start!r}, which is no minimum-norm attack",
                fix="Use start='attack:deepfool', or leave it out.",
            )
        measured(known.threat, first.orders, type(first).__name__)
        first.shorten(known)
        rows = known.still()
        return rows, known.nearest[rows.index]


def _away(rows: Rows, change: Tensor, margin: Tensor, gradient: Tensor) -> Tensor:
    """`(A,)`: Euclidean distance of the input from the linearised boundary, at most the box's."""
    most = torch.full_like(margin, rows.width)
    if rows.threat.order == 0:
        return most
    slope = norm(gradient, 2).to(margin).clamp(min=torch.finfo(margin.dtype).tiny)
    down, up = rows.room
    most = norm(torch.maximum(-down, up), 2).to(margin)
    return torch.minimum(norm(change, 2).to(margin) + margin.abs() / slope, most)


def _followed(
    known: Smallest,
    rows: Rows,
    radius: Tensor,
    rate: float,
    change: Tensor,
    margin: Tensor,
    gradient: Tensor,
) -> Tensor:
    """`(A,)`: the next radius in a p-norm, at most that of the whole box."""
    best = known.length[rows.index]
    slope = dual_norm(gradient, rows.threat.order).to(radius)
    gap = margin.abs().to(radius) / slope.clamp(min=torch.finfo(radius.dtype).tiny)
    first = rows.threat.length(change).to(radius) + gap
    missed = torch.where(best.isfinite(), radius * (1 + rate), first)
    new = torch.where(margin >= 0, torch.minimum(radius * (1 - rate), best), missed)
    down, up = rows.room
    return torch.minimum(new, rows.threat.length(torch.maximum(-down, up)).to(new))


def _counted(
    known: Smallest,
    rows: Rows,
    radius: Tensor,
    rate: float,
    change: Tensor,
    margin: Tensor,
    gradient: Tensor,
) -> Tensor:
    """`(A,)`: the next number of positions: by a share, and at least by one."""
    best = known.length[rows.index]
    fewer = torch.minimum((radius * (1 - rate)).floor(), radius - 1)
    more = torch.maximum((radius * (1 + rate)).floor(), radius + 1)
    new = torch.where(margin >= 0, torch.minimum(fewer, best), more)
    return new.clamp(min=0, max=float(max(rows.x[0].numel(), 1)))


NEAREST = register(
    "attack", cites=("ddn-fmn", "deepfool"), name="deepfool-fmn",
    says="DeepFool finds a boundary near by; FMN shortens the way to it.",
)(FMN(start="attack:deepfool", steps=20, stride=3.0))  # fmt: skip
