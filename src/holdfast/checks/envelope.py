"""How does accuracy fall with the radius: attacked from above, certified from below?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

from torch import Tensor

from holdfast.checks.curves import Asked, points
from holdfast.checks.given import model_of
from holdfast.checks.local import local, threats
from holdfast.checks.rows import sample
from holdfast.checks.signs import signs
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import Contradiction
from holdfast.core.fields import Count, Inner, Part, settings
from holdfast.core.goal import Untargeted
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Attack, Certifier, Check, Threat
from holdfast.core.records import Figure, Finding, Severity, Subject
from holdfast.run.forward import correct, outputs
from holdfast.run.reading import proportion

PROBES = 64  # rows that are looked at for signs of masked gradients


@register("check", says="Accuracy against radius, attacked from above and certified from below.")
@settings
class Envelope(Check):
    """Accuracy against radius: an attacked curve above, a certified one below.

    The truth lies between the curves. A row broken at a smaller radius is broken at every
    larger one and is not attacked again; a row proved at a larger radius is proved at every
    smaller one. Where the curves cross, the audit stops with both witnesses.

    The attacked curve is the pointwise worst of a minimum-norm attack, one run of which says for
    every radius what it breaks, and of an attack that is run at each radius on what is left.

    Cost: the minimum-norm attack once, the other at each radius on the rows that still stand, one
    bound per row and radius.

    Args:
        radii: as multiples of the radius of each threat of the audit, rising.
        attack: bounds accuracy from above, at each radius; a minimum-norm attack in its place
            is run once and alone.
        smallest: the minimum-norm attack that goes first; None, and threats whose changes have
            no length, leave it out.
        both: run `attack` at each radius even where the minimum-norm attack has said what it
            breaks there: a little stronger, and several times as dear.
        certifier: bounds accuracy from below.
        limit: at most so many rows, drawn once from the seed.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "How does accuracy fall with the radius?"
    section: ClassVar = "envelope"

    radii: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0, 1.5, 2.0)
    attack: Part[Attack] = "attack:pgd"
    smallest: Part[Attack] | None = "attack:deepfool-fmn"
    both: bool = True
    certifier: Part[Certifier] = "certifier:crown"
    limit: Count = 500
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        n = len(subject.batches) if subject.batches is not None else 0
        each = (60.0 if self.both or self.smallest is None else 30.0) * len(self.radii)
        return (each + 90.0) * min(n, self.limit) * len(subject.threats)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        batches = sample(subject, self.limit)
        model, x = model_of(subject), one_tensor(batches.x, "an envelope")
        right = correct(outputs(model, x), batches.y)
        for threat in threats(subject):
            yield self._finding(subject, x, batches.y, batches.index, threat, right)

    def _finding(
        self, subject: Subject, x: Tensor, y: Tensor, index: Tensor, threat: Threat, right: Tensor
    ) -> Finding:
        about = Asked(subject, x, y, index, threat, self.radii)
        attacked = about.attacked(self.attack, self.smallest, right, both=self.both)
        certified, reason = about.certified(self.certifier)
        if certified is not None:
            self._agree(attacked, certified, about)
        rows = points("attacked", attacked, threat, self.radii, right, self.alpha)
        if certified is not None:
            rows += points("certified", certified, threat, self.radii, right, self.alpha)
        flags = self._doubts(subject, x, y, index, threat)
        says = self._says(attacked, right, threat)
        says += f" Nothing is proved: {reason}." if reason else ""
        if flags:
            names = ", ".join(f.partition(":")[0] for f in flags)
            says += f" Signs of masked gradients ({names}): the attacked curve may lie too high."
        norm = threat.spec.split(":")[0]
        figure = Figure(
            name=f"envelope-{threat.spec}",
            kind="envelope",
            title=f"Envelope, {threat.spec}",
            says=says,
            rows=tuple(rows),
            x=f"radius ({norm})",
            y="accuracy (share of rows)",
        )
        whole = self.radii.index(1.0) if 1.0 in self.radii else len(self.radii) - 1
        spec = threat.spec if self.radii[whole] == 1 else threat.scaled(self.radii[whole]).spec
        count = partial(proportion, n=len(x), alpha=self.alpha, threat=spec, seed=subject.seed)
        high = int(attacked[whole].sum())
        readings = [count(f"envelope.attacked@{spec}", high, bound="upper", flags=flags)]
        if certified is not None:
            low = int(certified[whole].sum())
            readings.append(count(f"envelope.certified@{spec}", low, bound="lower"))
        return Finding(
            severity=Severity.INFO, says=says, readings=tuple(readings), figures=(figure,)
        )

    def _agree(self, attacked: Tensor, certified: Tensor, about: Asked) -> None:
        """Stop with both witnesses where a row is proved and broken at one radius."""
        if not bool((certified & ~attacked).any()):
            return
        k, row = (certified & ~attacked).nonzero()[0].tolist()
        at = int(about.index[row])
        raise Contradiction(
            f"row {at} is proved and broken at {self.radii[k]:g} x {about.threat.spec}",
            witnesses={
                "row": at,
                "certifier": str(self.certifier),
                "attack": f"{self.attack}, {self.smallest}",
            },
            fix="One of the two methods has a bug: please report it with this model.",
        )

    def _says(self, attacked: Tensor, right: Tensor, threat: Threat) -> str:
        """Where half of the accuracy is gone."""
        half = 0.5 * right.float().mean()
        for radius, alive in zip(self.radii, attacked, strict=True):
            if alive.float().mean() < half:
                return f"At least half of the accuracy is gone at {threat.scaled(radius).spec}."
        return f"No attack takes half of the accuracy up to {threat.scaled(self.radii[-1]).spec}."

    def _doubts(
        self, subject: Subject, x: Tensor, y: Tensor, index: Tensor, threat: Threat
    ) -> tuple[str, ...]:
        """Signs on a few rows that the attacked curve cannot be believed."""
        if subject.model is None or not len(x):
            return ()
        few = slice(0, PROBES)
        dice = Dice(subject.seed, index[few], "envelope/signs")
        near = local(threat.take(few), x[few], dice)
        seen = signs(subject.model, x[few], Untargeted(y[few]), near, dice)
        return tuple(f"{s.name}: {s.says}" for s in seen if not s.passed)
