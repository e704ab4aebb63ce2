"""How well a score tells foreign rows from familiar ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.ops.ranking import (
    auroc,
    auroc_interval,
    average_precision,
    detection_error,
    false_share,
)
from holdfast.run.reading import proportion


@dataclass(frozen=True, eq=False)
class Separation:
    """Scores of familiar and of foreign rows; larger scores mean less trust.

    Args:
        known: `(n,)` of familiar rows.
        strange: `(m,)` of foreign rows.
        draws: resamples behind the intervals of areas under precision.
        alpha: of the intervals.
        seed: of the resamples.
        name: prefix of the readings.
    """

    known: Tensor
    strange: Tensor
    draws: int
    alpha: float
    seed: int
    name: str

    @property
    def auroc(self) -> float:
        """Chance that a foreign row scores higher than a familiar one; ties count half."""
        return auroc(self.known, self.strange)

    @property
    def fpr95(self) -> float:
        """Share of foreign rows that pass where 95 % of the familiar ones pass."""
        return false_share(-self.strange, -self.known)

    @property
    def aupr_out(self) -> float:
        """Area under precision and recall of finding the foreign rows."""
        return average_precision(self.known, self.strange)

    @property
    def aupr_in(self) -> float:
        """Area under precision and recall of finding the familiar rows."""
        return average_precision(-self.strange, -self.known)

    @property
    def error(self) -> float:
        """Least mean of the shares of both kinds of error, over all levels."""
        return detection_error(-self.strange, -self.known)

    def readings(self) -> tuple[Reading, ...]:
        """AUROC, FPR95, both AUPRs (chance: the share of what is sought), detection error."""
        n, m = len(self.known), len(self.strange)
        low, high = auroc_interval(self.known, self.strange, self.alpha)
        area = Reading(name=f"{self.name}.auroc", value=self.auroc, low=low, high=high, n=n + m,
                       unit="area", seed=self.seed)  # fmt: skip
        passed = proportion(f"{self.name}.fpr95", round(self.fpr95 * m), m, better="lower",
                            alpha=self.alpha, seed=self.seed)  # fmt: skip
        again = self._again()
        found = [area, passed]
        for k, word in enumerate(("aupr_in", "aupr_out", "error")):
            value = getattr(self, word)
            ends = again[:, k].quantile(torch.tensor([self.alpha / 2, 1 - self.alpha / 2]).double())
            found.append(Reading(
                name=f"{self.name}.{word.replace('_', '-')}", value=value,
                low=min(value, float(ends[0])), high=max(value, float(ends[1])), n=n + m,
                unit="area" if k < 2 else "share",
                better="lower" if word == "error" else "higher", seed=self.seed,
            ))  # fmt: skip
        return tuple(found)

    def _again(self) -> Tensor:
        """`(draws, 3)`: both areas and the error of resampled rows."""
        generator = Dice.of(0, self.seed).generator(self.name)
        rows = []
        for _ in range(self.draws):
            a, b = (
                s[torch.randint(len(s), (len(s),), generator=generator).to(s.device)]
                for s in (self.known, self.strange)
            )
            rows.append([average_precision(-b, -a), average_precision(a, b),
                         detection_error(-b, -a)])  # fmt: skip
        return torch.tensor(rows, dtype=torch.float64)


@register("measure", cites="ood-scores")
def separation(
    known: Tensor,
    strange: Tensor,
    *,
    draws: int = 100,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "separation",
) -> Separation:
    """How well a score tells foreign rows from familiar ones: AUROC, FPR95, AUPR.

    AUROC is the chance that a foreign row scores higher, with DeLong's interval; FPR95 the share
    of foreign rows that pass where 95 % of familiar ones do. Areas under precision depend on how
    many rows of each kind there are: a score that says nothing gets the share of what is sought.

    Args:
        known: `(n,)` scores of familiar rows; larger means to trust less. Infinite ones are fine.
        strange: `(m,)` scores of foreign rows.
        draws: bootstrap resamples behind the intervals of the areas under precision.
        alpha: intervals aim at a coverage of 1 - alpha.
        seed: of the resamples.
        name: prefix of the readings.

    Raises:
        ShapeError: without rows of one kind, or for scores that are not numbers.
        ConfigError: for less than one draw.
    """
    inside("[1, inf]", name, draws=draws)
    a, b = (s.detach().double().flatten() for s in (known, strange))
    if not len(a) or not len(b):
        raise ShapeError(f"{name}: {len(a)} familiar and {len(b)} foreign rows", fix="Pass both.")
    bad = int(a.isnan().sum() + b.isnan().sum())
    if bad:
        raise ShapeError(
            f"{name}: {bad} scores are not numbers", fix="Score such rows as infinitely strange."
        )
    return Separation(a, b, draws, alpha, seed, name)
