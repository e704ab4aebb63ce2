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

from holdfast.certify.network.graph import Graph
from holdfast.certify.network.local import Kernels, Local
from holdfast.ops.interval import TINY, Box, Index, gamma


@dataclass(frozen=True, eq=False)
class Hull:
    """Planes above some ReLUs of a value, other ones in each row.

    Args:
        over: position of what the neurons see.
        slopes: of the planes.
        offset: `(R, K)`.
    """

    over: int
    slopes: Kernels
    offset: Tensor

    @cached_property
    def single(self) -> Kernels:
        """The slopes in float32."""
        return Kernels(self.slopes.neurons, self.slopes.weight.float())

    def take(self, rows: Index) -> Hull:
        """Those of a selection of rows."""
        slopes = Kernels(self.slopes.neurons, self.slopes.weight[rows])
        return Hull(self.over, slopes, self.offset[rows])

    def instead(self, box: Box, above: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        """Slopes and offsets of lines above, without those of open neurons that have planes.

        Args:
            box: of the value.
            above: `(R, *shape)` slopes in the value itself.
            offset: likewise.
        """
        neurons = self.slopes.neurons
        open_ = neurons.own((box.low < 0) & (box.high > 0))
        slope = neurons.own(above).masked_fill(open_, 0.0)
        own = torch.where(open_, self.offset, neurons.own(offset))
        return neurons.among(slope, above), neurons.among(own, offset)


@dataclass(frozen=True, eq=False)
class First:
    """Open neurons that see what lies before all ReLUs, so that its box never shrinks.

    Args:
        over: position of what they see.
        neurons: w and b, float64.
        reach: `(K, window)` least and largest `w z` of each input.
        mass: `(K,)` sums of absolute terms, at most.
    """

    over: int
    neurons: Local
    reach: Box
    mass: Tensor

    @staticmethod
    def of(graph: Graph, relus: dict[int, int], boxes: list[Box]) -> dict[int, First]:
        """By position of a ReLU.

        Args:
            graph: the network.
            relus: by position of a ReLU, that of the value before it.
            boxes: of all nodes, one row.
        """
        found = {}
        for i, p in relus.items():
            open_ = (boxes[p].low < 0) & (boxes[p].high > 0)
            neurons = Local.of(graph, p, open_.flatten().nonzero().flatten())
            over = graph.nodes[p].parents[0]
            if neurons is not None and len(neurons.unit) and over < min(relus):
                found[i] = First.on(over, neurons, boxes[over])
        return found

    @staticmethod
    def on(over: int, neurons: Local, box: Box) -> First:
        """Neurons that see a box of one row."""
        one, other = (neurons.weight * neurons.seen(end)[0] for end in box)
        reach = Box(torch.minimum(one, other), torch.maximum(one, other))
        most = neurons.weight.abs() * neurons.seen(box.magnitude)[0]
        return First(over, neurons, reach, most.sum(1) + neurons.bias.abs())

    def few(self, kept: Tensor) -> First:
        """Those of `(K,)` bool."""
        reach = Box(self.reach.low[kept], self.reach.high[kept])
        return First(self.over, self.neurons.few(kept), reach, self.mass[kept])

    @cached_property
    def single(self) -> First:
        """The same in float32."""
        reach = Box(self.reach.low.float(), self.reach.high.float())
        return First(self.over, self.neurons.single, reach, self.mass.float())

    def cases(self, shares: Tensor) -> tuple[Tensor, Tensor]:
        """`(R, K)`: off and on, of shares `(R, K, window)`."""
        off = -(shares * self.reach.low).sum(2)
        return off, ((1 - shares) * self.reach.high).sum(2) + self.neurons.bias

    def offsets(self, shares: Tensor) -> Tensor:
        """`(R, K)`: of planes of shares in [0, 1], each as low as it may lie, rounded outward."""
        off, on = self.cases(shares.double())
        # What rounding may lose in the slopes, the ends, the shares that are left, and the sums.
        return torch.maximum(off, on) + 2 * gamma(self.neurons.terms + 8) * self.mass + TINY

    def hull(self, shares: Tensor, offset: Tensor) -> Hull:
        """Planes of shares with the offsets that belong to them."""
        return Hull(self.over, Kernels(self.neurons, self.neurons.weight * shares), offset)
