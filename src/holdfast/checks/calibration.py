"""Can its confidence be believed?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from holdfast.checks.confidence import coverage_figure, reliability_figure
from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.fields import Count, Inner, settings
from holdfast.core.kinds import Check
from holdfast.core.records import Finding, Severity, Subject
from holdfast.defend.temperature import best_temperature
from holdfast.measures.outputs.bins import equal_width
from holdfast.measures.outputs.calibration import adaptive_ece, ece
from holdfast.measures.outputs.scores import brier, nll
from holdfast.measures.outputs.selective import risk_coverage
from holdfast.run.forward import labelled, outputs
from holdfast.run.rows import told


@register("check", cites="calibration-baseline", says="Confidence against accuracy, and its cure.")
@settings
class Calibration(Check):
    """Confidence against accuracy, and what one temperature would repair.

    The temperature is fitted on the trusted rows; every number is measured on the others.

    Cost: one forward per row and trusted row.

    Args:
        bins: of the reliability diagram.
        tolerated: calibration error below which nothing is said.
        alpha: intervals aim at coverage 1 - alpha.
    """

    question: ClassVar = "Can its confidence be believed?"
    section: ClassVar = "calibration"
    needs: ClassVar = ("model", "batches", "trusted")

    bins: Count = 15
    tolerated: Inner = 0.05
    alpha: Inner = 0.05

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        if subject.model is None or subject.batches is None or subject.trusted is None:
            return
        logit, y = outputs(subject.model, subject.batches.x), subject.batches.y
        known = subject.trusted.take(labelled(subject.trusted))
        temperature = best_temperature(outputs(subject.model, known.x), known.y)
        bins, alpha, seed = self.bins, self.alpha, subject.seed
        found = ece(logit, y, bins=bins, alpha=alpha, seed=seed)
        _tell(logit, y, bins, subject.batches)
        cooled = ece(
            logit / temperature, y, bins=bins, alpha=alpha, seed=seed,
            name="calibration.ece_after_temperature",
        )  # fmt: skip
        after = cooled.error
        selective = risk_coverage(logit, y, alpha=alpha, seed=seed)
        coverage = coverage_figure(selective, alpha)
        error, shown = found.error, zip(found.confidence, found.accuracy, found.count, strict=True)
        too_sure = sum((c - a) * n for c, a, n in shown) > 0
        bad = error.value > self.tolerated
        says = (
            f"Confidence is off by {error.value:.3f} on average, mostly "
            f"{'too sure' if too_sure else 'too unsure'}; a temperature of {temperature:.2f} "
            f"fitted on {len(known)} other rows would "
            f"{'bring it to' if after.value < error.value else 'not help: then it is'} "
            f"{after.value:.3f}."
        )
        yield Finding(
            severity=Severity.WARNING if bad else Severity.GOOD,
            says=says,
            readings=(
                error, after,
                *adaptive_ece(logit, y, bins=bins, alpha=alpha, seed=seed).readings(),
                brier(logit, y, alpha=alpha, seed=seed), nll(logit, y, alpha=alpha, seed=seed),
                selective.area,
            ),
            advice=f"Divide the logits by {temperature:.3f}: defence:temperature."
            if bad and after.value < error.value else "",
            figures=(
                reliability_figure(found, cooled, says, alpha),
                *([coverage] if coverage else []),
            ),
        )  # fmt: skip


def _tell(logit: Tensor, y: Tensor, bins: int, batches: Batches) -> None:
    """The numbers behind the readings row by row, where every row has a label and an answer."""
    if not bool((y >= 0).all()) or not bool(logit.isfinite().all()):
        return
    p = logit.double().softmax(1)
    sure, answer = p.max(1)
    gap = (answer == y).double() - sure
    told("calibration.ece", gap, batches, equal_width(sure[:, None], bins).flatten())
    told("calibration.brier", (p - F.one_hot(y, p.shape[1])).square().sum(1), batches)
    told("calibration.nll", F.cross_entropy(logit.double(), y, reduction="none"), batches)
