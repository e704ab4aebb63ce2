"""Which window of each value one place of an image depends on."""

from __future__ import annotations

from typing import NamedTuple

from holdfast.certify.network.bends import Bend
from holdfast.certify.network.graph import Graph, Node
from holdfast.certify.network.operators import Convolution, Operator, Scale
from holdfast.certify.network.rearrange import Total

IMAGE = 3  # axes of an image: channels, height, width


class Window(NamedTuple):
    """Along one axis, place p sees what lies from `stride p + low` to before `stride p + high`."""

    stride: int
    low: int
    high: int


Frame = tuple[Window, Window]


def length(window: Window) -> int:
    """How many places it holds."""
    return window.high - window.low


def frames_of(graph: Graph, i: int) -> dict[int, Frame] | None:
    """The window of each node behind one; None where there are none."""
    found: dict[int, Frame] = {i: (Window(1, 0, 1), Window(1, 0, 1))}
    for j in range(i, -1, -1):
        if j not in found:
            continue
        node = graph.nodes[j]
        if not _local(graph, node):
            return None
        for p, need in zip(node.parents, needs(node.operator, found[j], len(node.parents)),
                           strict=True):  # fmt: skip
            both = [need] if p not in found else [need, found[p]]
            if any(u.stride != w.stride for f in both for u, w in zip(f, need, strict=True)):
                return None
            found[p] = tuple(  # type: ignore[assignment]
                Window(axis[0].stride, min(w.low for w in axis), max(w.high for w in axis))
                for axis in zip(*both, strict=True)
            )
    for j, node in enumerate(graph.nodes):
        if j in found and isinstance(node.operator, Bend):
            found[j] = found[node.parents[0]]  # its coefficients go on as they are
    return found


def _local(graph: Graph, node: Node) -> bool:
    """Whether a node treats all places of an image alike, and padding as zero."""
    op = node.operator
    if len(node.shape) != IMAGE:
        return False
    if isinstance(op, Convolution):
        parent = graph.nodes[node.parents[0]]
        zero = parent.is_input or isinstance(parent.operator, Bend)
        return len(op.size) == IMAGE - 1 and (zero or not any(op.padding))
    if isinstance(op, Scale):
        parts = [op.factor] if op.bias is None else [op.factor, op.bias]
        return all(v.dim() == 0 or v.shape[-2:] == (1, 1) for v in parts)
    return node.is_input or isinstance(op, Total) or (
        isinstance(op, Bend) and len(node.parents) == 1
    )  # fmt: skip


def needs(op: Operator | Bend | None, frame: Frame, parents: int) -> list[Frame]:
    """What the window of a node needs of each parent."""
    if not isinstance(op, Convolution):
        return [frame] * parents
    axes = zip(frame, op.stride, op.padding, op.dilation, op.weight.shape[2:], strict=True)
    found = [
        Window(s * w.stride, s * w.low - p, s * (w.high - 1) - p + d * (k - 1) + 1)
        for w, s, p, d, k in axes
    ]
    return [(found[0], found[1])]
