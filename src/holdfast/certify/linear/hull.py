"""Planes above ReLUs that speak of what their neurons see, not of their own value alone.

The chord of a ReLU is the best that can be said of `max(x, 0)` by its own value x. As a function of
the inputs z of the neuron, `x = w . z + b` with z in a box, its convex hull is smaller. Let a share
m of each input through, in [0, 1]: then

    max(x, 0) <= sum m w z + max(off, on),   off the largest of  -sum m w z,
                                             on  the largest of  b + sum (1 - m) w z  on the box,

since either case lies below its own largest value. With one share for all inputs the plane is one
in x, and with the right one it is the chord; shares that differ give the rest of the hull.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from holdfast.certify.network.local import Local
from holdfast.ops.interval import TINY, Box, gamma


@dataclass(frozen=True, eq=False)
class Hull:
    """One plane above each ReLU of a value: `slopes(z) + offset`.

    Args:
        over: position of z.
        slopes: of the planes.
        offset: `(1, *shape)`.
        shares: of which they were made, float32, `(places, channels, window)`.
    """

    over: int
    slopes: Local
    offset: Tensor
    shares: Tensor

    @cached_property
    def single(self) -> Local:
        """The slopes in float32."""
        return self.slopes.weighted(self.slopes.weight.float())


def ends(neurons: Local, box: Box) -> Box:
    """`(places, channels, window)`: least and largest `w z` of each input on a box of one row."""
    one, other = (neurons.weight * neurons.seen(end) for end in box)
    return Box(torch.minimum(one, other), torch.maximum(one, other))


def cases(neurons: Local, shares: Tensor, reach: Box) -> tuple[Tensor, Tensor]:
    """`(1, *shape)`: off and on.

    Args:
        neurons: w and b.
        shares: `(places, channels, window)`.
        reach: what `ends` says.
    """
    off, on = -(shares * reach.low).sum(2), ((1 - shares) * reach.high).sum(2)
    on = neurons.spread_out(on)
    return neurons.spread_out(off), on if neurons.bias is None else on + neurons.bias


def hull(over: int, neurons: Local, shares: Tensor, box: Box) -> Hull:
    """The planes of some shares, each as low as it may lie, rounded outward.

    Args:
        over: position of the inputs of the neurons.
        neurons: w and b, float64.
        shares: in [0, 1], so that no slope is larger than its weight.
        box: of the inputs, one row.
    """
    wide = shares.double().clamp(0, 1)
    off, on = cases(neurons, wide, ends(neurons, box))
    mass = neurons.mass([box.magnitude])
    # What rounding may lose in the slopes, the ends, the shares that are left, and the sums.
    lost = 2 * gamma(neurons.terms + 8) * mass + TINY
    slopes = neurons.weighted(neurons.weight * wide)
    return Hull(over, slopes, torch.maximum(off, on) + lost, shares)
