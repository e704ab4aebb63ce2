"""Are the reasons stable, and do they depend on the model at all?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.checks.attributions import attributions
from holdfast.checks.given import model_of
from holdfast.checks.rows import sample
from holdfast.core.catalog import register, resolve
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, Part, Positive, settings
from holdfast.core.goal import Outputs, logits
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Check, Explainer, Model
from holdfast.core.quiet import quiet
from holdfast.core.records import Finding, Reading, Severity, Subject
from holdfast.ops.ranking import rank_correlation
from holdfast.run.forward import outputs
from holdfast.run.reading import average


@register("check", says="Rank correlation of attributions before and after imperceptible noise.")
@settings
class ExplanationStability(Check):
    """Rank correlation of attributions before and after imperceptible noise.

    Rows whose answer the noise changes are left out: there the reasons should change. Where the
    architecture can be built anew, the same correlation between the model and a freshly drawn
    one is the control: an explainer that ignores the weights scores high on both.

    Cost: three attributions per row.

    Args:
        explainer: catalogue name.
        noise: uniform noise of this half-width on inputs in [0, 1].
        limit: at most so many rows, drawn once from the seed.
        tolerated: correlation below which the finding is a warning.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "Are the reasons stable?"
    section: ClassVar = "explanations"

    explainer: Part[Explainer] = "explainer:integrated-gradients"
    noise: Positive = 0.02
    limit: Count = 100
    tolerated: Inner = 0.8
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        n = len(subject.batches) if subject.batches is not None else 0
        return 300.0 * min(n, self.limit)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        batches = sample(subject, self.limit)
        model, x = model_of(subject), one_tensor(batches.x, "an explanation", floating=True)
        dice = Dice(subject.seed, batches.index, "explanations")
        shift = 2 * dice.uniform(x.shape[1:], dtype=x.dtype) - 1
        noisy = (x + self.noise * shift).clamp(0, 1)
        answers = outputs(model, x).argmax(1)
        same = outputs(model, noisy).argmax(1) == answers
        if not same.any():
            raise Unsupported(
                f"noise of {self.noise:g} changes every answer",
                fix=f"Give a smaller noise=, such as {self.noise / 10:g}.",
            )
        before = self._maps(model, x[same], answers[same])
        if not before.any():
            raise Unsupported(
                "the attributions are zero everywhere: no gradient reaches the input",
                fix="Audit the model itself, not an answer copied from it.",
            )
        stability = rank_correlation(before, self._maps(model, noisy[same], answers[same]))
        reading = average(
            "explanations.stability", stability, unit="rank correlation", seed=subject.seed,
            alpha=self.alpha,
        )  # fmt: skip
        readings: list[Reading] = [reading]
        control, fresh = "", None
        if subject.make is not None:
            fresh = self._maps(subject.make(subject.seed), x[same], answers[same])
            readings.append(average(
                "explanations.control", rank_correlation(before, fresh), unit="rank correlation",
                better="lower", seed=subject.seed, alpha=self.alpha,
            ))  # fmt: skip
            control = f" With freshly drawn weights instead it is {readings[1].value:.2f}."
        says = (
            f"Under noise of {self.noise:g} that leaves the answer unchanged, attributions "
            f"keep a rank correlation of {reading.value:.2f}." + control
        )
        yield Finding(
            severity=Severity.GOOD if reading.value >= self.tolerated else Severity.WARNING,
            says=says,
            readings=tuple(readings),
            figures=attributions(batches.take(same), answers[same], before, fresh, says),
        )

    def _maps(self, model: Model, x: Tensor, answers: Tensor) -> Tensor:
        """`(B, d)` attributions of the logit of each row's answer."""

        def readout(out: Outputs) -> Tensor:
            return logits(out).gather(1, answers[:, None]).squeeze(1)

        with quiet(model), torch.enable_grad():
            return resolve(self.explainer)(model, x, readout).detach().cpu().flatten(1)
