"""Accuracy by resolution, and how robust a model is to a low one: fair to weak models too."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import exp

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch, Batches
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.kinds import Model
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.measures.model.variants import Change, Variants, answered
from holdfast.ops.ranking import rank_correlation
from holdfast.ops.resize import at_resolution

SIDES = (128 / 224, 64 / 224, 32 / 224, 16 / 224)


def relative_robustness(low: float, high: float) -> float:
    """Share of the accuracy at full resolution that is left; NaN where there was none."""
    return low / high if high > 0 else float("nan")


def improved_robustness(low: float, high: float, chance: float, alpha: float = 200.0) -> float:
    """The share that is left, times a factor that takes models at chance level out.

    A model that guesses loses nothing and looks robust. The factor 1 - exp(-alpha (high -
    chance)^2) is 0 for it and about 1 for a model that is clearly better than chance.

    Args:
        low: accuracy at the low resolution.
        high: accuracy at full resolution.
        chance: accuracy of guessing, 1 / classes.
        alpha: sharpness of the factor; 200 is ours, the paper only asks for a large one.
    """
    return relative_robustness(low, high) * (1 - exp(-alpha * (high - chance) ** 2))


def weighted_robustness(values: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over data sets, weighted (WAR) or not (SAR).

    Args:
        values: `(..., D)` robustness on each data set.
        weights: `(D,)`, at least 0; None for equal ones.

    Raises:
        ConfigError: for weights that are negative or sum to 0.
    """
    w = values.new_ones(values.shape[-1]) if weights is None else weights.to(values)
    if bool((w < 0).any()) or float(w.sum()) <= 0:
        raise ConfigError(
            "weighted_robustness: weights must be >= 0 and not all 0, got "
            f"{w.flatten()[:8].tolist()}",
            fix="Give one positive weight per data set, or weights=None for equal ones.",
        )
    return (values * w).sum(-1) / w.sum()


def fair_weights(table: Tensor, *, rounds: int = 3, seed: int = 0) -> Tensor:
    """Weights of data sets under which the aggregate orders models as every data set does.

    Sought is the largest mean rank correlation between the order of models by the aggregate and
    that by each data set: first the best of random weights, then one weight at a time on a grid.
    A plain mean is dominated by the data sets on which models differ most.

    Args:
        table: `(M, D)` robustness of each model on each data set.
        rounds: of the search along coordinates.
        seed: of the random weights.

    Returns:
        `(D,)` weights in [0.01, 1].

    Raises:
        ShapeError: for fewer than three models.
    """
    if table.dim() != 2 or len(table) < 3:
        raise ShapeError(
            f"fair_weights: needs (models >= 3, data sets), got {tuple(table.shape)}",
            fix="Give a table of three models or more in rows, data sets in columns.",
        )
    values, count = table.double(), table.shape[1]

    def agreement(weights: Tensor) -> Tensor:
        order = weights @ values.T  # (..., M)
        each = [rank_correlation(order, values[:, d].expand_as(order)) for d in range(count)]
        return torch.stack(each).mean(0)

    g = torch.Generator().manual_seed(seed)
    drawn = 0.01 + 0.99 * torch.rand(256, count, generator=g, dtype=torch.float64)
    drawn = torch.cat([torch.ones_like(drawn[:1]), drawn])
    best = drawn[agreement(drawn).argmax()]
    grid = torch.logspace(-2, 0, 25, dtype=torch.float64)
    for _ in range(rounds):
        for d in range(count):
            tried = torch.cat([best[None], best.repeat(len(grid), 1)])
            tried[1:, d] = grid
            best = tried[agreement(tried).argmax()]
    return best


@dataclass(frozen=True, eq=False)
class ByResolution:
    """Accuracy at each resolution.

    Args:
        variants: what is right at each share of the sides, `native` first.
        chance: accuracy of guessing.
        sharpness: of the factor for models near chance.
    """

    variants: Variants
    chance: float
    sharpness: float

    def relative(self, version: str) -> float:
        """Share of accuracy left (gamma)."""
        v = self.variants
        return relative_robustness(v.accuracy(version), v.accuracy(v.reference))

    def improved(self, version: str) -> float:
        """The same, with models at chance level taken out (capital gamma)."""
        v = self.variants
        return improved_robustness(
            v.accuracy(version), v.accuracy(v.reference), self.chance, self.sharpness
        )

    def readings(self) -> tuple[Reading, ...]:
        """Accuracy and drop at each resolution."""
        return self.variants.readings()


def _shrunk(batch: Batch, share: float) -> Batch:
    x: Tensor = batch.x  # type: ignore[assignment]
    return batch._replace(x=at_resolution(x, share).clamp(0, 1))


@register("measure", cites="lr0-fm", says="Accuracy by resolution.")
def resolution_curve(
    vision: Model,
    batches: Batches,
    *,
    shares: tuple[float, ...] = SIDES,
    classes: int = 0,
    sharpness: float = 200.0,
    alpha: float = 0.05,
    name: str = "resolution",
) -> ByResolution:
    """Asks a model about images at lower and lower resolution, enlarged again to full size.

    Args:
        vision: a model of images.
        batches: labelled images `(B, C, H, W)` in [0, 1].
        shares: of the sides that are kept; by default those of 128, 64, 32 and 16 in 224 pixels.
        classes: how many there are; 0 for one more than the largest label.
        sharpness: of the factor that takes models at chance level out.
        alpha: intervals over the rows cover with probability about 1 - alpha.
        name: prefix of the readings.

    Raises:
        ConfigError: for a share outside (0, 1].
        Unsupported: if the inputs are not images.
        ShapeError: without rows.

    Cost: one forward pass per row and share, and one more.
    """
    inside("(0, 1]", name, shares=shares)
    changes: dict[str, Change] = {"native": lambda batch: batch}
    changes |= {f"{s:.3g}": partial(_shrunk, share=s) for s in shares}
    found = answered(vision, batches, changes, name=name, alpha=alpha)
    count = classes or int(batches.y.max()) + 1
    return ByResolution(found, 1 / max(count, 1), sharpness)
