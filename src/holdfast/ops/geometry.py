"""Balls cut by a box: exact projections and steepest steps, row by row, without Python loops.

Throughout, a row is a change d of an input x, and the box is given by how far each coordinate
may still go down (`down` <= 0) and up (`up` >= 0): low - x and high - x.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import count

import torch
from torch import Tensor

from holdfast.ops.batch import fit

FLOAT64 = torch.float64


def wide(like: Tensor) -> torch.dtype:
    """The type to compute in: float64 where the device has it, at least float32 elsewhere."""
    return torch.float32 if like.device.type == "mps" else FLOAT64


def single_or_wide(like: Tensor) -> torch.dtype:
    """float32 where the numbers are such, else `wide`: for what is summed in float64 anyway."""
    return torch.float32 if like.dtype == torch.float32 else wide(like)


def norm(d: Tensor, order: float) -> Tensor:
    """`(B,)`: the p-norm of each row, p = 1, 2 or inf, computed in float32 or wider."""
    flat = d.flatten(1)
    flat = flat.float() if flat.dtype in (torch.float16, torch.bfloat16) else flat
    if flat.shape[1] == 0:
        return flat.new_zeros(len(flat))
    size: Tensor = torch.linalg.vector_norm(flat, order, dim=1)
    return size


def room(x: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """How far each coordinate may go down (<= 0) and up (>= 0).

    A coordinate that already lies outside may return or stay, but go no further.
    """
    return (low - x).clamp(max=0), (high - x).clamp(min=0)


def towards(direction: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """The room of each coordinate in the direction of the sign of another tensor."""
    return torch.where(direction > 0, up, -down)


def toward_zero(d: Tensor, exact: Tensor) -> Tensor:
    """`exact` in the type of `d`, rounded towards zero, so that no norm grows by rounding."""
    cast = exact.to(d.dtype)
    if cast.dtype == exact.dtype:
        return cast
    grown = cast.abs().to(exact.dtype) > exact.abs()
    return torch.where(grown, torch.nextafter(cast, torch.zeros_like(cast)), cast)


@lru_cache(maxsize=256)
def rounded(radius: float, kind: torch.dtype) -> float:
    """A radius as numbers of a type have it, rounded towards zero."""
    exact = torch.tensor(radius, dtype=FLOAT64)
    return float(toward_zero(torch.zeros((), dtype=kind), exact))


def _rest(d: Tensor, radius: Tensor, order: float = 2) -> Tensor:
    """Shrinks away what rounding left outside of the ball; a factor of 1 - 1e-15 or so, and of
    1 - 1e-7 for numbers of single precision, whose products are rounded once more."""
    size = torch.linalg.vector_norm(d, order, dim=1, dtype=radius.dtype)
    less = 1 - 2 * torch.finfo(d.dtype).eps if d.dtype != radius.dtype else 1.0
    return d * fit(torch.where(size > radius, radius / size * less, 1.0), d).to(d)


def _outside(size: Tensor, radius: Tensor) -> Tensor:
    """Rows outside of the ball by more than the rounding of a norm: projecting twice is once."""
    return size > radius * (1 + 8 * torch.finfo(size.dtype).eps)


def project_linf(d: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """Nearest point of the maximum-norm ball cut by the box: both are boxes, so one clamp.

    Args:
        d: `(B, ...)` changes.
        radius: `(B,)`.
        down: `(B, ...)` least admissible change, <= 0.
        up: `(B, ...)` largest admissible change, >= 0.
    """
    r = toward_zero(d, fit(radius, d))
    return torch.clamp(d, torch.maximum(down, -r), torch.minimum(up, r))


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


def project_l2(d: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """Nearest point of the Euclidean ball cut by the box.

    The solution is clamp(s d, box) with the largest s <= 1 that fits into the ball (the
    multiplier of the ball is 1/s - 1), found exactly by `fill_l2`. Scaling and clamping one
    after the other would give an admissible point that is not the nearest.

    Args:
        d: `(B, ...)` changes.
        radius: `(B,)`.
        down: `(B, ...)` least admissible change, <= 0.
        up: `(B, ...)` largest admissible change, >= 0.
    """
    inside = torch.minimum(torch.maximum(d, down), up)
    size = norm(inside, 2)
    over = _outside(size, radius)
    if not bool(over.any()):
        return inside
    kind = single_or_wide(d)
    y, r = d.flatten(1).abs().to(kind), radius.to(wide(d))
    bound = towards(d, down, up).flatten(1).to(kind)
    top = y.amax(1).clamp(min=1)  # squares of huge changes would overflow
    y = y / top[:, None]
    s = fill_l2(y, bound, r, top * (r / size).clamp(max=1))
    s = torch.where(over, torch.minimum(s, top), top).to(kind)
    found = _rest(torch.minimum(s[:, None] * y, bound), torch.where(over, r, torch.inf))
    found = torch.copysign(found, d.flatten(1).to(kind)).reshape(d.shape)
    return torch.where(fit(over, d), toward_zero(d, found), inside)


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


def project_l1(d: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """Nearest point of the L1 ball cut by the box.

    The solution is sign(d) min((|d| - t)+, room) with the t of `threshold_l1`, so it is exact;
    projecting onto ball and box in turn would waste budget on what the box cuts off.

    Args:
        d: `(B, ...)` changes.
        radius: `(B,)`.
        down: `(B, ...)` least admissible change, <= 0.
        up: `(B, ...)` largest admissible change, >= 0.
    """
    inside = torch.minimum(torch.maximum(d, down), up)
    over = _outside(norm(inside, 1), radius)
    if not bool(over.any()):
        return inside
    kind = single_or_wide(d)
    y, r = d.flatten(1).abs().to(kind), radius.to(wide(d))
    bound = inside.flatten(1).abs().to(kind)
    t = threshold_l1(y, bound, r).to(kind)
    found = torch.minimum((y - t[:, None]).clamp(min=0), bound)
    found = _rest(found, torch.where(over, r, torch.inf), 1)
    found = torch.copysign(found, d.flatten(1).to(kind)).reshape(d.shape)
    return torch.where(fit(over, d), toward_zero(d, found), inside)
