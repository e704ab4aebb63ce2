"""When parts of a search get a network of their own, folded for where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from holdfast.certify.linear.expressions import folded
from holdfast.certify.linear.fold import narrowed
from holdfast.certify.linear.folded import Folded
from holdfast.certify.network.graph import Graph
from holdfast.certify.search.parts import Parts
from holdfast.certify.search.unsafe import Unsafe
from holdfast.ops.interval import TINY, Box

SHRUNK = 0.5  # share of the neurons that is left where parts are folded anew
WORTH = 2e7  # what folding anew costs, in products of three neurons
NEAR = 0.2  # share of the volume on which errors were counted, below which that is done anew


@dataclass(frozen=True, eq=False)
class Work:
    """Parts that are bounded on one network.

    Args:
        network: folded on a box around them.
        read: `(n,)` the box for which errors of the model's own arithmetic were counted.
        parts: still to be bounded.
    """

    network: Folded
    read: Box
    parts: list[Parts]


class Found(NamedTuple):
    """Parts that were bounded.

    Args:
        parts: with their bounds.
        score: `(N, n)` of the inputs to cut.
        neurons: `(N, K)` ends.
        blurred: `(N,)` whether the errors decide.
    """

    parts: Parts
    score: Tensor
    neurons: Box
    blurred: Tensor

    def left(self, rows: Tensor) -> float:
        """How many neurons of parts have an open sign, on average."""
        open_ = (self.neurons.low[rows] < 0) & (self.neurons.high[rows] > 0)
        return float(open_.sum(1).double().mean())


def smaller(box: Box, other: Box) -> float:
    """The volume of a box as a share of that of another, points left out."""
    wide = other.high > other.low
    return float(((box.high - box.low) / (other.high - other.low))[wide].prod())


def groups(
    graph: Graph, unsafe: Unsafe, work: Work, found: Found, rows: Tensor
) -> Iterator[tuple[Tensor, Work | None]]:
    """Open parts by where they lie, and for those that get one their network.

    It pays to fold anew for n parts where n times what bounds cost, the third power of the
    number of neurons, is more than what it costs.
    """
    neurons, box = found.neurons, found.parts.box.flat()
    count, own = work.network.count, work.network.box
    waiting = [rows] if len(rows) else []
    while waiting:
        rows = waiting.pop()
        known = Box(neurons.low[rows].amin(0), neurons.high[rows].amax(0))
        hull = Box(box.low[rows].amin(0), box.high[rows].amax(0))
        left = int(((known.low < 0) & (known.high > 0)).sum())
        pays = len(rows) * count**3 > WORTH
        blurred = bool(found.blurred[rows].double().mean() > SHRUNK)
        if blurred and smaller(hull, work.read) < NEAR:
            network = folded(graph, hull, unsafe.c, unsafe.d)
            if network is not None:
                yield rows, Work(network, hull, [])
                continue
        if pays and left <= SHRUNK * count:
            yield rows, Work(narrowed(work.network, hull, known), work.read, [])
        elif len(rows) > 1 and (blurred or (pays and found.left(rows) <= SHRUNK * count)):
            centre = (box.low[rows] + box.high[rows]) / 2
            wide = (centre.amax(0) - centre.amin(0)) / (own.high - own.low).clamp(min=TINY)
            order = centre[:, wide.argmax()].argsort()
            waiting += [rows[order[: len(rows) // 2]], rows[order[len(rows) // 2 :]]]
        else:
            yield rows, None
