"""Steps onto the nearest boundary of the linearised model, until it is crossed."""

from __future__ import annotations

from math import inf
from typing import ClassVar, Literal

import torch
from torch import Tensor

from holdfast.attacks.minimum_norm import MinimumNorm
from holdfast.attacks.smallest import Rows, Smallest
from holdfast.attacks.tangent import nearest_way, shortest
from holdfast.attacks.ways import ranked
from holdfast.core.catalog import register
from holdfast.core.fields import Count, NonNegative, settings
from holdfast.core.kinds import Access
from holdfast.ops.hyperplane import onto_hyperplane

_BEYOND = 1e-4  # added to the value, in logits, so that rounding does not stop short of a boundary


@register("attack", cites="deepfool", name="deepfool", says="Steps onto the nearest boundary.")
@settings
class DeepFool(MinimumNorm):
    """Minimum norm by repeated linearisation: the shortest step onto the nearest boundary.

    At each point all likely ways to win are linearised; the step goes to the nearest of their
    boundaries, in the norm of the threat, and what has been walked is stretched by `overshoot`
    when it is evaluated. On an affine model the first step is exact. Not guaranteed to be
    minimal: an upper bound of the distance. A row ends at the first winning change.

    Args:
        steps: linearisations.
        overshoot: by what share the walk is stretched.
        targets: how many ways are linearised, the likeliest first.
        walls: what a step does at the ends of the box: `reach` goes around, `clip` stops.
        smallest: hand back winning changes of any length, not only those inside the threat.

    Cost: per step and open row one forward and `targets` backwards (fewer where there are fewer
    ways), one forward to look; two forwards per row in all.

    Raises:
        Unsupported: unless changes are measured in the maximum, Euclidean or sum norm.

    Unlike the paper, which knows no box: steps are the shortest that stay inside of it, which
    are the published ones where no wall is near. `walls="clip"` clips them instead, as the
    authors' code does after every step; such steps stop short of the boundary, so that more of
    them, at up to six times the cost, find changes about 5 % shorter, and none in the sum norm,
    whose steps move one coordinate only.
    """

    access: ClassVar[Access] = Access.GRADIENT
    orders: ClassVar[tuple[float, ...]] = (inf, 2.0, 1.0)
    steps: Count = 50
    overshoot: NonNegative = 0.02
    targets: Count = 9
    walls: Literal["reach", "clip"] = "reach"
    smallest: bool = False

    def shorten(self, known: Smallest) -> None:
        rows = known.open
        walk = rows.threat.none(rows.x)
        change = walk
        chosen = ranked(rows.model, rows.x, rows.goal, rows.threat, walk, self.targets)
        for _ in range(self.steps):
            value, slope, _ = nearest_way(rows, change, chosen)
            walk = rows.boxed(walk + self._step(rows, change, value - _BEYOND, slope))
            change = rows.boxed((1 + self.overshoot) * walk)
            margin = rows.margins(change)
            known.see(rows, change, margin)
            stay = (margin < 0).nonzero().flatten()
            if not len(stay):
                break
            if len(stay) < len(rows):
                rows, walk, change, chosen = rows.take(stay), walk[stay], change[stay], chosen[stay]

    def _step(self, rows: Rows, change: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        """The step from a change onto the linearised boundary."""
        if self.walls == "reach":
            return shortest(rows, change, value, slope)
        wide = torch.full_like(change, torch.finfo(change.dtype).max)
        return onto_hyperplane(slope, -value, -wide, wide, rows.threat.order).nan_to_num(0.0)
