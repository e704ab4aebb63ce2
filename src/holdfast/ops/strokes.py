"""Strokes of light over pictures of digits, drawn in pixels of an image of 28 x 28."""

from __future__ import annotations

from itertools import pairwise
from math import floor

import torch
from torch import Tensor

SIDE = 28
REACH = 2.3  # pixels above or below a stroke where its light ends
GAP, WAVE = 2, 2  # half a period of the zigzag, and its height
START, END = 2, 25  # columns of its ends


def grid(x: Tensor) -> tuple[Tensor, Tensor]:
    """Columns `(1, 1, W)` and rows `(1, H, 1)`, in pixels of an image of 28."""
    height, width = x.shape[2:]
    column = torch.arange(width, device=x.device, dtype=torch.float64) * (SIDE / width)
    row = torch.arange(height, device=x.device, dtype=torch.float64) * (SIDE / height)
    return column[None, None], row[None, :, None]


def stroke(x: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """`(B, H, W)`: light along a line, 1 on it and less above and below.

    Args:
        x: images, for their size.
        start: `(B, 2)` column and row; columns before it are dark.
        end: `(B, 2)`; columns from it on are dark.
    """
    column, row = grid(x)
    (c0, r0), (c1, r1) = ([v[:, i, None, None] for i in (0, 1)] for v in (start, end))
    slope = (r1 - r0) / torch.where(c1 == c0, torch.inf, c1 - c0)
    off = (row - r0 - slope * (column - c0)).abs().clamp(max=REACH - 1e-10)
    light = (1 + torch.log(1 - off / REACH)).clamp(0, 1)
    return light * ((column >= c0.floor()) & (column < c1.ceil()) & (c1 != c0))


def dotted(x: Tensor, rows: Tensor) -> Tensor:
    """`(B, H, W)`: a line from the first column to the last, every other pair of columns off.

    Args:
        x: images, for their size.
        rows: `(B, 2)` rows of its ends.
    """
    column, _ = grid(x)
    ends = [torch.stack([torch.full_like(rows[:, i], c), rows[:, i]], 1)
            for i, c in enumerate((0.0, SIDE - 1.0))]  # fmt: skip
    return stroke(x, *ends) * ((column / 2).floor() % 2 == 1)


def zigzag(x: Tensor, start: Tensor, rise: Tensor) -> Tensor:
    """`(B, H, W)`: a wave of straight strokes around a line from column 2 to column 25.

    Args:
        x: images, for their size.
        start: `(B,)` row where it begins.
        rise: `(B,)` rows from its begin to its end.
    """
    long = END - START
    angle = torch.atan(rise / long)
    length = long / torch.cos(angle)
    count = floor((long - GAP) / (2 * GAP)) + 1  # the same for all rises of up to five rows
    turns = [((2 * i + 1) * GAP, (-1) ** i * WAVE) for i in range(count)]
    way = [torch.zeros_like(angle), *(torch.full_like(angle, c) for c, _ in turns), length]
    last = turns[-1][1] / (2 * (length - 2 * GAP * floor(long / (2 * GAP))))
    up = [torch.zeros_like(angle), *(torch.full_like(angle, r) for _, r in turns), last]
    cos, sin = torch.cos(angle), torch.sin(angle)
    points = [
        torch.stack([START + cos * c - sin * r, start + sin * c + cos * r], 1)
        for c, r in zip(way, up, strict=True)
    ]
    light = torch.zeros(len(x), *x.shape[2:], dtype=torch.float64, device=x.device)
    for a, b in pairwise(points):
        light = (light + stroke(x, a, b)).clamp(0, 1)
    return light
