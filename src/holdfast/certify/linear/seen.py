"""The part of a convolutional network that one neuron sees, as a small network of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.matrix import Matrix
from holdfast.certify.linear.region import Region
from holdfast.certify.network.bends import Relu
from holdfast.certify.network.graph import Graph, Node
from holdfast.certify.network.operators import Convolution, Scale
from holdfast.ops.interval import Box

GAIN = 2  # how much smaller the part must be than the whole
DENSE = 2**20  # numbers of a matrix up to which it is faster than its convolution


@dataclass(frozen=True)
class Window:
    """Which places of a node one place of the last node sees.

    Args:
        step: by which the window moves when the place moves by one, per axis.
        before: how far the window of place 0 begins before place 0.
        size: places per axis.
    """

    step: tuple[int, ...]
    before: tuple[int, ...]
    size: tuple[int, ...]

    def behind(self, op: Convolution) -> Window:
        """The window of the convolution's input."""
        reach = [d * (k - 1) for d, k in zip(op.dilation, op.weight.shape[2:], strict=True)]
        return Window(
            tuple(n * s for n, s in zip(self.step, op.stride, strict=True)),
            tuple(b * s + p for b, s, p in zip(self.before, op.stride, op.padding, strict=True)),
            tuple((h - 1) * s + r + 1 for h, s, r in zip(self.size, op.stride, reach, strict=True)),
        )


class Windows:
    """Small networks from the input to single neurons of a node.

    A place outside the image is a zero that the model adds: only ReLUs and inputs are padded
    here, so its ReLU is taken as one that is off, and its input as fixed to zero. What rounding
    loses in the model is that of the places inside; peaks are those of the whole.

    Args:
        bounds: of the network up to the node.
        chain: positions from the input to the node, each the only parent of the next.
        windows: one per position.
    """

    def __init__(self, bounds: Bounds, chain: list[int], windows: list[Window]) -> None:
        self.bounds, self.chain, self.windows = bounds, chain, windows
        nodes: list[Node] = []
        for k, i in enumerate(chain):
            node = bounds.graph.nodes[i]
            op = node.operator
            shape = (node.shape[0], *windows[k].size)
            if isinstance(op, Convolution):
                none = (0,) * len(op.padding)
                op = replace(op, padding=none, size=windows[k - 1].size)
                if prod(shape) * prod(nodes[-1].shape) <= DENSE:
                    op = Matrix.of(op, nodes[-1].shape, shape)
            parents = (k - 1,) if k else ()
            nodes.append(replace(node, operator=op, parents=parents, shape=shape))
        self.graph = Graph(tuple(nodes), len(nodes) - 1)

    def around(self, row: Tensor, unit: Tensor) -> Bounds:
        """What is known of the networks of chosen neurons, one row for each.

        Args:
            row: `(Q,)` rows.
            unit: `(Q,)` coordinates of the node, counted over the flattened row.
        """
        whole, local = self.bounds, self.graph.nodes
        size = whole.graph.nodes[self.chain[-1]].shape[1:]
        place = torch.unravel_index(unit % prod(size), size)
        boxes, errors = [], []
        for k, i in enumerate(self.chain):
            shape = whole.graph.nodes[i].shape
            at = self._places(self.windows[k], shape, place)
            fill = 0.0 if not k or local[k].is_relu else -1.0
            boxes.append(Box(*(_picked(end, row, at, local[k].shape, fill)
                               for end in whole.boxes[i])))  # fmt: skip
            error = whole.errors[i]
            errors.append(None if error is None else _picked(error, row, at, local[k].shape, 0.0))
            if not k:
                centre = _picked(whole.region.centre, row, at, local[k].shape, 0.0)
        radius = None if whole.region.radius is None else whole.region.radius[row]
        planes = {k: node.operator.planes([boxes[k - 1]])
                  for k, node in enumerate(local) if isinstance(node.operator, Relu)}  # fmt: skip
        region = Region(boxes[0], centre, radius, whole.region.norm)
        peaks = [whole.peaks[i][row] for i in self.chain]
        return Bounds(self.graph, region, boxes, planes, peaks, errors, whole.overflow[row])

    @staticmethod
    def _places(window: Window, shape: Sequence[int], place: Sequence[Tensor]) -> Tensor:
        """`(Q, places)`: positions counted from 1 in one channel; 0 outside of the image."""
        at = torch.zeros(len(place[0]), 1, dtype=torch.long, device=place[0].device)
        inside = torch.ones_like(at, dtype=torch.bool)
        for axis, n in enumerate(shape[1:]):
            begin = place[axis] * window.step[axis] - window.before[axis]
            own = begin[:, None] + torch.arange(window.size[axis], device=at.device)
            good = (own >= 0) & (own < n)
            at = (at[:, :, None] * n + own[:, None, :]).flatten(1)
            inside = (inside[:, :, None] & good[:, None, :]).flatten(1)
        return torch.where(inside, at + 1, 0)


def _picked(values: Tensor, row: Tensor, at: Tensor, shape: Sequence[int], fill: float) -> Tensor:
    """`(Q, *shape)`: values of rows at places, the same in every channel."""
    flat = torch.nn.functional.pad(values.flatten(2), (1, 0), value=fill)
    return flat.transpose(1, 2)[row[:, None], at].transpose(1, 2).reshape(len(row), *shape)


def windows(bounds: Bounds, i: int) -> Windows | None:
    """The networks of the neurons of a node, where they are much smaller than the whole.

    Args:
        bounds: of the network up to the node.
        i: position of the node.
    """
    nodes = bounds.graph.nodes
    axes = len(nodes[i].shape) - 1
    if not axes:
        return None
    chain, found = [i], [Window((1,) * axes, (0,) * axes, (1,) * axes)]
    while not nodes[chain[-1]].is_input:
        node = nodes[chain[-1]]
        op, parents = node.operator, node.parents
        before = nodes[parents[0]]
        if isinstance(op, Convolution):
            # Coefficients on padding would count in the norm that measures a ball.
            fixed = before.is_relu or (before.is_input and bounds.region.radius is None)
            if any(op.padding) and not fixed:
                return None
            found.append(found[-1].behind(op))
        elif isinstance(op, Relu) or (isinstance(op, Scale) and _even(op, axes)):
            found.append(found[-1])
        else:
            return None
        chain.append(parents[0])
    own = sum(nodes[j].shape[0] * prod(w.size) for j, w in zip(chain, found, strict=True))
    if GAIN * own > sum(prod(nodes[j].shape) for j in chain):
        return None
    return Windows(bounds, chain[::-1], found[::-1])


def _even(op: Scale, axes: int) -> bool:
    """Whether it treats all places of a channel alike."""
    parts = [op.factor] if op.bias is None else [op.factor, op.bias]
    return all(prod(part.shape[-axes:]) == 1 for part in parts)
