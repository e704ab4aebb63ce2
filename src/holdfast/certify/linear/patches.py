"""Windows of images laid out for coefficients in columns: where they lie in one another."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from math import prod
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.certify.linear.frames import length, needs
from holdfast.certify.linear.rough import Ready
from holdfast.certify.linear.windows import View, within
from holdfast.certify.network.bends import Bend
from holdfast.certify.network.columns import Transposed
from holdfast.certify.network.graph import Graph
from holdfast.certify.network.operators import Convolution, Scale
from holdfast.certify.network.rearrange import Total

Corner = tuple[int, int]  # where a window lies in a larger one


@dataclass(frozen=True, eq=False)
class Patches:
    """The windows behind each place of the last value of a network, and the way back through them.

    Args:
        view: the windows.
        corners: per node and parent, where what the node needs lies in the window of the parent.
        columns: of each convolution, between the window of its node and what it needs.
        indices: what `index` found at the first place, by node and number of rows.
    """

    view: View
    corners: tuple[tuple[Corner, ...], ...]
    columns: dict[int, Transposed]
    indices: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    def image(self, k: int, values: Tensor) -> Tensor:
        """Values `(B, C, H, W)` of node k, with zeros wherever a window reaches, in columns."""
        pads: list[int] = []
        ends = zip(self.view.frames[k], values.shape[2:], self.view.places, strict=True)
        for (stride, low, high), n, count in ends:
            pads = [-low, stride * (count - 1) + high - n, *pads]
        return F.pad(values, pads).permute(2, 1, 3, 0).flatten()

    def index(self, k: int, rows: int, where: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """`(h, C, w, N)`: where in such an image of `rows` rows the windows of places lie.

        Args:
            k: the node.
            rows: how many rows the image has.
            where: of each place its height, its width, and its row.
        """
        (down, top, bottom), (right, left, end) = self.view.frames[k]
        channels = self.view.graph.nodes[k].shape[-1]
        line = rows * (right * (self.view.places[1] - 1) + end - left)  # of one channel
        if (k, rows) not in self.indices:
            own = torch.arange(bottom - top)[:, None, None] * (channels * line)
            own = own + torch.arange(channels)[:, None] * line + torch.arange(end - left) * rows
            far = channels * line * (down * (self.view.places[0] - 1) + bottom - top)
            self.indices[k, rows] = own[..., None].to(torch.int32 if far < 2**31 else torch.int64)
        height, across, row = where
        at = height * (down * channels * line) + across * (right * rows) + row
        first = self.indices[k, rows]
        return first + at.to(first.dtype)

    @property
    def size(self) -> int:
        """Numbers in the largest window."""
        return max(prod(node.shape) for node in self.view.graph.nodes)


KNOWN: WeakKeyDictionary[Graph, Patches | None] = WeakKeyDictionary()


def patches(bounds: Ready) -> Patches | None:
    """Those of the last value of a network; None where whole images are no more work."""
    graph = bounds.graph
    if graph not in KNOWN:
        seen = within(graph, graph.output)
        KNOWN[graph] = None if seen is None else _patches(graph, seen)
    return KNOWN[graph]


def _patches(graph: Graph, seen: View) -> Patches | None:
    corners: list[tuple[Corner, ...]] = []
    columns: dict[int, Transposed] = {}
    for k, j in enumerate(seen.origin):
        op, parents = graph.nodes[j].operator, seen.graph.nodes[k].parents
        needed = needs(op, seen.frames[k], len(parents))
        corners.append(tuple(
            (rows.low - seen.frames[p][0].low, across.low - seen.frames[p][1].low)
            for (rows, across), p in zip(needed, parents, strict=True)
        ))  # fmt: skip
        if isinstance(op, Convolution):
            if op.columns is None:
                return None
            height, width = map(length, needed[0])
            columns[k] = Transposed(op.weight, op.stride, (0, 0), (height, width))
        elif not (isinstance(op, Scale | Total | Bend) or op is None):
            return None
    return Patches(seen, tuple(corners), columns)


@dataclass(frozen=True, eq=False)
class Around:
    """What is known around all places, laid out to be gathered for some of them.

    Args:
        patches: the windows behind each place.
        bounds: of the whole network.
        costs: of absolute coefficients, by position among the windows.
        middles: mean and tilt of each bend, likewise.
        gaps: of each bend, likewise.
        rooms: by position, zeros in the midst of which coefficients lie, to be used again.
    """

    patches: Patches
    bounds: Ready
    costs: dict[int, Tensor] = field(default_factory=dict)
    middles: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    gaps: dict[int, Tensor] = field(default_factory=dict)
    rooms: dict[int, Tensor] = field(default_factory=dict)

    @staticmethod
    def of(patches: Patches, bounds: Ready) -> Around:
        """Everything that `bounds` know of the windows."""
        found = Around(patches, bounds)
        for k, j in enumerate(patches.view.origin):
            laid, cost = partial(patches.image, k), bounds.errors[j]
            if cost is not None:
                found.costs[k] = laid(cost)
            if j in bounds.middles:
                (mean,), (tilt,) = bounds.middles[j]
                found.middles[k] = laid(mean), laid(tilt)
            if j in bounds.gaps:
                found.gaps[k] = laid(bounds.gaps[j])
        return found
