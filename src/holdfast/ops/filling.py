"""How far numbers grow, or shrink, until a ball is just full: exact, piece by piece."""

from __future__ import annotations

from itertools import count

import torch
from torch import Tensor


def fill_l2(y: Tensor, bound: Tensor, radius: Tensor, guess: Tensor | None = None) -> Tensor:
    """`(B,)`: the scale s at which ||min(s |y|, bound)||_2 reaches the radius; inf if it cannot.

    In q = s^2 the squared norm is concave and piecewise linear, so a Newton step from anywhere
    ends at or before the solution, and from there the set C of coordinates at their bound only
    grows: with the C of a piece, s^2 sum_free y^2 = r^2 - sum_C bound^2. The first C that stays is
    exact; a guess past the solution, as a chord from 0 gives, saves most of the steps.

    Args:
        y: `(B, n)` non-negative.
        bound: `(B, n)` non-negative, may be infinite.
        radius: `(B,)`; sums are taken in its type.
        guess: `(B,)` where to start; 0 if left out.
    """
    square, goal = y.square(), radius.square()
    ceiling = torch.where(bound.isfinite() & (y > 0), bound, 0.0).square_()
    part, none = torch.empty_like(y), y == 0  # memory is taken once: it is dear
    s = torch.zeros_like(goal) if guess is None else guess
    before = kept = none
    for number in count():
        capped = (torch.mul(y, s.to(y.dtype)[:, None], out=part) > bound) | kept
        if number and torch.equal(capped, before):
            return s
        if not number:  # a guess from which nothing is free says nothing: begin at 0
            capped = torch.where(capped.all(1, keepdim=True), none, capped)
        left = goal - torch.mul(ceiling, capped, out=part).sum(1, dtype=goal.dtype)
        free = torch.mul(square, ~capped, out=part).sum(1, dtype=goal.dtype)
        s = torch.where(free > 0, (left.clamp(min=0) / free).sqrt(), torch.inf)
        before, kept = capped, capped if number else none  # a guess may have capped too many
    raise AssertionError  # pragma: no cover: what is capped cannot grow for ever


def threshold_l1(y: Tensor, bound: Tensor, radius: Tensor) -> Tensor:
    """`(B,)`: the shift t >= 0 at which sum min((y - t)+, bound) falls to the radius; 0 if below.

    Every coordinate bends the sum twice, down at y - bound and back at y. After sorting the
    bends, the sum is slope t + offset on each piece, both from running sums, and inverted exactly.

    Args:
        y: `(B, n)` non-negative.
        bound: `(B, n)` in [0, y].
        radius: `(B,)`; sums are taken in its type.
    """
    points, order = torch.cat([y - bound, y], 1).sort(1)
    bends = torch.where(order < y.shape[1], -1.0, 1.0).to(points)
    whole = bound.sum(1, keepdim=True, dtype=radius.dtype)
    slope, offset = bends.cumsum(1), whole - (bends * points).cumsum(1, dtype=radius.dtype)
    above = slope * points + offset > radius[:, None]
    last = (above.sum(1, keepdim=True) - 1).clamp(min=0)
    steep = slope.gather(1, last).squeeze(1).clamp(max=-1)
    t = (radius - offset.gather(1, last).squeeze(1)) / steep
    return torch.where(whole.squeeze(1) > radius, t, 0.0)
