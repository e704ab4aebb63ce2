"""The search around the nearest points: where slopes mislead and few inputs count."""

from __future__ import annotations

import time
from collections.abc import Iterator
from math import inf

import torch

from holdfast.certify.search.tried import Network, Tried, probe
from holdfast.certify.search.unsafe import Unsafe
from holdfast.ops.interval import Box

FEW = 20  # inputs up to which it pays
KEPT, EACH, ROUNDS = 64, 32, 20  # points, draws around each, how often
WIDE, SHRINK = 0.1, 0.85  # how far they lie at first, in half widths of the box, and then


def crowd(
    network: Network, unsafe: Unsafe, near: Tried, box: Box, draws: torch.Generator,
    deadline: float = inf,
) -> Iterator[Tried]:  # fmt: skip
    """Draw points around the nearest ones, keep the nearest of all, and again, ever closer.

    Sets that are small and lie where outputs are almost level are met by no descent: its steps
    have the length of the box, and the slopes of a level place point anywhere. The nearest of many
    random points are beside such a set more often than not.

    Args:
        network: inputs -> outputs `(B, K)`.
        unsafe: what to reach.
        near: where to begin; the nearest 64 are taken.
        box: of one row.
        draws: of the points.
        deadline: of `time.monotonic()`.

    Yields:
        What was tried, one round after the other, the last one that reaches the set or the
        twentieth.

    Cost: at most 41,000 forward passes of single rows, no backward pass.
    """
    width = WIDE * (box.high - box.low) / 2
    for _ in range(ROUNDS):
        if time.monotonic() > deadline:
            return
        kept = near.nearest(KEPT)[0].unique()
        pool = Tried(near.x[kept], near.margins[kept])
        shape = (len(kept), EACH, *box.low.shape)
        away = 2 * torch.rand(shape, generator=draws, dtype=box.low.dtype) - 1
        points = torch.clamp(pool.x[:, None] + width * away, box.low, box.high)
        found = probe(network, unsafe, points.flatten(0, 1))
        yield found
        if bool((found.margins <= 0).any()):
            return
        near = Tried(torch.cat([pool.x, found.x]), torch.cat([pool.margins, found.margins]))
        width = SHRINK * width
