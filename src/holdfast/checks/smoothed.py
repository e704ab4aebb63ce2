"""What is proved about the model behind noise: votes of noisy copies and their L2 radius."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.checks.given import model_of
from holdfast.checks.radii import curve, histogram, largest
from holdfast.checks.rows import sample
from holdfast.core.catalog import register, resolve
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, Part, Positive, settings
from holdfast.core.goal import Untargeted
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Certifier, Check, Model, Outputs
from holdfast.core.ranges import inside
from holdfast.core.records import Finding, Reading, Severity, Subject
from holdfast.defend.smoothed import smoothed
from holdfast.run.reading import average, proportion
from holdfast.threats.norms import L2


@register(
    "check",
    name="smoothed",
    cites="randomized-smoothing",
    says="L2 radii within which the votes of noisy copies provably keep the right class.",
)
@settings
class SmoothedVotes(Check):
    """L2 radii within which the votes of noisy copies provably keep the right class.

    The statement is about the smoothed classifier, another function than the model itself: it
    says what the model would be worth behind noise, and contradicts no attack on it. Each row
    is wrong with at most the certifier's probability; the interval over rows comes on top.

    Where the audit has an L2 threat, it is also asked whether each row holds within just that
    radius: such a question needs far fewer copies than a radius does, and no more than it takes.

    Cost: `selection + samples` forwards of the certifier per row; for each L2 threat some dozens
    to hundreds more.

    Args:
        sigma: standard deviation of the noise, inputs in [0, 1].
        radii: shown as numbers, as shares of sigma; the curve shows all.
        certifier: finds a radius for each row.
        test: asks whether a row holds within the radius of an L2 threat; None leaves that out.
        limit: at most so many rows, drawn once from the seed.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "What would be proved behind noise?"
    section: ClassVar = "certificates"

    sigma: Positive = 0.25
    radii: tuple[float, ...] = (0.5, 1.0)
    certifier: Part[Certifier] = "certifier:smoothing"
    test: Part[Certifier] | None = "certifier:smoothing-sequential"
    limit: Count = 100
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        votes = resolve(self.certifier)
        each = getattr(votes, "samples", 1000) + getattr(votes, "selection", 100)
        n = min(len(subject.batches), self.limit) if subject.batches is not None else 0
        return float(each * n)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        batches = sample(subject, self.limit)
        model, x = model_of(subject), one_tensor(batches.x, "noise", floating=True)
        inside("(0, inf]", "SmoothedVotes", radii=self.radii)
        found = resolve(self.certifier)(
            smoothed(model, sigma=self.sigma),
            x,
            Untargeted(batches.y),
            L2(radius=self.sigma * min(self.radii)),
            dice=Dice(subject.seed, batches.index, "smoothed"),
        )
        if found.radius is None:
            raise Unsupported(
                f"{self.certifier} gives no radius",
                fix='Give certifier="certifier:smoothing", which states a radius.',
            )
        radius, lost = found.radius.detach().cpu(), found.margin.detach().cpu() == torch.inf
        yield from self._measured(subject, radius, lost, found.confidence)
        for threat in subject.threats:
            if isinstance(threat, L2) and self.test is not None and threat.radius > 0:
                rows = (x, batches.y, batches.index)
                yield self._tested(subject, model, rows, threat, self.test)

    def _measured(
        self, subject: Subject, radius: Tensor, lost: Tensor, confidence: float
    ) -> Iterator[Finding]:
        """How far each row holds.

        Args:
            subject: whose seed and threats.
            radius: `(B,)`, 0 where nothing is proved.
            lost: `(B,)` bool: rows on which another class leads.
            confidence: of each row.
        """
        n, count = len(radius), partial(proportion, seed=subject.seed, alpha=self.alpha)
        apart = {t.spec for t in subject.threats if self.test is not None}
        readings: list[Reading] = []
        for reach in (self.sigma * r for r in self.radii):
            spec = L2(radius=reach).spec
            if spec not in apart:
                kept, name = int((radius >= reach).sum()), f"certificates.smoothed@{spec}"
                readings.append(count(name, kept, n, bound="lower", threat=spec))
        unsure = int(((radius <= 0) & ~lost).sum())
        readings.append(count("certificates.abstained", unsure, n, better="lower"))
        if n:
            mean = average(
                "certificates.smoothed_radius", radius, bound="lower", unit="in L2",
                seed=subject.seed, alpha=self.alpha,
            )  # fmt: skip
            readings.append(mean)
        middle = float(radius.median()) if n else 0.0
        says = (
            f"Behind Gaussian noise of {self.sigma:g}, half of the {n} rows provably keep their "
            f"class within an L2 distance of {middle:.3g}."
        )
        figures = (histogram(radius, says), curve(radius, self.alpha)) if n else ()
        yield Finding(
            severity=Severity.INFO, says=says, readings=tuple(readings),
            figures=figures if bool((radius > 0).any()) else (),
        )  # fmt: skip
        yield Finding(
            severity=Severity.INFO,
            says=f"Behind noise another class leads on {int(lost.sum())} of {n} rows, and {unsure} "
            f"abstain: too few votes. What is proved holds with probability {confidence:g} for "
            f"each row.{largest(resolve(self.certifier), self.sigma)}",
        )

    def _tested(
        self, subject: Subject, model: Model, rows: tuple[Tensor, Tensor, Tensor], threat: L2,
        test: Part[Certifier],
    ) -> Finding:  # fmt: skip
        """Whether each row holds within one radius; `rows` are inputs, labels and positions."""
        (x, y, index), counted, n = rows, Counted(model), len(rows[1])
        found = resolve(test)(
            smoothed(counted, sigma=self.sigma),
            x,
            Untargeted(y),
            threat.take(slice(0, n)),
            dice=Dice(subject.seed, index, f"smoothed/{threat.spec}"),
        )
        proved = int(found.proved.sum())
        reading = proportion(
            f"certificates.smoothed@{threat.spec}", proved, n, bound="lower", threat=threat.spec,
            seed=subject.seed, alpha=self.alpha,
        )  # fmt: skip
        says = (
            f"Behind Gaussian noise of {self.sigma:g}, {proved} of {n} rows provably keep their "
            f"class within {threat.spec}, each with probability {found.confidence:g}; "
            f"{counted.rows / max(n, 1):,.0f} noisy copies a row were drawn to know it."
        )
        return Finding(severity=Severity.INFO, says=says, readings=(reading,))


class Counted:
    """A model that counts the rows it answers."""

    def __init__(self, model: Model) -> None:
        self.model, self.rows = model, 0

    def __call__(self, x: Tensor) -> Outputs:
        self.rows += len(x)
        return self.model(x)
