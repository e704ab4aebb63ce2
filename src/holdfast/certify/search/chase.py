"""Looks for a witness where parts of a search are open, and goes down from the best points."""

from __future__ import annotations

from torch import Tensor

from holdfast.certify.linear.region import Region
from holdfast.certify.search.tried import Network, Tried, probe
from holdfast.certify.search.unsafe import Unsafe
from holdfast.certify.search.witness import descend, polished
from holdfast.ops.interval import Box

CHASED, CHASES = 16, 6  # points of a batch that are followed downhill, and how far
POLISHED = 1  # of their ends that linear programs go on from


class Chase:
    """Follows points of open parts, batch after batch.

    Args:
        network: that a witness is of.
        unsafe: the alternatives.
        region: the inputs.
        deadline: of `time.monotonic()`.
        due: number of bounded parts from which linear programs go on, then whenever twice as many.
    """

    def __init__(
        self, network: Network, unsafe: Unsafe, region: Region, deadline: float, due: int
    ) -> None:
        self.network, self.unsafe, self.deadline, self.due = network, unsafe, deadline, due
        self.whole = Box(region.box.low[0], region.box.high[0])

    def __call__(
        self, box: Box, points: Tensor, domains: int, quick: tuple[Network, Unsafe] | None = None
    ) -> Tensor | None:
        """A witness, if one is found.

        Args:
            box: of N open parts.
            points: `(2, N, ...)` within them.
            domains: how many parts have been bounded so far.
            quick: a network that is like the other one there, and its alternatives: points are
                chosen and followed on it; what it takes for a witness is tried on the other one.
        """
        if not points.shape[1]:
            return None
        network, unsafe = quick or (self.network, self.unsafe)
        found = probe(network, unsafe, points.flatten(0, 1))
        if (witness := self._witness(found, quick is None)) is not None:
            return witness
        margin, target = found.margins.min(1)
        best = margin.topk(min(CHASED, len(margin)), largest=False).indices
        box = box.take(best % points.shape[1])
        ended = descend(network, unsafe, found.x[best], box, target[best], CHASES)
        if (witness := self._witness(ended, quick is None)) is not None or domains < self.due:
            return witness
        self.due = 2 * domains
        every = polished(self.network, self.unsafe, ended, self.whole, self.deadline, POLISHED)
        return next((tried.witness for tried in every if tried.witness is not None), None)

    def _witness(self, tried: Tried, sure: bool) -> Tensor | None:
        if sure or tried.witness is None:
            return tried.witness
        return probe(self.network, self.unsafe, tried.witnesses).witness
