"""How steep must a function be that fits these labels? No model, however large, is flatter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, log
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.fields import NonNegative
from holdfast.core.inputs import one_tensor, some_rows
from holdfast.core.ranges import inside, one_of
from holdfast.core.records import Reading
from holdfast.ops.batch import chunks
from holdfast.run.reading import quantile

ORDERS = {"l1": 1.0, "l2": 2.0, "linf": inf}
ROWS = 256


@dataclass(frozen=True, eq=False)
class Steepness:
    """The slope that fitting each row forces, by the row that forces it most.

    Args:
        slope: `(B,)` largest ratio of label to input distance to any other row; 0 where no
            other label differs by more than the tolerance allows, infinite where the same input
            has two labels.
        rival: `(B,)` the row that forces it.
        name: prefix of the readings.
        alpha: of the intervals.
    """

    slope: Tensor
    rival: Tensor
    name: str
    alpha: float

    @property
    def lower(self) -> float:
        """The least Lipschitz constant of any function that fits all rows: it is attained."""
        return float(self.slope.max())

    @property
    def pair(self) -> tuple[int, int]:
        """The two rows that force it."""
        i = int(self.slope.argmax())
        return i, int(self.rival[i])

    @property
    def radius(self) -> Tensor:
        """`(B,)`: beyond this no model that fits the labels as classes is robust at the row."""
        return 1 / (2 * self.slope)

    def readings(self) -> tuple[Reading, ...]:
        """Steepest pair, 90th percentile over the rows, share of rows that contradict another."""
        n, finite = len(self.slope), self.slope[self.slope.isfinite()]
        unit = "labels per unit of input"
        steepest = float(finite.max()) if len(finite) else 0.0
        tail = self.slope.quantile(0.9, interpolation="lower").clamp(max=max(steepest, 0.0))
        share = float((~self.slope.isfinite()).double().mean())
        return (
            Reading(name=f"{self.name}.lower", value=steepest, low=steepest, high=steepest, n=n,
                    bound="lower", unit=unit, better="lower"),
            replace(
                quantile(f"{self.name}.q90", finite, 0.9, value=float(tail), most=steepest,
                         bound="lower", unit=unit, alpha=self.alpha),
                n=n,
            ),
            Reading(name=f"{self.name}.contradicting", value=share, low=share, high=share, n=n,
                    bound="exact", better="lower"),
        )  # fmt: skip


@register("measure", cites="law-beyond-isoperimetry")
def interpolation_lipschitz(
    batches: Batches,
    *,
    tolerance: NonNegative = 0.0,
    norm: Literal["l1", "l2", "linf"] = "l2",
    labels: Literal["classes", "numbers"] = "classes",
    alpha: float = 0.05,
    name: str = "interpolation",
) -> Steepness:
    """Lower bound of the Lipschitz constant of every function that fits the labels.

    Two rows with labels a and b, fitted up to a tolerance t, force a slope of
    `(|a - b| - 2 t) / distance` between them. The largest such ratio is not only necessary but
    enough: `layers.McShane` fits with exactly that constant. So a certified radius above
    `1 / (2 slope)` of a model that fits its labels would be a contradiction.

    Args:
        batches: inputs of one tensor, and labels.
        tolerance: how far the function may stay from each label.
        norm: in which inputs are compared.
        labels: whether labels are classes, any two of which are 1 apart, or numbers.
        alpha: intervals over the rows cover with probability at least 1 - alpha.
        name: prefix of the readings.

    Raises:
        ConfigError: for a negative tolerance.
        ShapeError: for fewer than two rows.
        Unsupported: if inputs are not one tensor of numbers.

    Cost: all distances between the rows; no model.
    """
    inside("[0, inf]", name, tolerance=tolerance)
    one_of(ORDERS, name, norm=norm)
    some_rows(batches, name, 2)
    x = one_tensor(batches.x, name, floating=True).double().flatten(1)
    y = batches.y.double()
    slopes, rivals = [], []
    for part in chunks(len(x), ROWS):
        far = torch.cdist(x[part], x, p=ORDERS[norm], compute_mode="donot_use_mm_for_euclid_dist")
        gap = (y[part, None] - y).abs()
        gap = (gap > 0).double() if labels == "classes" else gap
        rise = (gap - 2 * tolerance).clamp(min=0)
        ratio = torch.where(rise > 0, rise / far, 0.0)
        best = ratio.max(1)
        slopes.append(best.values)
        rivals.append(best.indices)
    return Steepness(torch.cat(slopes).cpu(), torch.cat(rivals).cpu(), name, alpha)


@dataclass(frozen=True)
class Exponents:
    """Scales of the laws of robustness, without their constants, which nobody can use.

    Args:
        isoperimetric: `sqrt(n d / p)`, for data that are spread out evenly.
        parameters: `n / p`, for any data.
        dimension: `n^(1/d)`, for any function, however many parameters it has.
    """

    isoperimetric: float
    parameters: float
    dimension: float


def law_of_robustness(rows: int, size: int, parameters: int) -> Exponents:
    """How the least Lipschitz constant that fits noisy labels grows, up to constants and logs.

    Args:
        rows: n of the data.
        size: d of an input.
        parameters: p of the model.
    """
    inside("[1, inf]", "law_of_robustness", rows=rows, size=size, parameters=parameters)
    return Exponents((rows * size / parameters) ** 0.5, rows / parameters, rows ** (1 / size))


def fitted_exponent(counts: list[int], values: list[float]) -> float:
    """Slope of log value against log count, by least squares.

    Args:
        counts: sizes of the model or of the data, above 0, two of them different.
        values: what was measured at each, above 0.
    """
    a = torch.tensor([log(c) for c in counts], dtype=torch.float64)
    b = torch.tensor([log(v) for v in values], dtype=torch.float64)
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / a.square().sum())
