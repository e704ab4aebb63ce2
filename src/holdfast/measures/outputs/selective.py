"""What a model gains by answering only where it is sure."""

from __future__ import annotations

from dataclasses import dataclass
from math import log1p

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.goal import Outputs
from holdfast.core.ranges import inside
from holdfast.core.records import Cell, Reading
from holdfast.measures.outputs.labelled import labelled
from holdfast.ops.ranking import tied_means


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Errors among the most confident answers, from one answer to all of them.

    Args:
        risk: `(n,)` share of wrong answers among the k most confident ones, k = 1 .. n; among
            equally confident ones in a random order, in the mean.
        area: mean risk over all coverages (AURC) with its interval.
        seed: of the bootstrap.
    """

    risk: Tensor
    area: Reading
    seed: int

    @property
    def excess(self) -> float:
        """Area above that of the best order at the same error rate (E-AURC)."""
        r = float(self.risk[-1])
        least = r + (1 - r) * log1p(-r) if r < 1 else 1.0
        return float(self.risk.mean()) - least

    def readings(self) -> tuple[Reading, ...]:
        """AURC, E-AURC, and the area under accuracy against response rate (AURRA)."""
        a, stem = self.area, self.area.name
        if not a.n:
            return (a,)
        move = self.excess - a.value
        return (
            a,
            Reading(name=f"{stem}.excess", value=self.excess, low=a.low + move, high=a.high + move,
                    n=a.n, unit="area", better="lower", seed=self.seed, flags=a.flags),
            Reading(name=f"{stem}.aurra", value=1 - a.value, low=1 - a.high, high=1 - a.low,
                    n=a.n, unit="area", seed=self.seed, flags=a.flags),
        )  # fmt: skip

    def rows(self) -> tuple[dict[str, Cell], ...]:
        """Rows of a figure of kind `lines`: at most 100 coverages."""
        n = len(self.risk)
        places = sorted({max(1, round(n * k / 100)) for k in range(1, 101)}) if n else []
        return tuple(
            {"x": k / n, "y": float(self.risk[k - 1]), "series": "answers"} for k in places
        )


@register("measure", cites="calibration-baseline")
def risk_coverage(
    outputs: Outputs,
    y: Tensor,
    *,
    draws: int = 200,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "selective.aurc",
) -> RiskCoverage:
    """Mean error over all shares of answers that a model may keep, the surest ones first.

    It is small where errors are few, and where they stand among the unsure answers; the excess
    over the best order of the same errors (E-AURC) shows the second alone. One minus it is the
    mean accuracy over response rates (AURRA). Answers of equal confidence come in a random
    order, of which this is the mean, so the order of the rows says nothing.

    Args:
        outputs: logits `(..., K)`, classes last.
        y: `(...)` labels; -100 does not count.
        draws: bootstrap resamples.
        alpha: the interval aims at a coverage of 1 - alpha.
        seed: of the resamples.
        name: of the reading.

    Raises:
        ShapeError: if outputs and labels do not fit.
        ConfigError: for less than one draw.
    """
    inside("[1, inf]", name, draws=draws)
    rows = labelled(outputs, y)
    kept = rows.kept()
    n = len(kept.y)
    if n == 0:
        nothing = Reading(name=name, value=float("nan"), low=0.0, high=1.0, n=0, better="lower",
                          unit="area", flags=rows.flags)  # fmt: skip
        return RiskCoverage(torch.empty(0, dtype=torch.float64), nothing, seed)
    wrong = (kept.z.argmax(1) != kept.y).double()
    sure, order = kept.z.softmax(1).amax(1).sort(descending=True)
    wrong = tied_means(sure, wrong[order]).cpu()
    risk = wrong.cumsum(0) / torch.arange(1, n + 1)
    value = float(risk.mean())
    generator = Dice.of(0, seed).generator(name)
    again = torch.empty(draws, dtype=torch.float64)
    for i in range(draws):
        pick = torch.randint(n, (n,), generator=generator).sort().values
        again[i] = (wrong[pick].cumsum(0) / torch.arange(1, n + 1)).mean()
    low, high = again.quantile(torch.tensor([alpha / 2, 1 - alpha / 2]).double()).tolist()
    area = Reading(name=name, value=value, low=min(low, value), high=max(high, value), n=n,
                   better="lower", unit="area", seed=seed, flags=rows.flags)  # fmt: skip
    return RiskCoverage(risk, area, seed)
