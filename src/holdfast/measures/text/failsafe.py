"""Right answers under failing questions, and refusals under failing contexts, in one number."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ShapeError
from holdfast.core.inputs import some_rows
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.run.reading import average


def f_score(precision: float, recall: float, beta: float = 1.0) -> float:
    """(1 + b^2) p r / (b^2 p + r), and 0 where both are 0: b below 1 favours the precision."""
    bottom = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / bottom if bottom > 0 else 0.0


def compliant(relevance: Tensor, threshold: float = 4) -> Tensor:
    """Which grades of a judge (1 to 6) count as a fitting answer; NaN does not.

    Args:
        relevance: grades, of any shape.
        threshold: the lowest grade that counts.
    """
    return relevance >= threshold


@dataclass(frozen=True, eq=False)
class FailSafe:
    """Compliance under failing questions and contexts.

    Args:
        robust: `(N,)`: share of items whose answerable versions are all answered.
        grounded: `(N,)`: share of the unanswerable versions that are refused.
        first: `(N,)` compliance on the items as they are.
        beta: of the F score.
        swapped: whether robustness takes the place of the precision.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the bootstrap.
    """

    robust: Tensor
    grounded: Tensor
    first: Tensor
    beta: float
    swapped: bool
    name: str
    alpha: float
    seed: int

    @property
    def score(self) -> float:
        """The compliance of the model: F of grounding and robustness."""
        g, r = float(self.grounded.mean()), float(self.robust.mean())
        return f_score(r, g, self.beta) if self.swapped else f_score(g, r, self.beta)

    def readings(self) -> tuple[Reading, ...]:
        """Compliance at first, robustness, grounding, and both in one number.

        The interval of the last follows from those of its parts, in which it is monotone.
        """
        parts = [
            average(f"{self.name}.{word}", values, alpha=self.alpha, seed=self.seed)
            for word, values in (
                ("answered", self.first), ("robust", self.robust), ("grounded", self.grounded),
            )
        ]  # fmt: skip
        r, g = parts[1], parts[2]
        p, q = (r, g) if self.swapped else (g, r)
        low, high = f_score(p.low, q.low, self.beta), f_score(p.high, q.high, self.beta)
        both = Reading(name=f"{self.name}.compliance", value=self.score, low=min(low, self.score),
                       high=max(high, self.score), n=len(self.robust), unit="score",
                       seed=self.seed)  # fmt: skip
        return (*parts, both)


@register("measure", cites="failsafe-qa", says="Robust answers and grounded refusals as one score.")
def failsafe(
    compliance: Tensor,
    refusals: Tensor,
    *,
    beta: float = 0.5,
    swapped: bool = False,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "failsafe",
) -> FailSafe:
    """How far a model answers what can be answered, and refuses what cannot.

    Robustness counts an item only if its plain version and every answerable failing version are
    answered; it therefore is at most the compliance of each. Grounding is the mean of the
    refusals. A model that always answers has grounding 0, one that always refuses robustness 0,
    and either has score 0.

    Args:
        compliance: `(N, V)` bool: the plain item first, then its answerable failing versions.
        refusals: `(N, W)` bool: whether versions without the facts are refused.
        beta: below 1 favours grounding.
        swapped: let robustness be the precision, so that beta below 1 favours it instead.
        alpha: intervals cover with probability at least 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        ShapeError: if the two do not have the same items, or none.
        ConfigError: unless beta is positive.
    """
    inside("(0, inf]", name, beta=beta)
    if compliance.dim() != 2 or refusals.dim() != 2 or len(compliance) != len(refusals):
        raise ShapeError(
            f"{name}: {tuple(compliance.shape)} answers, {tuple(refusals.shape)} refusals; "
            "both must be (N, versions)",
            fix="Give a row per item and a column per version on both sides.",
        )
    some_rows(compliance.flatten(), name, what="answer")
    some_rows(refusals.flatten(), name, what="refusal")
    right = compliance.bool().cpu()
    return FailSafe(right.all(1).double(), refusals.bool().double().mean(1).cpu(),
                    right[:, 0].double(), beta, swapped, name, alpha, seed)  # fmt: skip
