"""The line on which the accuracies of models lie, without shift and under one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.errors import ShapeError

Scale = Literal["logit", "probit", "linear"]


def scaled(accuracy: Tensor, scale: Scale, n: int = 10000) -> Tensor:
    """Accuracies on a scale on which models tend to lie on a line; 0 and 1 are half a row off."""
    if scale == "linear":
        return accuracy
    inside = accuracy.clamp(0.5 / n, 1 - 0.5 / n)
    return inside.logit() if scale == "logit" else torch.special.ndtri(inside)


def unscaled(value: Tensor, scale: Scale) -> Tensor:
    """The accuracies again."""
    if scale == "linear":
        return value
    return value.sigmoid() if scale == "logit" else torch.special.ndtr(value)


@dataclass(frozen=True, eq=False)
class AccuracyLine:
    """Least squares of shifted on unshifted accuracies, on a scale.

    Args:
        weights: `(1 + k,)` intercept, then one slope per unshifted accuracy.
        scale: of both.
        r2: share of the variance of shifted accuracies that the line explains.
        n: rows behind each accuracy.
    """

    weights: Tensor
    scale: Scale
    r2: float
    n: int = 10000

    @classmethod
    def fit(
        cls, plain: Tensor, shifted: Tensor, scale: Scale = "logit", n: int = 10000
    ) -> AccuracyLine:
        """The line of some models.

        Args:
            plain: `(m,)` or `(m, k)` accuracies without shift, on one or several data sets.
            shifted: `(m,)` accuracies under shift.
            scale: on which the line is straight.
            n: rows behind each accuracy, to keep 0 and 1 finite.

        Raises:
            ShapeError: for fewer models than a line needs, or accuracies outside [0, 1].
        """
        a, b = plain.double(), shifted.double()
        a = a[:, None] if a.dim() == 1 else a
        if len(a) != len(b) or len(b) < a.shape[1] + 1:
            raise ShapeError(f"a line through {len(b)} models cannot be told",
                             fix="Give at least one model more than there are slopes.")  # fmt: skip
        every = torch.cat([a, b[:, None]], 1)
        if not bool(((every >= 0) & (every <= 1)).all()):
            raise ShapeError("accuracies must be shares in [0, 1]", fix="Divide percent by 100.")
        x = torch.cat([torch.ones_like(b)[:, None], scaled(a, scale, n)], 1)
        t = scaled(b, scale, n)
        weights = torch.linalg.pinv(x) @ t
        rest, all_ = (t - x @ weights).square().sum(), (t - t.mean()).square().sum()
        return cls(weights, scale, float(1 - rest / all_) if all_ > 0 else 1.0, n)

    def predict(self, plain: Tensor) -> Tensor:
        """`(m,)` shifted accuracies that the line expects."""
        a = plain.double()
        a = a[:, None] if a.dim() == 1 else a
        return unscaled(self.weights[0] + scaled(a, self.scale, self.n) @ self.weights[1:],
                        self.scale)  # fmt: skip

    def above(self, plain: Tensor, shifted: Tensor) -> Tensor:
        """`(m,)` effective robustness: shifted accuracy beyond what the line expects."""
        return shifted.double() - self.predict(plain)
