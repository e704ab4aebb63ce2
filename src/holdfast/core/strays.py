"""A goal about forecasts: the predicted trajectory strays from where it should run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.margin import Goal, Outputs, logits


@dataclass(frozen=True, eq=False)
class Strays(Goal):
    """The forecast is at least `level` away from all of its references.

    With the true future as the reference this is robustness of the label; with the model's own
    forecast of the clean input, or several samples of it, pure robustness: a forecast that may
    take several ways is measured against the nearest.

    Args:
        references: `(B, R, T, D)`, or `(B, T, D)` for one each.
        level: distance that counts as astray, in the unit of the forecast.
        by: `mean` of the Euclidean distances over time (ADE), or the largest (`most`).
    """

    references: Tensor
    level: float
    by: Literal["mean", "most"] = "mean"

    def __post_init__(self) -> None:
        if self.references.dim() not in (3, 4) or self.level <= 0:
            raise ConfigError(
                f"Strays: references {tuple(self.references.shape)} and level {self.level}",
                fix="Pass (B, T, D) or (B, R, T, D) and a level above 0.",
            )

    def ways(self, outputs: Outputs) -> Tensor:
        z = logits(outputs)
        far = self.references if self.references.dim() == 4 else self.references[:, None]
        if z.dim() != 3 or (len(z), *z.shape[1:]) != (len(far), *far.shape[2:]):
            raise ShapeError(
                f"Strays: outputs {tuple(z.shape)} do not match references {tuple(far.shape)}",
                fix="The model must return forecasts (B, T, D).",
            )
        apart = torch.linalg.vector_norm(z[:, None] - far.to(z), dim=-1)  # (B, R, T)
        size = apart.mean(-1) if self.by == "mean" else apart.amax(-1)
        nearest: Tensor = size.amin(1, keepdim=True)
        return nearest - self.level

    def take(self, rows: Tensor | slice) -> Strays:
        return Strays(self.references[rows], self.level, self.by)
