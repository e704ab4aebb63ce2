"""Have the rows changed? Two samples of rows, features or answers, and the chance of a fluke."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ShapeError
from holdfast.core.fields import Count
from holdfast.core.ranges import inside, one_of
from holdfast.core.records import Reading
from holdfast.measures.data.stability import rows_of
from holdfast.measures.data.two_sample_tests import (
    Correction,
    Tested,
    adjusted,
    chi_square,
    classifier,
    kolmogorov_smirnov,
    mmd,
)
from holdfast.ops.statistics import clopper_pearson
from holdfast.run.reading import proportion

Test = Literal["ks", "mmd", "chi-square", "classifier", "mlp"]


@dataclass(frozen=True, eq=False)
class Drift:
    """What a test of two samples found.

    Args:
        found: statistic and p-value of every question.
        adjusted: `(q,)` p-values after correction.
        rows: how many rows of both samples.
        permutations: behind a p-value that is a share of arrangements, else 0.
        alpha: level of the alarm.
        seed: of all draws.
        name: prefix of the readings.
    """

    found: Tested
    adjusted: Tensor
    rows: int
    permutations: int
    alpha: float
    seed: int
    name: str

    @property
    def p(self) -> float:
        """p-value that nothing has changed, all questions together."""
        return float(self.adjusted.min())

    @property
    def alarm(self) -> bool:
        """Whether it lies below the level."""
        return self.p < self.alpha

    def moved(self) -> list[int]:
        """Features that moved, the clearest first."""
        order = self.adjusted.argsort(stable=True)
        return [int(j) for j in order if self.adjusted[j] < self.alpha]

    def readings(self) -> tuple[Reading, ...]:
        """The p-value, and the share of features that moved."""
        low = high = self.p
        if self.permutations:
            n = self.permutations + 1
            low, high = clopper_pearson(round(self.p * n), n)
        return (
            Reading(name=f"{self.name}.p", value=self.p, low=low, high=high, n=self.rows,
                    unit="probability", better="neither", seed=self.seed),
            proportion(f"{self.name}.moved", len(self.moved()), len(self.adjusted),
                       better="neither", seed=self.seed),
        )  # fmt: skip


@register("measure", cites="drift-tests")
def drift(
    sample: Tensor,
    reference: Tensor,
    *,
    test: Test = "ks",
    correction: Correction = "bonferroni",
    permutations: Count = 199,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "drift",
) -> Drift:
    """Tests whether two samples come from one distribution.

    `ks` asks every feature for itself (Kolmogorov and Smirnov) and corrects for their number;
    `mmd` asks all together, and so do `classifier` and `mlp`, which try to tell the samples
    apart on rows they have not seen; `chi-square` compares counts of whole numbers. Given the
    probabilities that a model answers, `ks` is black-box shift detection (BBSD), and
    `chi-square` of its labels the hard variant; the reference must not be what the model learned
    from, where it is surer. Looking again and again needs a smaller alpha each time.

    Args:
        sample: `(n, ...)` new rows, features or answers.
        reference: `(m, ...)` the same of rows from before.
        test: which.
        correction: for the number of features: bounds the chance of any false alarm
            (`bonferroni`, `holm`), or the share of false ones (`bh`).
        permutations: arrangements behind the p-value of `mmd`.
        alpha: level of the alarm.
        seed: of the draws.
        name: prefix of the readings.

    Raises:
        ShapeError: for fewer than two rows, different features, or numbers that are not finite.
        ConfigError: for a test or correction that does not exist.

    Cost: no passes; `mmd` holds all distances between n + m rows.
    """
    one_of(get_args(Test), name, test=test)
    one_of(get_args(Correction), name, correction=correction)
    inside("[1, inf]", name, permutations=permutations)
    a, b = rows_of(sample, name), rows_of(reference, name)
    if a.shape[1] != b.shape[1]:
        raise ShapeError(
            f"{name}: {a.shape[1]} features now, {b.shape[1]} before",
            fix="Give both sets in the same form: the same columns, or images of the same size.",
        )
    b = b.to(a.device)
    if test == "ks":
        found = kolmogorov_smirnov(a, b)
    elif test == "chi-square":
        found = chi_square(a, b)
    elif test == "mmd":
        found = mmd(a, b, permutations=permutations, seed=seed)
    else:
        found = classifier(a, b, kind="mlp" if test == "mlp" else "linear", seed=seed)
    draws = permutations if test == "mmd" else 0
    return Drift(
        found, adjusted(found.p, correction), len(a) + len(b), draws, alpha, seed, name
    )  # fmt: skip
