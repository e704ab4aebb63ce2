"""The calibration error of all rows of a data set that never is in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from holdfast.checks.swept import Swept
from holdfast.core.data import Batches
from holdfast.core.fields import Count, Inner, settings
from holdfast.core.records import Finding, Reading, Severity, Subject
from holdfast.measures.outputs.bins import equal_width

FINE = 1 << 40  # confidences are summed in whole multiples of 1 / FINE: in any order the same


@settings
class SweptCalibration(Swept):
    """The calibration error in bins of equal width, as everywhere.

    The interval resamples counts of bins and of right and wrong answers in them; confidences
    within such a group stand at their mean. Cost: one forward per row, shared with accuracy.

    Args:
        bins: of equal width.
        tolerated: calibration error below which nothing is said.
        draws: resamples behind the interval.
    """

    question: ClassVar = "Can its confidence be believed?"
    section: ClassVar = "calibration"

    bins: Count = 15
    tolerated: Inner = 0.05
    draws: Count = 1000

    def columns(self, subject: Subject, batches: Batches) -> Mapping[str, Tensor]:
        kept = dict(super().columns(subject, batches))
        return kept | {"bin": equal_width(kept["sure"], self.bins)}

    def asks(self) -> list[Any]:
        return ["calibration", self.bins]

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        found = self.made(subject).ask(
            f"bin, hit, count(*), sum(cast(round(cast(sure as double) * {FINE}) as bigint))",
            "group by bin, hit order by bin, hit",
        )
        counts = np.array([row[2] for row in found], dtype=np.int64)
        gaps = np.array([int(s) / FINE / n - float(hit) for _, hit, n, s in found])
        into = np.array([[row[0] == b for row in found] for b in range(self.bins)], dtype=float)
        n = int(counts.sum())

        def error(weights: Any) -> Any:
            return np.abs((weights * gaps) @ into.T).sum(-1) / n

        value = float(error(counts))
        again = np.random.default_rng(subject.seed).multinomial(n, counts / n, size=self.draws)
        ends = np.quantile(error(again), [self.alpha / 2, 1 - self.alpha / 2])
        reading = Reading(
            name="calibration.ece", value=value, n=n, better="lower", seed=subject.seed,
            low=max(0.0, min(value, 2 * value - float(ends[1]))),
            high=min(1.0, max(value, 2 * value - float(ends[0]))),
        )  # fmt: skip
        sure = float((counts * gaps).sum()) > 0
        yield Finding(
            severity=Severity.WARNING if value > self.tolerated else Severity.GOOD,
            says=f"Confidence is off by {value:.3f} on average over {n:,} rows, mostly "
            f"{'too sure' if sure else 'too unsure'} ({self.bins} bins of equal width).",
            readings=(reading,),
        )
