"""How many rows lie right next to a boundary, in logits."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.goal import Outputs
from holdfast.core.ranges import inside
from holdfast.core.records import Cell, Reading
from holdfast.measures.outputs.labelled import labelled


@dataclass(frozen=True, eq=False)
class GapDensity:
    """Density of the lead of the label over the runner-up.

    Args:
        gaps: `(N,)` leads of the rows that are right.
        at_zero: the density at 0, per labelled row.
        bins: of the histogram.
    """

    gaps: Tensor
    at_zero: Reading
    bins: int

    def readings(self) -> tuple[Reading, ...]:
        """The density at zero."""
        return (self.at_zero,)

    def rows(self) -> tuple[dict[str, Cell], ...]:
        """Rows of a figure of kind `histogram`."""
        top = float(self.gaps.max()) if len(self.gaps) else 1.0
        counts = torch.histc(self.gaps, self.bins, 0, top).tolist()
        step = top / self.bins
        return tuple(
            {"left": k * step, "right": (k + 1) * step, "count": int(c)}
            for k, c in enumerate(counts)
        )


def bandwidth(gaps: Tensor) -> float:
    """Silverman's rule: 0.9 times the smaller of spread and quartile distance / 1.34, n^-1/5."""
    ends = gaps.quantile(torch.tensor([0.25, 0.75], dtype=gaps.dtype, device=gaps.device))
    spread, quartiles = float(gaps.std()), float(ends[1] - ends[0]) / 1.34
    least = min(spread, quartiles) if quartiles > 0 else spread
    return float(max(0.9 * least * len(gaps) ** -0.2, 1e-12))


@register("measure", cites="adv-power-law")
def gap_density(
    outputs: Outputs,
    y: Tensor,
    *,
    bins: int = 40,
    alpha: float = 0.05,
    name: str = "gaps.density",
) -> GapDensity:
    """Density at zero of the gap from the label's logit to the next: how crowded boundaries are.

    Times the mean slope of the gap it is the error that a small change adds per unit of its
    size. A Gaussian kernel with Silverman's width; what it spreads below zero, where no gap can
    be, is reflected, so that the edge is not underrated. Rows that are wrong count in the
    denominator only. The interval is normal, from the spread of the kernel's values.

    Args:
        outputs: logits `(..., K)`, classes last.
        y: `(...)` labels; -100 does not count.
        bins: of the histogram.
        alpha: the interval aims at a coverage of 1 - alpha.
        name: of the reading.

    Raises:
        ConfigError: for less than one bin.
        ShapeError: if outputs and labels do not fit.
    """
    from scipy.stats import norm

    inside("[1, inf]", name, bins=bins)
    rows = labelled(outputs, y)
    n, gaps = len(rows.y), rows.lead[rows.correct].cpu()
    value, half = (float("nan"), float("inf")) if not n else (0.0, 3.0 / max(n, 1))
    if len(gaps) > 1:
        wide = bandwidth(gaps)
        height = torch.zeros(n, dtype=gaps.dtype)
        height[: len(gaps)] = 2 / (wide * sqrt(2 * pi)) * torch.exp(-0.5 * (gaps / wide) ** 2)
        value = float(height.mean())
        half = float(norm.ppf(1 - alpha / 2) * height.std() / sqrt(n))
    low, high = (max(0.0, value - half), value + half) if n else (0.0, float("inf"))
    found = Reading(name=name, value=value, low=low, high=high, n=n, unit="rows per logit",
                    better="lower", flags=rows.flags)  # fmt: skip
    return GapDensity(gaps, found, bins)
