"""Down to the boundary, along its estimated normal, back to the boundary: labels are enough."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, sqrt
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.attacks.decisions import asked, bisected, decided, started, unit
from holdfast.attacks.minimum_norm import MinimumNorm
from holdfast.attacks.smallest import Rows, Smallest
from holdfast.core.catalog import register
from holdfast.core.fields import Count, Ingredient, Positive, ingredient, settings
from holdfast.core.kinds import Access
from holdfast.ops.batch import fit, pick

HALVINGS = 50  # of a step that leaves the winning side, before the row stays where it is
PROBES = 2**17  # input numbers per row that are probed at once, and at most 128 probes
_UPHILL: dict[float, Callable[[Tensor], Tensor]] = {2.0: unit, inf: torch.sign}


@register(
    "attack",
    cites="hopskipjump",
    name="hopskipjump",
    says="Follows the normal of the boundary, estimated from labels alone.",
)
@settings
class HopSkipJump(MinimumNorm):
    """Minimum norm from labels alone: jumps along the boundary by estimates of its normal.

    From winning noise, each step bisects back to the boundary, probes random directions there,
    averages them by the label that they give (less the mean, which lowers the variance), and
    moves along that estimate as far as the label stays won. Properties: neither scores nor
    gradients, so neither can be masked; the smallest winning change seen is handed back, probes
    included; probes are drawn per row.

    Args:
        steps: jumps.
        samples: probes of the first jump; the j-th has sqrt(j) times as many.
        most: largest number of probes of a jump.
        tries: draws of noise to start from; a row that none of them wins is given up.
        pool: `(n, ...)` inputs to start from before that; a target needs some of its class.
        precision: how close to the boundary bisection gets, in shares of the length, times the
            number of coordinates to the power 1.5 (Euclidean) or 2 (maximum norm).
        smallest: go on shrinking where a winning change inside the threat is known, and hand
            back winning changes of any length.

    Cost: per open row and jump `samples * sqrt(j)` forwards, some 20 for bisection and a few for
    the length of the step; no backwards.

    Raises:
        Unsupported: unless changes are measured in the maximum or the Euclidean norm.

    Unlike the paper: the start tries four kinds of noise; probes are normal in both norms;
    unless `smallest`, the threat's radius is asked before each bisection and ends it.
    """

    access: ClassVar[Access] = Access.DECISION
    orders: ClassVar[tuple[float, ...]] = (inf, 2.0)
    steps: Count = 20
    samples: Count = 100
    most: Count = 10000
    tries: Count = 200
    pool: Ingredient[Tensor] = ingredient()
    precision: Positive = 1.0
    smallest: bool = False

    def shorten(self, known: Smallest) -> None:
        count, order = max(known.x[:1].numel(), 1), known.threat.order
        share = min(0.5, self.precision / count ** (2 - 1 / order))
        rows, change = started(known, self.tries, self.pool)
        change = bisected(known, rows, change, 1e-3)
        for jump in range(1, self.steps + 1):
            rows, change, before = _left(known, rows, change, rows.threat.length(change))
            if not len(rows):
                break
            change = bisected(known, rows, change, share)
            rows, change, before = _left(known, rows, change, before)
            if not len(rows):
                break
            reach = self.precision / count * before
            reach = torch.full_like(before, 0.1 * rows.width) if jump == 1 else reach
            probes = min(int(self.samples * sqrt(jump)), self.most)
            way = _UPHILL[order](normal(known, rows, change, reach, probes))
            change = _jumped(known, rows, change, way, jump)
        bisected(known, rows, change, share)


def normal(known: Smallest, rows: Rows, change: Tensor, reach: Tensor, probes: int) -> Tensor:
    """The estimated normal of the boundary at a change, pointing to the winning side.

    Directions are averaged with the sign that their label gives them, less the mean sign: the
    part of the average that every direction shares is noise.

    Args:
        known: remembers the shortest probe that wins; a row that it decides is not probed on.
        rows: under attack.
        change: `(A, ...)` on the boundary.
        reach: `(A,)` Euclidean length of a probe.
        probes: per row; at most 128 at once.

    Returns:
        `(A, ...)` of Euclidean length 1.

    Cost: `probes` forwards per row.
    """
    total, signed = torch.zeros_like(change), torch.zeros_like(change)
    score, block = torch.zeros_like(reach), max(1, min(128, PROBES // max(change[:1].numel(), 1)))
    for done in range(0, probes, block):
        count = min(block, probes - done)
        at = (~decided(known, rows)).nonzero().flatten()
        if not len(at):
            break
        some = rows if len(at) == len(rows) else rows.take(at)
        ways, won = _probed(known, some, change[at], reach[at], count)
        total[at] += ways.sum(1)
        score[at] += won.sum(1)
        signed[at] += (ways * won.reshape(won.shape + (1,) * (change.dim() - 1))).sum(1)
    mean = score / probes
    same = mean.abs() == 1
    return unit(pick(same, signed, signed - fit(mean, total) * total))


def _probed(
    known: Smallest, rows: Rows, change: Tensor, reach: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Random directions `(A, count, ...)` around a change, and 1 or -1 for the side they end on."""
    draw = rows.dice.normal((count, *change.shape[1:]), device=change.device)
    ways = unit(draw.to(change).flatten(0, 1)).reshape(draw.shape)
    many = rows.take(torch.arange(len(rows), device=change.device).repeat_interleave(count))
    step = fit(reach, draw.movedim(1, -1)).movedim(-1, 1)
    points = many.boxed((change[:, None] + step * ways).flatten(0, 1))
    margin = many.margins(points).reshape(len(rows), count)
    length = rows.threat.length(points).reshape(len(rows), count)
    first = length.masked_fill(margin < 0, torch.inf).argmin(1, keepdim=True)
    points = points.reshape(draw.shape)
    shortest = points[torch.arange(len(rows), device=change.device), first[:, 0]]
    if bool((margin >= 0).any()):
        known.see(rows, shortest, margin.gather(1, first)[:, 0])
    return (points - change[:, None]) / step, 2.0 * (margin >= 0).to(change) - 1


def _jumped(known: Smallest, rows: Rows, change: Tensor, way: Tensor, jump: int) -> Tensor:
    """Winning changes, as far along a direction as the first of ever shorter steps that wins."""
    step = rows.threat.length(change) / sqrt(jump)
    found, which = change, torch.ones_like(step, dtype=torch.bool)
    for _ in range(HALVINGS):
        if not bool((which & ~decided(known, rows)).any()):
            break
        point = rows.boxed(change + fit(step, change) * way)
        won = asked(known, rows, point, which)
        found, which, step = pick(won, point, found), which & ~won, step / 2
    return found


def _left(
    known: Smallest, rows: Rows, change: Tensor, before: Tensor
) -> tuple[Rows, Tensor, Tensor]:
    """The rows that are still open, with their changes and a number of each."""
    stay = (~decided(known, rows)).nonzero().flatten()
    if len(stay) == len(rows):
        return rows, change, before
    return rows.take(stay), change[stay], before[stay]
