"""The model as it looks from a point: every way to win, linearised."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.attacks.smallest import Rows
from holdfast.core.errors import Unsupported
from holdfast.ops.batch import fit, pick
from holdfast.ops.hyperplane import dual_norm, onto_hyperplane
from holdfast.run.search import judged


def nearest_way(rows: Rows, change: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The way to win whose linearised boundary is nearest, by its value and gradient.

    A way of value f and gradient w is won at a distance of |f| / ||w||, in the dual norm of the
    threat's. Cost: one forward and as many backwards as ways are chosen.

    Args:
        rows: of the attack.
        change: where to linearise.
        chosen: `(A, W)` positions of the ways that are looked at.

    Returns:
        Its value `(A,)`, its gradient, in the form of the change, and the margin `(A,)` there.

    Raises:
        Unsupported: if no gradient reaches the change.
    """
    seen = [_nearest_way(part, change[at], chosen[at]) for at, part in rows.portions()]
    value, slope, margin = (torch.cat(each) for each in zip(*seen, strict=True))
    return value, slope, margin


def _nearest_way(rows: Rows, change: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same for as many rows as are sent through the model at once."""
    with torch.enable_grad():
        moved = change.detach().requires_grad_()
        outputs = rows.threat.through(rows.model, rows.x, moved)
        ways = rows.goal.ways(outputs).gather(1, chosen)
        if not ways.requires_grad:
            raise Unsupported(
                f"no gradient reaches the change under {rows.threat.spec}",
                fix="Use a score attack (attack:square), or a model that is differentiable.",
            )
        value = torch.zeros_like(ways[:, 0]).detach()
        slope, away = torch.zeros_like(change), torch.full_like(value, torch.inf)
        for k in range(ways.shape[1]):
            last = k == ways.shape[1] - 1
            (gradient,) = torch.autograd.grad(ways[:, k].sum(), moved, retain_graph=not last)
            gradient = gradient.nan_to_num(0.0, 0.0, 0.0)
            own = ways[:, k].detach()
            size = dual_norm(gradient, rows.threat.order).to(own)
            far = torch.where(size > 0, own.abs() / size, torch.inf)
            nearer = (far < away) | (k == 0)
            value, slope = torch.where(nearer, own, value), pick(nearer, gradient, slope)
            away = torch.where(nearer, far, away)
    return value, slope, judged(rows.goal, outputs)[0]


def shortest(rows: Rows, change: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    """The shortest move from a change, within the box, onto a linearised boundary."""
    down, up = rows.room
    down, up = (down - change).clamp(max=0), (up - change).clamp(min=0)
    move = onto_hyperplane(slope, -value, down, up, rows.threat.order)
    return pick(value.isfinite(), move, torch.zeros_like(move))


def from_clean(rows: Rows, change: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    """The shortest change, within the box, on the boundary that was linearised at another one."""
    there = value - (slope * change).flatten(1).sum(1)
    return shortest(rows, torch.zeros_like(change), there, slope)


def lengths(rows: Rows, *moves: Tensor) -> list[Tensor]:
    """Lengths of moves, shaped to multiply them, never quite zero."""
    return [fit(rows.threat.length(m).clamp(min=1e-8), m).to(m) for m in moves]
