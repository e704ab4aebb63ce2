"""Few labels: subsets that grow, and whether findings about robustness survive them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.records import Reading
from holdfast.measures.outputs.accuracy_line import AccuracyLine, Scale
from holdfast.run.reading import average, proportion


def low_shot_rows(
    y: Tensor, *, shots: int = 0, share: float = 0.0, dice: Dice | None = None
) -> Tensor:
    """`(m,)` rows of a small training set: so many of each class, or a share of each class.

    Rows of a class stand in a random order of which the first are taken, so with the same dice
    smaller sets are parts of larger ones. A share keeps imbalance, and at least one row.

    Args:
        y: `(n,)` labels; -100 is never taken.
        shots: rows of each class; classes with fewer give all.
        share: of each class, instead.
        dice: of the rows; keyed by position with seed 0 unless given.

    Raises:
        ConfigError: unless exactly one of the two is given.
    """
    if (shots > 0) == (share > 0) or shots < 0 or not 0 <= share <= 1:
        raise ConfigError(
            f"low_shot_rows: give shots >= 1, or a share in (0, 1], got shots={shots} and "
            f"share={share}",
            fix="Give one of the two: low_shot_rows(y, shots=5).",
        )
    draws = (dice or Dice.of(len(y))).spawn("low-shot").uniform(dtype=torch.float64).cpu()
    order = draws.argsort(stable=True)
    order = order[y.cpu()[order].argsort(stable=True)]
    order = order[y.cpu()[order] != UNLABELLED]
    _, own, count = y.cpu()[order].unique(return_inverse=True, return_counts=True)
    place = torch.arange(len(order)) - (count.cumsum(0) - count)[own]
    # Rounding must not ask for one row more than the share: 0.1 of 30 rows is 3.
    most = torch.full_like(count, shots) if shots else (share * count - 1e-9).ceil().long().clamp(1)
    return order[place < most[own]].sort().values


@dataclass(frozen=True, eq=False)
class LowShot:
    """Effective and relative robustness of an intervention, regime by regime.

    Args:
        effective: regime -> `(m,)` accuracy under shift beyond the line, with the intervention.
        relative: regime -> `(m,)` what the intervention adds under shift.
        full: the regime with all labels.
        alpha: of the intervals.
        seed: of the bootstrap over models.
        name: prefix of the readings.
    """

    effective: Mapping[str, Tensor]
    relative: Mapping[str, Tensor]
    full: str
    alpha: float
    seed: int
    name: str

    def helps(self, regime: str) -> Tensor:
        """`(m,)` bool: models that the intervention makes robust: both numbers are positive."""
        return (self.effective[regime] > 0) & (self.relative[regime] > 0)

    def reversed(self, regime: str) -> Tensor:
        """`(m,)` bool: models that it helps with all labels, but not here."""
        return self.helps(self.full) & ~self.helps(regime)

    def readings(self) -> tuple[Reading, ...]:
        """Means over models in each regime, and the share of models with a reversal."""
        found: list[Reading] = []
        for regime, effective in self.effective.items():
            stem = f"{self.name}.{regime}"
            for word, values in (("effective", effective), ("relative", self.relative[regime])):
                found.append(average(f"{stem}.{word}", values, alpha=self.alpha, seed=self.seed))
            if regime != self.full:
                hit, n = int(self.reversed(regime).sum()), len(effective)
                found.append(
                    proportion(f"{stem}.reversed", hit, n, better="lower", alpha=self.alpha)
                )
        return tuple(found)


@register("measure", cites="low-shot-robustness")
def low_shot(
    regimes: Mapping[str, Tensor],
    standard: Tensor,
    *,
    full: str = "full",
    scale: Scale = "logit",
    rows: int = 10000,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "low-shot",
) -> LowShot:
    """Whether an intervention that helps with all labels still helps with few.

    In each regime of labels every model is tried with and without the intervention, on plain and
    on shifted rows. Effective robustness is against one line of standard models, the same for
    all regimes; relative robustness is against the same model without. Average over several
    subsets per regime first: with one label per class their spread is as large as most gains.

    Args:
        regimes: regime -> `(m, 2, 2)` accuracies: model, without and with, plain and shifted.
        standard: `(s, 2)` plain and shifted accuracy of the models that give the line.
        full: the regime with all labels.
        scale: on which the line is straight.
        rows: behind each accuracy.
        alpha: of the intervals.
        seed: of the bootstrap over models.
        name: prefix of the readings.

    Raises:
        ConfigError: if there is no regime of that name.
        ShapeError: for tables that do not fit, or too few standard models.
    """
    if full not in regimes:
        raise ConfigError(f"{name}: no regime {full!r}", fix="Name the one with all labels: full=.")
    shapes = {tuple(t.shape) for t in regimes.values()}
    if len(shapes) > 1 or (shape := shapes.pop())[1:] != (2, 2) or not shape[0]:
        raise ShapeError(
            f"{name}: every regime needs (m, 2, 2) accuracies of the same models, got "
            f"{sorted(shapes)}",
            fix="Give each regime a tensor (m, 2, 2) with the same m models in the same order.",
        )
    tables = {k: v.double().cpu() for k, v in regimes.items()}
    line = AccuracyLine.fit(standard[:, 0].cpu(), standard[:, 1].cpu(), scale, rows)
    effective = {k: line.above(t[:, 1, 0], t[:, 1, 1]) for k, t in tables.items()}
    relative = {k: t[:, 1, 1] - t[:, 0, 1] for k, t in tables.items()}
    return LowShot(effective, relative, full, alpha, seed, name)
