"""How sure are right and wrong answers, and does it tell them apart?"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.goal import Outputs
from holdfast.core.records import Reading
from holdfast.measures.outputs.labelled import labelled
from holdfast.ops.ranking import auroc, auroc_interval, false_share
from holdfast.run.reading import average, proportion

SURE = 0.9  # probability from which a wrong answer counts as sure


@dataclass(frozen=True, eq=False)
class ConfidenceReport:
    """The largest probability of each row, and whether its answer was right.

    Ask it of clean outputs, and of outputs under attack; robust models are less sure where they
    are wrong, and stay informative under attack.

    Args:
        sure: `(B,)` the largest probability.
        right: `(B,)` bool.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the bootstrap.
        flags: reasons to trust the numbers less.
    """

    sure: Tensor
    right: Tensor
    name: str
    alpha: float
    seed: int
    flags: tuple[str, ...] = ()

    @property
    def overconfidence(self) -> float:
        """Mean probability minus accuracy."""
        return float((self.sure - self.right.double()).mean())

    @property
    def auroc(self) -> float:
        """Chance that a right answer is surer than a wrong one; NaN without one of the two."""
        wrong, right = self.sure[~self.right], self.sure[self.right]
        return auroc(wrong, right) if len(wrong) and len(right) else float("nan")

    @property
    def false_alarms(self) -> float:
        """Share of wrong answers that are at least as sure as 95 % of the right ones (FPR95)."""
        wrong, right = self.sure[~self.right], self.sure[self.right]
        if not len(wrong) or not len(right):
            return float("nan")
        return false_share(wrong, right)

    def readings(self) -> tuple[Reading, ...]:
        """Over-confidence; confidence of right and wrong rows where there are any; AUROC."""
        wrong, right = self.sure[~self.right], self.sure[self.right]

        def mean(word: str, values: Tensor, better: str) -> Reading:
            return average(f"{self.name}.{word}", values, better=better, unit="probability",  # type: ignore[arg-type]
                           alpha=self.alpha, seed=self.seed, flags=self.flags)  # fmt: skip

        if not len(self.sure):
            return (Reading(name=f"{self.name}.overconfidence", value=float("nan"), low=-1.0,
                            high=1.0, n=0, better="neither", unit="probability"),)  # fmt: skip
        found = [mean("overconfidence", self.sure - self.right.double(), "neither")]
        if len(right):
            found.append(mean("right", right, "higher"))
        if len(wrong):
            found.append(mean("wrong", wrong, "lower"))
            found.append(proportion(
                f"{self.name}.sure-and-wrong", int((wrong > SURE).sum()), len(wrong),
                better="lower", alpha=self.alpha, seed=self.seed, flags=self.flags,
            ))  # fmt: skip
        if len(wrong) and len(right):
            low, high = auroc_interval(wrong, right, self.alpha)
            found.append(Reading(
                name=f"{self.name}.auroc", value=self.auroc, low=low, high=high,
                n=len(self.sure), unit="area", flags=self.flags,
            ))  # fmt: skip
            found.append(proportion(
                f"{self.name}.fpr95", round(self.false_alarms * len(wrong)), len(wrong),
                better="lower", alpha=self.alpha, seed=self.seed, flags=self.flags,
            ))  # fmt: skip
        return tuple(found)


@register("measure", cites="robust-less-overconfident")
def confidence_report(
    outputs: Outputs,
    y: Tensor,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "confidence",
) -> ConfidenceReport:
    """How sure right and wrong answers are, and how well that tells them apart.

    Attacked inputs should come from an attack that goes on after a row is broken: attacks of this
    package stop at the boundary, where no answer is sure.

    Args:
        outputs: logits `(..., K)`, classes last: of clean inputs, or of attacked ones.
        y: `(...)` labels; -100 does not count.
        alpha: intervals have coverage 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings, e.g. `confidence.attacked`.

    Raises:
        ShapeError: if outputs and labels do not fit.
    """
    rows = labelled(outputs, y)
    kept = rows.kept()
    sure = kept.z.softmax(1).amax(1) if len(kept.y) else kept.z.new_zeros(0)
    return ConfidenceReport(sure, kept.correct, name, alpha, seed, rows.flags)
