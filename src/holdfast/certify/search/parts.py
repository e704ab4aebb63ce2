"""Parts of a box of inputs that are searched, and how they are halved."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.certify.properties.proofs import Proof
from holdfast.ops.interval import Box


@dataclass(frozen=True, eq=False)
class Parts:
    """Boxes of inputs, and what is known of the values before each bend there.

    Args:
        box: `(N, ...)` ends.
        boxes: by position of the value.
        bound: `(N, J)` numbers below the margin of each alternative.
        node: `(N,)` the node in a proof.
    """

    box: Box
    boxes: dict[int, Box]
    bound: Tensor
    node: Tensor

    def __len__(self) -> int:
        return len(self.bound)

    def take(self, rows: Tensor | slice) -> Parts:
        boxes = {i: box.take(rows) for i, box in self.boxes.items()}
        return Parts(self.box.take(rows), boxes, self.bound[rows], self.node[rows])

    @staticmethod
    def join(parts: list[Parts]) -> Parts:
        def both(boxes: list[Box]) -> Box:
            return Box(torch.cat([b.low for b in boxes]), torch.cat([b.high for b in boxes]))

        boxes = {i: both([p.boxes[i] for p in parts]) for i in parts[0].boxes}
        bound, node = (torch.cat(v) for v in zip(*((p.bound, p.node) for p in parts), strict=True))
        return Parts(both([p.box for p in parts]), boxes, bound, node)


def halved(parts: Parts, score: Tensor, proof: Proof | None = None) -> tuple[Parts, bool]:
    """Both halves of each part, and whether every part could be cut."""
    shape = parts.box.low.shape
    low, high = parts.box.low.flatten(1), parts.box.high.flatten(1)
    width = high - low
    middle = low + width / 2
    free = (low < middle) & (middle < high)
    score = score.nan_to_num(0.0, 0.0) + 1e-9 * width
    which = score.masked_fill(~free, -1.0).argmax(1, keepdim=True)
    at = middle.gather(1, which)
    left = Box(low, high.scatter(1, which, at))
    right = Box(low.scatter(1, which, at), high)
    nodes = (parts.node, parts.node)
    if proof is not None:
        cuts = [proof.split_input(int(n), int(k), float(c))
                for n, k, c in zip(parts.node, which[:, 0], at[:, 0], strict=True)]  # fmt: skip
        first, second = torch.tensor(cuts).unbind(1)
        nodes = (first, second)
    both = [
        Parts(Box(b.low.reshape(shape), b.high.reshape(shape)), parts.boxes, parts.bound, node)
        for b, node in zip((left, right), nodes, strict=True)
    ]
    order = torch.arange(2 * len(parts)).reshape(2, -1).T.flatten()
    return Parts.join(both).take(order), bool(free.any(1).all())
