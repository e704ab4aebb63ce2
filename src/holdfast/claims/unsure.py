"""Answers of which the confidence is wrong in a known way: the scene of claims on recalibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.data import Batches


def same(x: Tensor) -> Tensor:
    """The model of the scene: its inputs are the logits."""
    return x


def drawn(seed: int, rows: int = 6000) -> tuple[Tensor, Tensor]:
    """Logits of four classes and labels that are drawn by them."""
    g = torch.Generator().manual_seed(seed)
    true = 1.5 * torch.randn(rows, 4, generator=g, dtype=torch.float64)
    return true, torch.multinomial(true.softmax(1), 1, generator=g)[:, 0]


def brier(z: Tensor, y: Tensor) -> float:
    """Brier's score: squared distance of the probabilities from the labels."""
    return float((z.softmax(1) - F.one_hot(y, 4)).square().sum(1).mean())


def nats(z: Tensor, y: Tensor) -> float:
    """Cross-entropy."""
    return float(F.cross_entropy(z, y))


@dataclass(frozen=True)
class Unsure:
    """Wrong logits: two thirds of the rows are trusted, the others judge.

    Args:
        z: `(N, 4)` logits that the model gives.
        y: `(N,)` labels.
    """

    z: Tensor
    y: Tensor

    @property
    def cut(self) -> int:
        """Number of trusted rows."""
        return len(self.z) * 2 // 3

    def fitted(self, defence: Any) -> Any:
        """A defence fitted on the trusted rows."""
        return defence.fit(same, Batches(x=self.z[: self.cut], y=self.y[: self.cut]))

    def after(self, fitted: Any, score: Callable[[Tensor, Tensor], float]) -> float:
        """The score of new rows behind a fitted defence."""
        return score(fitted(same)(self.z[self.cut :]), self.y[self.cut :])
