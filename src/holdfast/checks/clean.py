"""How often is the model right on the rows as they are?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from holdfast.core.catalog import register
from holdfast.core.fields import Inner, settings
from holdfast.core.kinds import Check
from holdfast.core.records import Finding, Reading, Severity, Subject
from holdfast.run.forward import correct, outputs
from holdfast.run.reading import proportion
from holdfast.run.rows import told


@register("check", says="Accuracy on the rows as they are, against always saying one class.")
@settings
class Clean(Check):
    """Accuracy on the rows as they are, with the share of the commonest class beside it.

    A tie and a non-finite output count as wrong. Cost: one forward per row.

    Args:
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "How often is it right on unchanged inputs?"
    section: ClassVar = "clean"

    alpha: Inner = 0.05

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        batches = subject.batches
        if batches is None or subject.model is None:
            return
        logit, y = outputs(subject.model, batches.x), batches.y
        right = correct(logit, y)
        told("clean.accuracy", right, batches)
        count, n = int(right.sum()), len(y)
        majority = int(y.bincount().max()) if n else 0
        accuracy = proportion("clean.accuracy", count, n, alpha=self.alpha, seed=subject.seed)
        useless = accuracy.high <= majority / max(n, 1)
        broken = int((~logit.isfinite().all(1)).sum())
        yield Finding(
            severity=Severity.FAILURE if useless else Severity.INFO,
            says=f"{count} of {n} unchanged rows are classified correctly; always answering the "
            f"commonest class would give {majority}.",
            readings=(accuracy, _exact("clean.majority", majority, n, subject.seed)),
            rows=tuple(batches.index[~right][:20].tolist()),
        )
        if broken:
            yield Finding(
                severity=Severity.FAILURE,
                says=f"On {broken} of {n} unchanged rows the output is not finite.",
                readings=(proportion("clean.nonfinite", broken, n, better="lower"),),
                advice="Look for divisions, logarithms and overflow in the model.",
            )


def _exact(name: str, count: int, n: int, seed: int) -> Reading:
    """A share of the rows at hand, which is no estimate of anything else."""
    value = count / n if n else float("nan")
    return Reading(name=name, value=value, low=value, high=value, n=n, bound="exact", seed=seed)
