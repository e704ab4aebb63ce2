"""Conformalized quantile regression: a band that holds the true value as often as promised."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.errors import Unsupported
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.ops.batch import Inputs
from holdfast.ops.conformal import conformal_threshold


@dataclass(frozen=True, eq=False)
class Band:
    """A model of a lower and an upper quantile, and by how much its band must be widened.

    Args:
        model: inputs -> `(B, 2)`: the lower and the upper quantile.
        margin: added at both ends; may be negative, infinite with too few rows.
    """

    model: Model
    margin: float

    @classmethod
    def calibrate(cls, model: Model, trusted: Batches, *, alpha: float = 0.1) -> Band:
        """Widen (or shrink) the band so that it holds a new value with probability 1 - alpha.

        The strangeness of a value is how far it lies outside of the band, negative inside; its
        conformal quantile is the margin. As for classes, this supposes only that new rows are
        exchangeable with the trusted ones. Values that are not numbers count as far outside.

        Args:
            model: inputs -> `(B, 2)`, of which it may believe what it likes.
            trusted: rows with values `y` `(B,)` that the model has not learnt from.
            alpha: admissible share of values outside.

        Cost: one forward pass per row.
        """
        found = [torch.empty(0, dtype=torch.float64)]
        for batch in trusted:
            low, high = _ends(model, batch.x)
            y = batch.y.double().to(low.device)
            found.append(torch.maximum(low - y, y - high).cpu())
        return cls(model, conformal_threshold(torch.cat(found), alpha))

    def __call__(self, x: Inputs) -> tuple[Tensor, Tensor]:
        """Lower and upper end `(B,)`; crossed ends mean an empty band."""
        low, high = _ends(self.model, x)
        sure = low.isfinite() & high.isfinite()
        low = torch.where(sure, low - self.margin, -torch.inf)
        return low, torch.where(sure, high + self.margin, torch.inf)


def _ends(model: Model, x: Inputs) -> tuple[Tensor, Tensor]:
    with quiet(model), torch.no_grad():
        found = logits(model(x)).double()
    if found.dim() != 2 or found.shape[1] != 2:
        raise Unsupported(
            f"a band needs outputs (B, 2), got {tuple(found.shape)}",
            fix="Return the lower and the upper quantile of each row.",
        )
    return found[:, 0], found[:, 1]
