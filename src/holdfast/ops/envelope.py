"""Slopes of the convex envelope of a function on intervals, found from samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.ops.interval import Box

SAMPLES = 9  # of an interval, an odd number
NARROW = 2.0**-40  # width relative to the ends


class Slopes(NamedTuple):
    """Slopes of lines that touch the envelope at the lower end, the middle, the upper end."""

    first: Tensor
    middle: Tensor
    last: Tensor


@torch.no_grad()
def slopes(function: Callable[[Tensor], Tensor], box: Box, sign: int) -> Slopes:
    """Slopes that support `sign f` from below at the ends and in the middle, from samples.

    Approximate: what makes a line of such a slope sound is its offset. Zero where the interval is
    so narrow that quotients of differences say nothing.

    Args:
        function: f, elementwise.
        box: intervals on which f is finite.
        sign: 1, or -1 for lines above f.
    """
    n, half = SAMPLES - 1, SAMPLES // 2
    share = torch.linspace(0, 1, SAMPLES, dtype=box.low.dtype, device=box.low.device)
    share = share.reshape(-1, *[1] * box.low.dim())
    xs = (box.low + share * (box.high - box.low)).minimum(box.high)
    ys = sign * function(xs)
    first = ((ys[1:] - ys[0]) / (xs[1:] - xs[0])).amin(0)
    last = ((ys[n] - ys[:n]) / (xs[n] - xs[:n])).amax(0)
    # The lowest chord across the middle, or that of its neighbours where the middle is lower.
    left = torch.arange(half, device=xs.device).repeat_interleave(half)
    right = (torch.arange(half, device=xs.device) + half + 1).repeat(half)
    chords = (ys[right] - ys[left]) / (xs[right] - xs[left])
    heights = ys[left] + chords * (xs[half] - xs[left])
    height, which = heights.min(0)
    beside = (ys[half + 1] - ys[half - 1]) / (xs[half + 1] - xs[half - 1])
    middle = torch.where(height < ys[half], chords.gather(0, which[None])[0], beside)
    last = torch.maximum(first, last)
    thin = narrow(box)
    flat = torch.zeros_like(first)
    return Slopes(*(torch.where(thin, flat, s) for s in (first, middle.clamp(first, last), last)))


def narrow(box: Box) -> Tensor:
    """Intervals too narrow for quotients of differences."""
    return box.high - box.low <= NARROW * (1 + box.magnitude)
