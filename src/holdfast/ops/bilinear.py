"""Images read between their pixels: displaced values, and bounds over all displacements.

A displacement (right, down), in pixels, moves the place where a pixel is read. Between four
neighbouring pixels the value is bilinear in it, so it has no extremum inside: whatever set of
displacements is allowed, its largest and least values lie at the pixels within reach, on the
border of the set, or where the border crosses from one square of four pixels to the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import acos, asin, ceil, cos, pi, sin
from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.ops.interval import UNIT, Box

ARC = 256  # points on the border of a disc


def displaced(x: Tensor, right: Tensor, down: Tensor, fill: float = 0.0) -> Tensor:
    """Images `(B, C, H, W)` read at displaced places, all channels alike.

    Weights come from the fractions of the displacements alone, so that a pixel that does not
    move keeps its value exactly, and no error grows with its place in the image.

    Args:
        x: images.
        right: `(B, H, W)` displacements in pixels, to the right.
        down: `(B, H, W)` downwards.
        fill: value outside of the image.
    """
    height, width = x.shape[2:]
    column = torch.arange(width, device=x.device) + right.floor().long()
    row = torch.arange(height, device=x.device)[:, None] + down.floor().long()
    u, w = right - right.floor(), down - down.floor()
    total = torch.zeros_like(x)
    flat = x.flatten(2)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        r, c = row + i, column + j
        inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
        place = (r.clamp(0, height - 1) * width + c.clamp(0, width - 1)).flatten(1)
        value = flat.gather(2, place[:, None].expand(-1, x.shape[1], -1)).reshape(x.shape)
        weight = (w if i else 1 - w) * (u if j else 1 - u)
        total = total + weight[:, None] * torch.where(inside[:, None], value, fill)
    return total


class Moves(NamedTuple):
    """Displacements that decide what all others of a set can reach.

    Args:
        points: `(K, 2)` float64, right and down, each inside the set.
        gap: largest step between neighbours on a curved border, 0 where the border is straight
            along the axes and corners are enough.
        bend: bounds the second derivative along the border: `bend[0]` times the larger slope
            plus `bend[1]` times the mixed difference of four neighbouring pixels.
    """

    points: Tensor
    gap: float
    bend: tuple[float, float]


def moves(reach: float, order: float) -> Moves:
    """The deciding displacements of a ball of the p-norm, p = 1, 2 or infinity.

    Args:
        reach: its radius in pixels.
        order: p.
    """
    whole = range(-ceil(reach), ceil(reach) + 1)
    inner = [float(k) for k in whole if abs(k) < reach]
    if order == torch.inf:
        ends = [-reach, *inner, reach]
        return Moves(_pairs([(u, w) for u in ends for w in ends]), 0.0, (0.0, 0.0))
    if order == 1:
        grid = [(u, w) for u in inner for w in inner if abs(u) + abs(w) <= reach]
        cuts = sorted({-reach, *inner, *(s * (reach - abs(k)) for k in inner for s in (-1, 1)),
                       0.0, reach})  # fmt: skip
        sides, gap = _spread(cuts)
        # Along a side (t, reach - t) only the mixed term bends: its second derivative is 2 d.
        edge = [(t, s * (reach - abs(t))) for t in sides for s in (-1, 1)]
        return Moves(_pairs(grid + edge), gap, (0.0, 2.0))
    grid = [(u, w) for u in inner for w in inner if u * u + w * w <= reach * reach]
    crossings = [a for k in inner for a in _angles(k / reach)]
    angles, gap = _spread(sorted({-pi, pi, *((a + pi) % (2 * pi) - pi for a in crossings)}))
    circle = [(reach * cos(a), reach * sin(a)) for a in angles]
    # b cos + c sin bends by at most their length, d sin cos by 2 d, times the radius (squared).
    return Moves(_pairs(grid + circle), gap, (reach * 2**0.5, 2 * reach * reach))


def _angles(share: float) -> tuple[float, ...]:
    """Where a circle of radius 1 meets the two lines at this distance from its centre."""
    return acos(share), -acos(share), asin(share), pi - asin(share)


def _pairs(found: list[tuple[float, float]]) -> Tensor:
    return torch.tensor(sorted(set(found)), dtype=torch.float64).reshape(-1, 2)


def _spread(cuts: list[float]) -> tuple[list[float], float]:
    """Points between the first and the last cut, all cuts among them, and their largest step."""
    if len(cuts) < 2 or cuts[-1] == cuts[0]:
        return cuts, 0.0
    step = (cuts[-1] - cuts[0]) / ARC
    found = [cuts[0]]
    for a, b in pairwise(cuts):
        parts = max(1, ceil((b - a) / step))
        found += [a + (b - a) * (k + 1) / parts for k in range(parts)]
    return found, step


class Planes(NamedTuple):
    """`low + slope . v <= value(v) <= high + slope . v` for every displacement v of a set.

    Args:
        low: `(B, C, H, W)` float64.
        high: of the same shape.
        slope: `(2, B, C, H, W)`, per pixel to the right and down.
    """

    low: Tensor
    high: Tensor
    slope: Tensor


def _readings(x: Tensor, points: Tensor, fill: float) -> Iterator[Tensor]:
    """`(B, C, H, W)` for each point: all pixels moved alike."""
    wide = x.double()
    flat = wide.new_ones(len(x), *x.shape[2:])
    return (displaced(wide, u * flat, w * flat, fill) for u, w in points)


def _slack(x: Tensor, set_of: Moves, reach: float, slope: Tensor, fill: float) -> Tensor:
    """What may lie between the points of a curved border, and what rounding may add."""
    size = torch.maximum(x.double().abs(), torch.tensor(abs(fill)).double())
    side = 2 * ceil(reach) + 3
    near = torch.nn.functional.max_pool2d(size, side, 1, side // 2)
    # Slopes and mixed differences of neighbouring pixels: at most two and four times their size.
    bend = set_of.bend[0] * (2 * near + slope.abs().amax(0)) + set_of.bend[1] * 4 * near
    rounding = 64 * UNIT * (near + slope.abs().sum(0) * (reach + 1)) + 1e-300
    return set_of.gap**2 / 8 * bend + rounding


def planes(x: Tensor, reach: float, order: float, fill: float = 0.0, *, flat: bool) -> Planes:
    """Parallel planes below and above the value of every pixel over its displacements.

    The slope is that of least squares over the deciding displacements, or 0 for a box; any
    slope is sound, because what is left is again bilinear between four pixels, and its extremes
    are looked for at the same points. What lies between two points of a curved border exceeds
    both by at most the square of their distance times an eighth of the second derivative.

    Args:
        x: `(B, C, H, W)` images.
        reach: radius of the displacements in pixels.
        order: of the norm that measures them: 1, 2 or infinity.
        fill: value outside of the image.
        flat: whether the slope is 0.
    """
    set_of = moves(reach, order)
    points = set_of.points.to(x.device)
    slope = torch.zeros(2, *x.shape, dtype=torch.float64, device=x.device)
    if not flat and reach > 0:
        # The sets are symmetric: the two coordinates are uncorrelated and have mean 0.
        weight = points / points.square().sum(0)
        for (u, w), value in zip(weight, _readings(x, points, fill), strict=True):
            slope += torch.stack([u * value, w * value])
    low, high = torch.full_like(slope[0], torch.inf), torch.full_like(slope[0], -torch.inf)
    for (u, w), value in zip(points, _readings(x, points, fill), strict=True):
        rest = value - u * slope[0] - w * slope[1]
        low, high = torch.minimum(low, rest), torch.maximum(high, rest)
    slack = _slack(x, set_of, reach, slope, fill)
    return Planes(low - slack, high + slack, slope)


def displaced_box(x: Tensor, reach: float, order: float, fill: float = 0.0) -> Box:
    """The least box that holds every pixel, wherever within reach it is read from."""
    found = planes(x, reach, order, fill, flat=True)
    return Box(found.low, found.high)
