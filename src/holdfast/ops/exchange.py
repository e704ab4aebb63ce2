"""Budget that leaves the coordinates where it is worth least for those where it is worth most."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.ops.geometry import towards, wide


def exchange_l1(
    change: Tensor,
    gradient: Tensor,
    moved: float,
    share: float,
    radius: float,
    down: Tensor,
    up: Tensor,
) -> Tensor:
    """The best exchange within the L1 ball and the box, where what comes in is bounded.

    A linear function gains |g| for each unit that comes to a coordinate and loses g sign(d) for
    each that goes. So the best exchange takes in by falling |g| and, where the ball is full, gives
    up by rising g sign(d), until nothing that comes is worth more than what would go for it: two
    fractional knapsacks of equal weights, one after the other, and both exact. A projected step
    takes as much from the best coordinates as from the worst. The linear function never falls.

    Args:
        change: `(B, ...)` within ball and box.
        gradient: `(B, ...)`, finite.
        moved: sum of what may come in.
        share: of its room from the input that a coordinate may take in at once, in (0, 1].
        radius: of the ball.
        down: `(B, ...)` how far each coordinate of the input may go down, <= 0.
        up: `(B, ...)` how far each coordinate of the input may go up, >= 0.
    """
    d, g, kind = change.flatten(1), gradient.flatten(1), wide(gradient)
    way, there = towards(gradient, down, up).flatten(1), torch.where(g > 0, d, -d)
    room = torch.minimum(way - there, way * share).clamp(min=0)
    room = torch.where((g != 0) & (there >= 0), room, 0.0)  # what is on the other side goes first
    worth = torch.cat([g * d.sign(), g.abs()], 1)
    coming = _filled(room, torch.where(room > 0, worth[:, d.shape[1] :], -1.0), moved, kind)
    # Where nothing can come in, what is on the other side goes for nothing: it was in the way.
    idle = (room == 0).all(1, keepdim=True) & (moved > 0)
    own = torch.where(idle & (there < 0) & (g != 0), 0.0, d.abs())
    full = radius * (1 - min(8 * torch.finfo(d.dtype).eps, 1e-6))  # sums are rounded
    kept = _filled(torch.cat([own, coming], 1), worth, full, kind)
    held, come = kept.split(d.shape[1], 1)
    found: Tensor = torch.copysign(held, d) + come * g.sign()
    return found.reshape(change.shape)


def _filled(masses: Tensor, worth: Tensor, budget: float, kind: torch.dtype) -> Tensor:
    """`(B, n)`: as much of each mass as a budget pays for, the worthiest first."""
    order = worth.argsort(dim=1, descending=True, stable=True)
    ranked = masses.gather(1, order)
    spent = ranked.cumsum(1, dtype=kind) - ranked
    share = torch.minimum((budget - spent).clamp(min=0), ranked.to(kind)).to(masses.dtype)
    return torch.zeros_like(masses).scatter(1, order, share)
