"""Answers beside their labels, one row per labelled position."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.core.data import UNLABELLED
from holdfast.core.errors import ShapeError
from holdfast.core.goal import Outputs, logits
from holdfast.core.labels import named


class Labelled(NamedTuple):
    """Logits and labels of every labelled position.

    Args:
        z: `(N, K)` float64.
        y: `(N,)` int64 in [0, K).
        finite: `(N,)` whether all logits of the position are finite.
    """

    z: Tensor
    y: Tensor
    finite: Tensor

    @property
    def lead(self) -> Tensor:
        """`(N,)`: logit of the label minus the best other one; NaN where not finite."""
        own = self.z.gather(1, self.y[:, None]).squeeze(1)
        rest = self.z.scatter(1, self.y[:, None], -torch.inf).amax(1)
        return torch.where(self.finite, own - rest, torch.nan)

    @property
    def correct(self) -> Tensor:
        """`(N,)`: the label is strictly ahead; a tie or a non-finite logit is wrong."""
        return self.lead > 0

    @property
    def flags(self) -> tuple[str, ...]:
        """What the reader must know: positions without finite logits."""
        bad = int((~self.finite).sum())
        return (f"{bad} of {len(self.y)} rows have non-finite outputs",) if bad else ()

    def kept(self) -> Labelled:
        """Only the positions with finite logits."""
        return Labelled(self.z[self.finite], self.y[self.finite], self.finite[self.finite])


def labelled(outputs: Outputs, y: Tensor) -> Labelled:
    """Logits `(..., K)` and labels `(...)` as rows, without the unlabelled positions (-100).

    Raises:
        ShapeError: if the shapes do not fit or a label names no class.
    """
    z = logits(outputs).detach()
    if z.dim() < 2 or z.shape[:-1] != y.shape:
        raise ShapeError(
            f"outputs {tuple(z.shape)} do not match labels {tuple(y.shape)}",
            fix="The classes come last: logits (B, K) for labels (B,).",
        )
    flat, labels = z.reshape(-1, z.shape[-1]).double(), y.detach().to(z.device).reshape(-1).long()
    named(y, flat.shape[1], "labels beside outputs")
    known = labels != UNLABELLED
    flat, labels = flat[known], labels[known]
    return Labelled(flat, labels, flat.isfinite().all(1))
