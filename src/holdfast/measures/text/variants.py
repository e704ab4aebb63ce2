"""How much answers change when questions are worded anew: an effect size in place of a rate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ShapeError
from holdfast.core.inputs import some_rows
from holdfast.core.records import Reading
from holdfast.ops.statistics import bootstrap_mean
from holdfast.run.reading import average, proportion


def cohens_h(before: Tensor, after: Tensor) -> Tensor:
    """Difference of two shares after the arcsine that makes their variance constant.

    2 asin sqrt(after) - 2 asin sqrt(before), in [-pi, pi]; 0.2, 0.5 and 0.8 are called small,
    medium and large. Unlike a drop rate it is defined at 0, and antisymmetric.

    Args:
        before: shares in [0, 1].
        after: the same shape.
    """
    a, b = (2 * s.double().clamp(0, 1).sqrt().asin() for s in (before, after))
    return b - a


def cohens_d(before: Tensor, after: Tensor) -> float:
    """Difference of two means in pooled standard deviations: for graded answers.

    Args:
        before: `(n,)`, at least two values.
        after: `(m,)`, at least two.
    """
    a, b = before.double(), after.double()
    some_rows(a, "cohens_d (before)", 2, "value")
    some_rows(b, "cohens_d (after)", 2, "value")
    pooled = ((len(a) - 1) * a.var() + (len(b) - 1) * b.var()) / (len(a) + len(b) - 2)
    return float((b.mean() - a.mean()) / pooled.sqrt())


@dataclass(frozen=True, eq=False)
class Variants:
    """Answers to questions and to their rewordings.

    Args:
        base: `(q,)` share of right answers to each question as it is.
        varied: `(q,)` mean share of right answers to its rewordings.
        same: `(q,)` bool, whether all rewordings are judged as the question is.
        all_right: `(q,)` bool, whether all rewordings are right.
        alpha: of the intervals.
        seed: of the bootstrap over questions.
        name: prefix of the readings.
        flags: reasons to trust the numbers less.
    """

    base: Tensor
    varied: Tensor
    same: Tensor
    all_right: Tensor
    alpha: float
    seed: int
    name: str
    flags: tuple[str, ...] = ()

    @property
    def effect(self) -> Tensor:
        """`(q,)` effect size of each question."""
        return cohens_h(self.base, self.varied)

    @property
    def overall(self) -> float:
        """Effect size of the accuracies of the whole set; negative: rewording costs accuracy."""
        return float(cohens_h(self.base.mean(), self.varied.mean()))

    def readings(self) -> tuple[Reading, ...]:
        """Instability (mean |h|), mean h, h of the whole, consistency, all variants right."""
        n, alpha, seed, flags = len(self.base), self.alpha, self.seed, self.flags
        h = self.effect
        # The whole is no mean over questions: its interval comes from both ends of the arcsine.
        ends = [bootstrap_mean(s, seed=seed, alpha=alpha / 2) for s in (self.base, self.varied)]
        low = float(cohens_h(torch.tensor(ends[0][1]), torch.tensor(ends[1][0])))
        high = float(cohens_h(torch.tensor(ends[0][0]), torch.tensor(ends[1][1])))
        return (
            average(f"{self.name}.instability", h.abs(), better="lower", unit="h", alpha=alpha,
                    seed=seed, flags=flags),
            average(f"{self.name}.mean-effect", h, unit="h", alpha=alpha, seed=seed, flags=flags),
            Reading(name=f"{self.name}.effect", value=self.overall, low=min(low, self.overall),
                    high=max(high, self.overall), n=n, unit="h", seed=seed, flags=flags),
            proportion(f"{self.name}.consistent", int(self.same.sum()), n, alpha=alpha,
                       seed=seed, flags=flags),
            proportion(f"{self.name}.all-right", int(self.all_right.sum()), n, alpha=alpha,
                       seed=seed, flags=flags),
        )  # fmt: skip


@register("measure", cites="llm-robustness-cohens-h")
def variant_effect(
    verdicts: Tensor,
    variants: Tensor,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "variants",
) -> Variants:
    """Effect size of rewording on whether answers are right, question by question.

    Each question has rewordings that mean the same. Its effect is Cohen's h between the share of
    right answers to it and to its rewordings; the mean of |h| is instability, that of h says
    which way. Rewordings of one question depend on each other, so intervals are over questions.
    A question without rewordings does not count.

    Args:
        verdicts: `(q,)` share of right answers to each question, 0 or 1 for a single answer.
        variants: `(q, v)` the same of its rewordings; NaN where there is none.
        alpha: intervals aim at a coverage of 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        ShapeError: for shares outside [0, 1], shapes that do not fit, or no question left.
    """
    base, varied = verdicts.double().cpu(), variants.double().cpu()
    if base.dim() != 1 or varied.dim() != 2 or len(base) != len(varied):
        raise ShapeError(f"{name}: verdicts {tuple(base.shape)}, variants {tuple(varied.shape)}",
                         fix="Pass (q,) and (q, v).")  # fmt: skip
    there = ~varied.isnan()
    if not bool(((base >= 0) & (base <= 1)).all() and ((varied >= 0) & (varied <= 1))[there].all()):
        raise ShapeError(
            f"{name}: shares of right answers must lie in [0, 1]",
            fix="Give shares: divide counts by the number of tries, percents by 100.",
        )
    some = there.any(1)
    if not bool(some.any()):
        raise ShapeError(
            f"{name}: no question has a rewording, all of {tuple(varied.shape)} are missing",
            fix="Give the verdict on one rewording at least; NaN stands for none.",
        )
    lost = int((~some).sum())
    flags = (f"{lost} questions have no rewording",) if lost else ()
    base, varied, there = base[some], varied[some], there[some]
    mean = varied.nan_to_num().sum(1) / there.sum(1)
    same = ((varied == base[:, None]) | ~there).all(1)
    right = ((varied == 1) | ~there).all(1)
    return Variants(base, mean, same, right, alpha, seed, name, flags)


def drop_rate(before: float, after: float) -> float:
    """1 - after / before: undefined at 0, not symmetric, unbounded below; for comparison only.

    Args:
        before: the score without a change.
        after: the score under it.
    """
    return 1 - after / before if before else float("nan")
