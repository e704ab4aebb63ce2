"""Writes proofs that the checker accepts, by a search that bounds with the checker's arithmetic.

The engine decides; this search then proves again, more slowly, in the only arithmetic that the
checker believes. It divides the box of few inputs, or the signs of ReLUs where there are many.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from holdfast.certify.checker.bounds import Bounds, Region
from holdfast.certify.checker.check import tightened
from holdfast.certify.checker.network import Network
from holdfast.certify.checker.specification import Alternative
from holdfast.certify.properties.proofs import LINEAR, Proof

FEW = 20  # inputs up to which their box is divided
TOGETHER = 128
Array = np.ndarray[Any, Any]


@dataclass(eq=False)
class Part:
    """A node that is still open.

    Args:
        node: its number in the proof.
        low: of its box.
        high: of its box.
        signs: for a layer and entry, 1 or -1.
        open: alternatives that are not refuted yet.
    """

    node: int
    low: Array
    high: Array
    signs: dict[tuple[int, int], int]
    open: tuple[int, ...]


@dataclass(eq=False)
class Search:
    """One tree.

    Args:
        net: the network.
        ways: alternatives by number, all within one box.
        proof: what is filled in.
        deadline: as told by `time.monotonic`.
    """

    net: Network
    ways: dict[int, Alternative]
    proof: Proof
    deadline: float
    root_set: int = -1
    root_bounds: dict[int, tuple[Array, Array]] = field(default_factory=dict)

    def run(self) -> bool:
        """Whether everything was refuted in time."""
        box = next(iter(self.ways.values()))
        node = self.proof.root(torch.from_numpy(box.low), torch.from_numpy(box.high))
        parts = [Part(node, box.low, box.high, {}, tuple(self.ways))]
        by_input = len(box.low) <= FEW
        if not by_input:
            region = self.bounded(parts)
            self.root_bounds = {k: (a[0], b[0]) for k, (a, b) in region.before.items()}
            self.root_set = self.proof.bounds(node, LINEAR)
        while parts:
            if time.monotonic() > self.deadline:
                return False
            batch, parts = parts[-TOGETHER:], parts[:-TOGETHER]
            region = self.bounded(batch)
            for number in sorted({n for part in batch for n in part.open}):
                self.refute(number, batch, region)
            left = [(i, part) for i, part in enumerate(batch) if part.open]
            for i, part in left:
                halves = self.halved(part, i, by_input=by_input)
                if not halves:
                    return False
                parts += halves
        return True

    def bounded(self, batch: list[Part]) -> Region:
        """Bounds of what goes into the ReLUs of some parts."""
        region = Region(np.stack([p.low for p in batch]), np.stack([p.high for p in batch]), {})
        sizes = [self.net.size(number) for number in self.net.layers]
        for i, part in enumerate(batch):
            for (layer, entry), sign in part.signs.items():
                if layer not in region.signs:
                    region.signs[layer] = np.zeros((len(batch), sizes[layer]))
                region.signs[layer][i, entry] = sign
        bounds = Bounds(self.net, region)
        for layer, number in enumerate(self.net.layers):
            if self.root_bounds:
                low, high = (np.tile(v, (len(batch), 1)) for v in self.root_bounds[layer])
            else:
                bounds.upto(number)
                low, high = bounds.low[number], bounds.high[number]
                if layer:
                    low, high = tightened(bounds, number, low, high, {})
            region.before[layer] = region.cut(layer, low, high)
        return region

    def refute(self, number: int, batch: list[Part], region: Region) -> None:
        """Record where an alternative is impossible, and what the bounds lost elsewhere."""
        way, count = self.ways[number], len(batch)
        bounds = Bounds(self.net, region)
        bounds.upto(self.net.output)
        rows = [np.eye(len(way.d))[r] for r in range(len(way.d))]
        rows += [np.ones(len(way.d)) / len(way.d)] if len(way.d) > 1 else []
        best = np.full(count, -np.inf)
        chosen = np.zeros(count, dtype=int)
        for r, factors in enumerate(rows):
            every = np.broadcast_to(factors, (count, 1, len(factors)))
            found = bounds.combined(self.net.output, way, every, {}, {})[:, 0]
            for i in np.flatnonzero(found > best).tolist():
                self.scores[id(batch[i]), number] = {k: v[i, 0] for k, v in bounds.seen.items()}
            chosen, best = np.where(found > best, r, chosen), np.maximum(best, found)
        good = (best > 0) | region.empty()
        for i, part in enumerate(batch):
            if good[i] and number in part.open:
                part.open = tuple(n for n in part.open if n != number)
                if part.node not in self.sets:
                    own = self.root_set
                    self.sets[part.node] = own if own >= 0 else self.proof.bounds(part.node, LINEAR)
                self.proof.refute(
                    part.node, number, self.sets[part.node],
                    multipliers=torch.from_numpy(rows[chosen[i]]),
                )  # fmt: skip

    def halved(self, part: Part, place: int, *, by_input: bool) -> list[Part]:
        """Both halves of a part, split where its bound loses most; none if it cannot be split."""
        seen = self.scores.pop((id(part), part.open[0]))
        if by_input:
            width = part.high - part.low
            middle = part.low + width / 2
            score = np.abs(seen[-1]) * width + 1e-9 * width
            score[(middle <= part.low) | (middle >= part.high)] = -1
            entry = int(score.argmax())
            if score[entry] < 0:
                return []
            cut = float(middle[entry])
            below, above = self.proof.split_input(part.node, entry, cut)
            high, low = part.high.copy(), part.low.copy()
            high[entry] = low[entry] = cut
            return [
                Part(below, part.low, high, part.signs, part.open),
                Part(above, low, part.high, part.signs, part.open),
            ]
        costs = [(float(-v.min()), k, int(v.argmin())) for k, v in seen.items() if k >= 0]
        cost, layer, entry = max(costs, default=(0.0, 0, 0))
        if cost <= 0:
            return []
        below, above = self.proof.split_relu(part.node, layer, entry)
        return [
            Part(node, part.low, part.high, part.signs | {(layer, entry): sign}, part.open)
            for node, sign in ((below, -1), (above, 1))
        ]

    def __post_init__(self) -> None:
        self.scores: dict[tuple[int, int], dict[int, Array]] = {}
        self.sets: dict[int, int] = {}


def certificate(network: bytes, ways: list[Alternative | None], *, deadline: float) -> Proof | None:
    """A proof that the checker accepts, or None if none was found in time.

    Args:
        network: the ONNX file, unpacked.
        ways: the alternatives as the checker reads them.
        deadline: as told by `time.monotonic`.

    Raises:
        Rejected: naming an operator that the checker does not read.

    Cost: every part is bounded once here and once more when the proof is checked.
    """
    net = Network(network)
    proof = Proof(len(net.layers))
    trees: dict[bytes, dict[int, Alternative]] = defaultdict(dict)
    for number, way in enumerate(ways):
        if way is not None:
            trees[way.low.tobytes() + way.high.tobytes()][number] = way
    for tree in trees.values():
        if not Search(net, tree, proof, deadline).run():
            return None
    return proof
