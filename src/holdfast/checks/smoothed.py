"""What is proved about the model behind noise: votes of noisy copies and their L2 radius."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.checks.rows import sample
from holdfast.core.catalog import register, resolve
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Count, Inner, Part, Positive, settings
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Certifier, Check
from holdfast.core.records import Cell, Figure, Finding, Severity, Subject
from holdfast.defend.smoothed import smoothed
from holdfast.run.reading import proportion
from holdfast.threats.norms import L2

_POINTS = 24


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

    Cost: `selection + samples` forwards of the certifier per row.

    Args:
        sigma: standard deviation of the noise, inputs in [0, 1].
        radii: shown as numbers, as shares of sigma; the curve shows all.
        certifier: bounds the share of votes.
        limit: at most so many rows, drawn once from the seed.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "What would be proved behind noise?"
    section: ClassVar = "certificates"

    sigma: Positive = 0.25
    radii: tuple[float, ...] = (0.5, 1.0)
    certifier: Part[Certifier] = "certifier:smoothing"
    limit: Count = 100
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        votes = resolve(self.certifier)
        each = getattr(votes, "samples", 1000) + getattr(votes, "selection", 100)
        n = min(len(subject.batches), self.limit) if subject.batches is not None else 0
        return float(each * n)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        batches = sample(subject, self.limit)
        x = batches.x
        if subject.model is None or not isinstance(x, Tensor):
            raise Unsupported("noise is added to one tensor of inputs")
        if not self.radii or not all(r > 0 for r in self.radii):
            raise ConfigError(f"SmoothedVotes.radii must be positive, got {self.radii}")
        found = resolve(self.certifier)(
            smoothed(subject.model, sigma=self.sigma),
            x,
            Untargeted(batches.y),
            L2(radius=self.sigma * min(self.radii)),
            dice=Dice(subject.seed, batches.index, "smoothed"),
        )
        if found.radius is None:
            raise Unsupported(f"{self.certifier} gives no radius")
        yield self._finding(subject, found.radius.detach().cpu(), found.confidence)

    def _finding(self, subject: Subject, radius: Tensor, confidence: float) -> Finding:
        n = len(radius)

        def share(reach: float) -> Cell:
            return float((radius >= reach).double().mean()) if n else None

        readings = []
        for reach in (self.sigma * r for r in self.radii):
            spec = L2(radius=reach).spec
            kept = int((radius >= reach).sum())
            readings.append(
                proportion(
                    f"certificates.smoothed@{spec}", kept, n, bound="lower", threat=spec,
                    seed=subject.seed, alpha=self.alpha,
                )
            )  # fmt: skip
        middle = float(radius.median()) if n else 0.0
        says = (
            f"Behind noise of {self.sigma:g}, half of the rows keep their class within an L2 "
            f"distance of {middle:.3g}; {int((radius <= 0).sum())} of {n} rows are wrong or "
            f"abstain. Each row holds with confidence {confidence:g}."
        )
        top = float(radius.max()) if n else 0.0
        reaches = torch.linspace(0, top, _POINTS).tolist()[1:] if top else []
        figure = Figure(
            name="smoothed",
            kind="lines",
            title="Proved behind noise",
            says=says,
            rows=tuple({"x": r, "y": share(r), "series": "certified"} for r in reaches),
            x="radius (l2, inputs in [0, 1])",
            y="rows proved (share)",
        )
        return Finding(
            severity=Severity.INFO,
            says=says,
            readings=tuple(readings),
            figures=(figure,) if reaches else (),
        )
