"""Is it confused by changes that do not confuse a better judge?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from holdfast.checks.given import model_of
from holdfast.checks.rows import sample
from holdfast.core.catalog import register
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, Natural, Positive, settings
from holdfast.core.kinds import Check
from holdfast.core.records import Finding, Severity, Subject
from holdfast.measures.model.oracle import oracle_relative


@register("check", name="oracle-relative", cites="fmr")
@settings
class OracleCheck(Check):
    """Accuracy on inputs pushed, pixel by pixel, as far as the subject's oracles go along.

    Oracles are the subject's other models whose role begins with `oracle`. With another
    generator than the pixels use `measure:oracle-relative` itself.

    Cost: per step and row one forward and backward pass of the model, one forward per oracle;
    with several oracles once for all and once for each.

    Args:
        steps: the budget.
        step_size: times the gradient of the cross-entropy.
        tolerated: percent of the clean accuracy below which the finding is a warning.
        limit: at most so many rows, drawn once from the seed.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "Is it confused sooner than a better judge?"
    section: ClassVar = "attacks"

    steps: Natural = 50
    step_size: Positive = 0.05
    tolerated: Positive = 80.0
    limit: Count = 200
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        n = len(subject.batches) if subject.batches is not None else 0
        return 4.0 * self.steps * min(n, self.limit)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        oracles = [m for role, m in sorted(subject.others.items()) if role.startswith("oracle")]
        model = model_of(subject)
        if not oracles:
            raise Unsupported(
                f"there is no oracle among {sorted(subject.others) or 'no other models'}",
                fix='Give Subject(others={"oracle": model}).',
            )
        found = oracle_relative(
            [model, *oracles], sample(subject, self.limit), steps=self.steps,
            step_size=self.step_size, alpha=self.alpha, seed=subject.seed,
            name="oracle_relative",
        )  # fmt: skip
        readings = found.readings()
        low = readings[0].high < self.tolerated
        yield Finding(
            severity=Severity.WARNING if low else Severity.INFO,
            says=f"On inputs changed as far as the oracles still read them, {found.score:.0f} % of "
            "the clean accuracy is left.",
            readings=readings,
            advice="Harden it: holdfast harden." if low else "",
        )
