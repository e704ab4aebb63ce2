"""Balls cut by a box: exact projections and steepest steps, row by row, without Python loops.

Throughout, a row is a change d of an input x, and the box is given by how far each coordinate
may still go down (`down` <= 0) and up (`up` >= 0): low - x and high - x.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from holdfast.ops.batch import fit
from holdfast.ops.filling import fill_l2, threshold_l1

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
