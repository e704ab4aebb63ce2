"""What is proved? A ladder of certifiers, checked against an attack on what they proved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Inner, Part, settings
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Attack, Batch, Certifier, Check, Threat
from holdfast.core.records import Cell, Certificate, Figure, Finding, Severity, Subject
from holdfast.run.bracket import witness
from holdfast.run.reading import proportion


@register("check", says="Rows on which no admissible change can win, proved by bounds.")
@settings
class Certificates(Check):
    """Rows on which no admissible change can win, proved by a ladder of bounds.

    Each rung is tried only on rows the cheaper rungs left open. A seeded share of the proved
    rows is attacked; an attack that succeeds there aborts the audit with both witnesses.

    Cost: about two passes per row and layer for interval bounds, one per row and output way
    and layer for linear bounds, and the witness attack.

    Args:
        certifiers: rungs, from cheap to tight.
        attack: tries to break what was proved.
        alpha: intervals have coverage 1 - alpha.
        radii: radii tried, as shares of the radius of each threat of the audit.
    """

    question: ClassVar = "What is proved?"
    section: ClassVar = "certificates"

    certifiers: tuple[Part[Certifier], ...] = ("certifier:ibp", "certifier:crown")
    attack: Part[Attack] = "attack:pgd"
    alpha: Inner = 0.05
    radii: tuple[float, ...] = (0.25, 1.0)

    def cost(self, subject: Subject) -> float:
        n = len(subject.batches) if subject.batches is not None else 0
        return 40.0 * n * len(subject.threats) * len(self.radii)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        if subject.batches is None or subject.model is None:
            return
        refusals: list[str] = []
        for threat in subject.threats:
            for share in self.radii:
                try:
                    yield self._finding(subject, threat.scaled(share))
                except Unsupported as refused:
                    refusals.append(f"{threat.spec}: {refused.says}")
                    break
        if refusals and len(refusals) == len(subject.threats):
            raise Unsupported("; ".join(refusals), fix="Audit a net of supported layers.")
        for reason in refusals:
            yield Finding(severity=Severity.INFO, says=f"Nothing is proved for {reason}.")

    def _finding(self, subject: Subject, threat: Threat) -> Finding:
        if subject.batches is None or subject.model is None:
            raise Unsupported("certificates need a model and rows")
        batches = subject.batches
        n = len(batches)
        proved = torch.zeros(n, dtype=torch.bool)
        rungs: list[dict[str, Cell]] = []
        offset = 0
        for batch in batches:
            here = proved[offset : offset + len(batch.y)]
            for number, part in enumerate(self.certifiers):
                gained = self._climb(resolve(part), subject, batch, threat, here)
                here |= gained
                if number == len(rungs):
                    rungs.append({"method": str(part), "proved on top": 0})
                rungs[number]["proved on top"] = int(rungs[number]["proved on top"] or 0) + int(
                    gained.sum()
                )
            offset += len(batch.y)
        reading = proportion(
            f"certificates.proved@{threat.spec}", int(proved.sum()), n, bound="lower",
            threat=threat.spec, seed=subject.seed, alpha=self.alpha,
        )  # fmt: skip
        says = f"On {int(proved.sum())} of {n} rows no change within {threat.spec} can win: proved."
        figure = Figure(
            name=f"ladder-{threat.spec}", kind="table", title=f"Ladder of proofs, {threat.spec}",
            says=says, rows=tuple(rungs),
        )  # fmt: skip
        return Finding(
            severity=Severity.GOOD if proved.any() else Severity.WARNING,
            says=says, readings=(reading,), figures=(figure,),
        )  # fmt: skip

    def _climb(
        self, certifier: Certifier, subject: Subject, batch: Batch, threat: Threat, done: Tensor
    ) -> Tensor:
        """`(B,)` bool: rows that this rung proves and no earlier one had."""
        left = (~done).nonzero().flatten()
        gained = torch.zeros_like(done)
        if subject.model is None or not isinstance(batch.x, Tensor) or not len(left):
            return gained
        x, goal, near = batch.x[left], Untargeted(batch.y[left]), threat.take(left)
        dice = Dice(subject.seed, batch.index[left], "certificates")
        certificate: Certificate = certifier(subject.model, x, goal, near, dice=dice)
        witness(
            certificate, subject.model, x, goal, near, attack=resolve(self.attack),
            dice=dice.spawn("witness"),
        )  # fmt: skip
        gained[left] = certificate.proved.cpu()
        return gained
