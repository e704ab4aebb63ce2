"""Boxes in images, as flat tensors: whose they are, how they overlap, how they are grouped."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of many images, one per row.

    Args:
        image: `(n,)` int64, number of the image.
        label: `(n,)` int64, class.
        box: `(n, 4)` left, top, right, bottom.
        score: `(n,)` of detections; none for true boxes.
        crowd: `(n,)` bool, true boxes that stand for a crowd; none is one unless said.
    """

    image: Tensor
    label: Tensor
    box: Tensor
    score: Tensor | None = None
    crowd: Tensor | None = None

    def __post_init__(self) -> None:
        n = len(self.image)
        others = [self.label, self.box, self.score, self.crowd]
        if self.box.dim() != 2 or self.box.shape[1] != 4:
            raise ShapeError(
                f"Boxes: boxes must be (n, 4), got {tuple(self.box.shape)}",
                fix="Give every box as four numbers: left, top, right, bottom.",
            )
        if any(v is not None and len(v) != n for v in others):
            raise ShapeError(
                f"Boxes: all columns must have one row per box, got {n} rows and "
                f"{[len(v) for v in others if v is not None]}",
                fix="Give row, label, box, score and crowd of the same boxes.",
            )

    def __len__(self) -> int:
        return len(self.image)

    def take(self, rows: Tensor) -> Boxes:
        """A selection of the boxes."""
        score = None if self.score is None else self.score[rows]
        crowd = None if self.crowd is None else self.crowd[rows]
        return Boxes(self.image[rows], self.label[rows], self.box[rows], score, crowd)

    @property
    def crowds(self) -> Tensor:
        """`(n,)` bool."""
        own = self.crowd
        return own if own is not None else torch.zeros(len(self), dtype=torch.bool)


def overlap(a: Tensor, b: Tensor, crowd: Tensor | None = None) -> Tensor:
    """`(..., n, m)`: intersection over union of boxes `(..., n, 4)` and `(..., m, 4)`.

    Args:
        a: boxes.
        b: boxes.
        crowd: `(..., m)` bool; over such a box the area of the other one counts instead of the
            union.
    """
    a, b = a.double(), b.double()
    low = torch.maximum(a[..., :, None, :2], b[..., None, :, :2])
    high = torch.minimum(a[..., :, None, 2:], b[..., None, :, 2:])
    both = (high - low).clamp(min=0).prod(-1)
    size = [(v[..., 2:] - v[..., :2]).clamp(min=0).prod(-1) for v in (a, b)]
    union = size[0][..., :, None] + size[1][..., None, :] - both
    if crowd is not None:
        union = torch.where(crowd[..., None, :], size[0][..., :, None], union)
    return both / union.clamp(min=1e-12)


def places(group: Tensor, groups: int) -> Tensor:
    """`(n,)`: how many rows of the same group stand before each row."""
    order = group.argsort(stable=True)
    counts = torch.bincount(group, minlength=groups)
    start = counts.cumsum(0) - counts
    out = torch.empty_like(group)
    out[order] = torch.arange(len(group)) - start[group[order]]
    return out
