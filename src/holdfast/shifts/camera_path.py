"""Films of a camera that moves: along, around, towards and out of the plane of a picture."""

from __future__ import annotations

from math import cos, hypot, pi, sin
from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.ops.warp import pixels, sampled

FRAMES = 31


class Steps(NamedTuple):
    """How far one frame is from the next, for large images and for those of 32 pixels."""

    size: int
    radius: int
    sigma: float
    angle: float
    middle: int  # the frame at which motion blur is level
    light: float
    tilt: float
    scale: tuple[float, float]
    travel: int


LARGE = Steps(224, 10, 3.0, 4.0, 30, 0.02, 1.0, (0.4, 0.025), 20)
SMALL = Steps(32, 6, 1.8, 9.0, 20, 0.015, 0.75, (0.7, 0.02), 7)


def pixel(x: Tensor, steps: Steps) -> float:
    """Pixels of these images for each of those that the steps were published for."""
    return min(x.shape[2:]) / steps.size


def translate(x: Tensor, steps: Steps, dice: Dice) -> list[Tensor]:
    """Frames along a row, pixel by pixel."""
    unit = max(1, round(pixel(x, steps)))
    count = 2 * steps.travel + (1 if steps is LARGE else 2)
    moves = [(steps.travel - i) * unit for i in range(count)]
    return [_through(x, [[1, 0, m], [0, 1, 0], [0, 0, 1]]) for m in moves]


def rotate(x: Tensor, steps: Steps, dice: Dice) -> list[Tensor]:
    """Frames turned by a degree each."""
    turns = [(cos(a), sin(a)) for a in _angles(1.0)]
    return [_through(x, [[c, -s, 0], [s, c, 0], [0, 0, 1]]) for c, s in turns]


def shear(x: Tensor, steps: Steps, dice: Dice) -> list[Tensor]:
    """Frames slanted by a degree each."""
    return [_through(x, [[1, -sin(a), 0], [0, cos(a), 0], [0, 0, 1]]) for a in _angles(1.0)]


def scale(x: Tensor, steps: Steps, dice: Dice) -> list[Tensor]:
    """Frames from near and far; what lies outside is black."""
    start, more = steps.scale
    zooms = [1 / (start + more * i) for i in range(FRAMES)]
    return [_through(x, [[z, 0, 0], [0, z, 0], [0, 0, 1]], black=True) for z in zooms]


def tilt(x: Tensor, steps: Steps, dice: Dice) -> list[Tensor]:
    """A plane turned around both axes by one angle, seen from as far as its diagonal is long."""
    far, film = hypot(*x.shape[2:]), []
    for a in _angles(steps.tilt):
        c, s = cos(a), sin(a)
        seen = [[far * c, far * s * s, 0], [0, far * c, 0], [-s, c * s, far]]
        back = torch.linalg.inv(torch.tensor(seen, dtype=torch.float64))
        film.append(_through(x, back.tolist()))
    return film


def _angles(degrees: float) -> list[float]:
    return [degrees * (i - FRAMES // 2) * pi / 180 for i in range(FRAMES)]


def _through(x: Tensor, rows: list[list[float]], black: bool = False) -> Tensor:
    """Images read through a projective map of (column, row, 1) around their middle."""
    column, row = pixels(x)
    middle = ((x.shape[3] - 1) / 2, (x.shape[2] - 1) / 2)
    u, v = column - middle[0], row - middle[1]
    a, b, c = (m[0] * u + m[1] * v + m[2] for m in rows)
    right, down = (
        (p / c + m).expand(len(x), *x.shape[2:]) for p, m in zip((a, b), middle, strict=True)
    )
    out = sampled(x, right, down, "mirror")
    if not black:
        return out
    inside = ((right - middle[0]).abs() <= middle[0] + 0.5) & (
        (down - middle[1]).abs() <= middle[1] + 0.5
    )
    return out * inside[:, None]
