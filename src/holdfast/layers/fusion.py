"""Fusion of several modalities with rows of length one, so that each one's share can be read."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.core.errors import ConfigError, ShapeError


class UnitFusion(nn.Module):
    """Logits as a sum over modalities of `a_k * phi_k`, phi from rows of length one.

    Since every row has length one, the size of a score says how certain its modality is and
    `a` how much the fusion counts on it: the two are not mixed up in one weight.

    Args:
        sizes: of the features of each modality.
        classes: number of logits.

    Raises:
        ConfigError: without modalities.
    """

    def __init__(self, sizes: Sequence[int], classes: int) -> None:
        super().__init__()
        if not sizes or classes < 2:
            raise ConfigError(
                f"UnitFusion: needs a modality and two classes, got sizes {tuple(sizes)} and "
                f"{classes} classes",
                fix="Give the width of every modality and the number of classes: UnitFusion((64, "
                "32), 10).",
            )
        self.rows = nn.ParameterList(torch.randn(classes, n) / n**0.5 for n in sizes)
        self.counts = nn.Parameter(torch.full((len(sizes), classes), 0.1))
        self.bias = nn.Parameter(torch.zeros(classes))

    def matrices(self) -> list[Tensor]:
        """The rows of each modality, of length one."""
        return [F.normalize(rows, dim=1) for rows in self.rows]

    def scores(self, features: Sequence[Tensor]) -> Tensor:
        """`(B, M, K)`: phi, what each modality says of each class."""
        if len(features) != len(self.rows):
            raise ShapeError(
                f"UnitFusion: {len(features)} modalities instead of {len(self.rows)}",
                fix=f"Give the features of {len(self.rows)} modalities, in the order of sizes.",
            )
        parts = [z @ w.T for z, w in zip(features, self.matrices(), strict=True)]
        return torch.stack(parts, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """`(B, K)` logits from one tensor of features `(B, n)` per modality."""
        return (self.counts * self.scores(features)).sum(1) + self.bias


class TwoTowers(nn.Module):
    """An encoder for each part of the input, fused with rows of length one.

    The input is one tensor; each modality takes its own columns, so that attacks and threats
    see all of them at once.

    Args:
        encoders: one per modality, `(B, n)` to `(B, d)`.
        columns: number of input columns of each.
        sizes: d of each.
        classes: number of logits.
    """

    def __init__(
        self, encoders: Sequence[nn.Module], columns: Sequence[int], sizes: Sequence[int],
        classes: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoders, self.columns = nn.ModuleList(encoders), list(columns)
        self.fusion = UnitFusion(sizes, classes)

    def features(self, x: Tensor) -> list[Tensor]:
        """What each encoder makes of its columns."""
        return [f(part) for f, part in zip(self.encoders, x.split(self.columns, 1), strict=True)]

    def forward(self, x: Tensor) -> Tensor:
        """`(B, sum of columns)` to logits `(B, K)`."""
        logits: Tensor = self.fusion(self.features(x))
        return logits
