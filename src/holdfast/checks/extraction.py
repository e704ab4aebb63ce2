"""How good a copy do answers alone make?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from torch import Tensor

from holdfast.checks.given import anew
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, Part, settings
from holdfast.core.kinds import Check, Model, Recipe
from holdfast.core.records import Finding, Reading, Severity, Subject
from holdfast.run.forward import outputs
from holdfast.run.reading import proportion


@register("check", cites="dl-security-survey", says="Model extraction: a copy from answers alone.")
@settings
class Extraction(Check):
    """Model extraction: the architecture is trained anew on the model's own answers.

    An outsider who may ask for the classes of some rows trains a copy; agreement is the share of
    unseen rows to which copy and model answer alike. Cost: one training for each budget.

    Args:
        queries: budgets, in rows asked; budgets beyond the reference rows are cut to them.
        recipe: how the copy is trained.
        limit: measured rows at most.
        alpha: intervals have coverage 1 - alpha.
        tolerated: agreement from which on extraction is worth a warning.
    """

    question: ClassVar = "How good a copy do its answers make?"
    section: ClassVar = "privacy"
    needs: ClassVar = ("model", "make", "trusted", "batches")

    queries: tuple[Count, ...] = (1000, 5000)
    recipe: Part[Recipe] = "recipe:standard"
    limit: Count = 2000
    alpha: Inner = 0.05
    tolerated: Inner = 0.9

    def cost(self, subject: Subject) -> float:
        """Forecast: ten epochs of three passes for each budget."""
        learned = len(subject.trusted) if subject.trusted is not None else 0
        return 30.0 * sum(min(learned, q) for q in self.queries)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        model, trusted, make = subject.model, subject.trusted, subject.make
        if model is None or make is None or trusted is None or subject.batches is None:
            return
        judge = subject.batches.take(slice(0, self.limit))
        found = []
        for asked in dict.fromkeys(min(q, len(trusted)) for q in self.queries):
            rows = answered(model, trusted.take(slice(0, asked)))
            copy = anew(subject, subject.seed + 1, "extraction")
            resolve(self.recipe)(copy, rows, dice=Dice(subject.seed, rows.index, "extraction"))
            found.append(agreement(
                model, copy, judge, name=f"privacy.extraction.{asked}", alpha=self.alpha,
                seed=subject.seed,
            ))  # fmt: skip
        if not found:
            raise Unsupported(
                f"extraction needs a budget of queries, got {self.queries} of {len(trusted)} "
                "trusted rows",
                fix="Give queries=(100,), and trusted rows to ask about.",
            )
        best = max(found, key=lambda r: r.value)
        yield Finding(
            severity=Severity.WARNING if best.low > self.tolerated else Severity.INFO,
            says=f"A copy trained on {best.name.rpartition('.')[2]} answers agrees on "
            f"{best.value:.1%} of unseen rows.",
            readings=tuple(found),
            advice="Limit queries per client, and answer with classes instead of scores."
            if best.low > self.tolerated
            else "",
        )


def answered(model: Model, rows: Batches) -> Batches:
    """The same rows with the model's answers as labels."""
    return replace(rows, y=_answers(model, rows))


def agreement(
    model: Model, copy: Model, rows: Batches, *, name: str, alpha: float = 0.05, seed: int = 0
) -> Reading:
    """Share of rows to which two models give the same answer."""
    alike = int((_answers(model, rows) == _answers(copy, rows)).sum())
    return proportion(
        name, alike, len(rows), bound="lower", better="lower", alpha=alpha, seed=seed
    )  # fmt: skip


def _answers(model: Model, rows: Batches) -> Tensor:
    return outputs(model, rows.x).argmax(1)
