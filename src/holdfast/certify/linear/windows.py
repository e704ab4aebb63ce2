"""What a place of an image sees: the part of a convolutional network behind one of its values.

Coefficients of a value at one place of an image reach only a window of each value before it, and
the windows of all places look alike. So the network behind a place is a small network of its
own, the same for all places, and only the numbers in its windows (planes, boxes, errors) differ.
Outside the image the planes of a bend and the boxes of the input are zero there, so that what
coefficients say about padding counts for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import prod
from weakref import WeakKeyDictionary

import torch.nn.functional as F
from torch import Tensor

from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.frames import Frame, frames_of, length, needs
from holdfast.certify.linear.region import Region
from holdfast.certify.linear.rough import Ready
from holdfast.certify.network.bends import Bend
from holdfast.certify.network.framed import Framed, Rows
from holdfast.certify.network.graph import Graph
from holdfast.certify.network.operators import Convolution, Operator, Scale
from holdfast.ops.interval import Box


@dataclass(frozen=True, eq=False)
class View:
    """The network behind each place of a value, its windows with channels last.

    Args:
        graph: from windows of the input to the channels of the value at one place.
        origin: for each of its nodes the position in the whole network.
        frames: for each of its nodes the window.
        places: height and width of the value.
        inside: whether no convolution pads the input, so that nothing outside is ever multiplied.
    """

    graph: Graph
    origin: tuple[int, ...]
    frames: tuple[Frame, ...]
    places: tuple[int, int]
    inside: bool

    def laid(self, k: int, values: Tensor) -> Tensor:
        """`(B, H', W', h, w, C)`: the windows of values `(B, C, H, W)` of node k for all places.

        They overlap in memory; outside the image they are zero.
        """
        pads = [0, 0]
        for (stride, low, high), n, count in reversed(
            tuple(zip(self.frames[k], values.shape[2:], self.places, strict=True))
        ):
            pads += [-low, stride * (count - 1) + high - n]
        image = F.pad(values.movedim(1, 3), pads)
        for axis, (stride, low, high) in enumerate(self.frames[k], start=1):
            image = image.unfold(axis, high - low, stride)
        return image.movedim(3, 5)

    def behind(self, whole: Bounds) -> Bounds:
        """What is known of the small networks, with rows `(B, H', W')`: take a few of them."""
        old = [whole.errors[j] for j in self.origin]
        known = replace(
            whole, graph=self.graph, boxes=[], masses=[], overflow=self.spread(whole.overflow),
            errors=[None if e is None else self.laid(k, e) for k, e in enumerate(old)],
        )  # fmt: skip
        if isinstance(known, Ready) and isinstance(whole, Ready):
            middles = {
                k: whole.middles[j].each(partial(self.laid, k))
                for k, j in enumerate(self.origin) if j in whole.middles
            }  # fmt: skip
            gaps = {k: self.laid(k, whole.gaps[j]) for k, j in enumerate(self.origin)
                    if j in whole.gaps}  # fmt: skip
            return replace(known, middles=middles, gaps=gaps, lost=self.spread(known.lost))
        planes = {
            k: whole.planes[j].each(partial(self.laid, k))
            for k, j in enumerate(self.origin) if j in whole.planes
        }  # fmt: skip
        region = whole.region
        boxes = [Box(*(self.laid(k, v) for v in whole.boxes[j])) for k, j in enumerate(self.origin)]
        radius = None if region.radius is None else self.spread(region.radius)
        peaks = [self.spread(whole.peaks[j]) for j in self.origin]
        own = Region(boxes[0], self.laid(0, region.centre), radius, region.norm)
        return replace(known, region=own, boxes=boxes, planes=planes, peaks=peaks)

    def spread(self, values: Tensor) -> Tensor:
        """`(B, H', W')`: values `(B,)` for all places."""
        return values[:, None, None].expand(-1, *self.places)


LEAST = 2  # times that the windows must be smaller than the whole
VIEWS: WeakKeyDictionary[Graph, dict[int, View | None]] = WeakKeyDictionary()


def view(bounds: Bounds, i: int) -> View | None:
    """The network behind each place of a value, if it is smaller and its inputs are a region.

    Coefficients on padding of the input would count in the norm that measures a ball.
    """
    found, region = within(bounds.graph, i), bounds.region
    if found is None or type(region) is not Region:
        return None
    return found if found.inside or region.radius is None else None


def within(graph: Graph, i: int) -> View | None:
    """The network behind each place of a value; None where it is no smaller than the whole."""
    known = VIEWS.setdefault(graph, {})
    if i not in known:
        known[i] = _view(graph, i)
    return known[i]


def _view(graph: Graph, i: int) -> View | None:
    frames = frames_of(graph, i)
    if frames is None:
        return None
    order = tuple(sorted(frames))
    small = {j: (*map(length, frames[j]), graph.nodes[j].shape[0]) for j in order}
    if LEAST * sum(map(prod, small.values())) > sum(prod(graph.nodes[j].shape) for j in order):
        return None
    nodes = tuple(
        replace(
            graph.nodes[j], operator=_between(graph, j, frames), shape=small[j],
            parents=tuple(map(order.index, graph.nodes[j].parents)),
        )
        for j in order
    )  # fmt: skip
    (height, width), windows = graph.nodes[i].shape[1:], tuple(frames[j] for j in order)
    inside = not any(_pads_input(graph, j) for j in order)
    return View(Graph(nodes, len(nodes) - 1), order, windows, (height, width), inside)


def _pads_input(graph: Graph, j: int) -> bool:
    node = graph.nodes[j]
    op = node.operator
    return isinstance(op, Convolution) and any(op.padding) and graph.nodes[node.parents[0]].is_input


def _between(graph: Graph, j: int, frames: dict[int, Frame]) -> Operator | Bend | None:
    """The operator of a node between windows with channels last."""
    op, parents = graph.nodes[j].operator, graph.nodes[j].parents
    if not isinstance(op, Operator):
        return op
    needed = needs(op, frames[j], len(parents))
    margins = tuple(
        (0, 0, *(n for own, whole in zip(reversed(need), reversed(frames[p]), strict=True)
                 for n in (own.low - whole.low, whole.high - own.high)))
        for need, p in zip(needed, parents, strict=True)
    )  # fmt: skip
    if isinstance(op, Convolution):
        height, width = map(length, needed[0])
        own = replace(op, padding=(0, 0), size=(height, width))
        return Framed(Rows.of(own, length(frames[j][1])), margins)
    if isinstance(op, Scale):
        bias = None if op.bias is None else op.bias.flatten()
        op = Scale(op.factor.flatten(), bias)
    return Framed(op, margins)
