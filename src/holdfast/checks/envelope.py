"""How does accuracy fall with the radius: attacked from above, certified from below?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.checks.rows import sample
from holdfast.core.catalog import register, resolve
from holdfast.core.dice import Dice
from holdfast.core.errors import Contradiction, Unsupported
from holdfast.core.fields import Count, Inner, Part, settings
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Attack, Certifier, Check, Threat
from holdfast.core.records import Cell, Figure, Finding, Severity, Subject
from holdfast.ops.batch import chunks
from holdfast.run.forward import correct, outputs
from holdfast.run.reading import proportion
from holdfast.run.search import search


@register("check", says="Accuracy against radius, attacked from above and certified from below.")
@settings
class Envelope(Check):
    """Accuracy against radius: an attacked curve above, a certified one below.

    The truth lies between the curves. A row broken at a smaller radius is broken at every
    larger one and is not attacked again; a row proved at a larger radius is proved at every
    smaller one. Where the curves cross, the audit stops with both witnesses.

    Cost: the attack at each radius on the rows that still stand, one bound per row and radius.

    Args:
        radii: as multiples of the radius of each threat of the audit, rising.
        attack: bounds accuracy from above.
        certifier: bounds accuracy from below.
        limit: at most so many rows, drawn once from the seed.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "How does accuracy fall with the radius?"
    section: ClassVar = "envelope"

    radii: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0, 1.5, 2.0)
    attack: Part[Attack] = "attack:pgd"
    certifier: Part[Certifier] = "certifier:crown"
    limit: Count = 500
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        n = len(subject.batches) if subject.batches is not None else 0
        return 60.0 * min(n, self.limit) * len(self.radii) * len(subject.threats)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        batches = sample(subject, self.limit)
        if subject.model is None or not isinstance(batches.x, Tensor):
            raise Unsupported("an envelope needs one tensor of inputs")
        right = correct(outputs(subject.model, batches.x), batches.y)
        for threat in subject.threats:
            yield self._finding(subject, batches.x, batches.y, batches.index, threat, right)

    def _finding(
        self, subject: Subject, x: Tensor, y: Tensor, index: Tensor, threat: Threat, right: Tensor
    ) -> Finding:
        attacked = self._attacked(subject, x, y, index, threat, right)
        certified, reason = self._certified(subject, x, y, index, threat)
        if certified is not None and bool((certified & ~attacked).any()):
            k, row = (certified & ~attacked).nonzero()[0].tolist()
            raise Contradiction(
                f"row {int(index[row])} is proved and broken at {self.radii[k]:g} x {threat.spec}",
                witnesses={
                    "row": int(index[row]),
                    "certifier": str(self.certifier),
                    "attack": str(self.attack),
                },
                fix="One of the two methods has a bug: please report it with this model.",
            )
        rows = self._rows("attacked", "upper", attacked, threat, right)
        if certified is not None:
            rows += self._rows("certified", "lower", certified, threat, right)
        half = next(
            (
                r
                for r, alive in zip(self.radii, attacked, strict=True)
                if alive.float().mean() < 0.5 * right.float().mean()
            ),
            None,
        )
        says = (
            f"Half of the accuracy is gone at {half:g} times {threat.spec}."
            if half
            else f"More than half of the accuracy survives up to "
            f"{self.radii[-1]:g} times {threat.spec}."
        )
        says += f" Nothing is proved: {reason}." if reason else ""
        at_one = self.radii.index(1.0) if 1.0 in self.radii else len(self.radii) - 1
        figure = Figure(
            name=f"envelope-{threat.spec}",
            kind="envelope",
            title=f"Envelope, {threat.spec}",
            says=says,
            rows=tuple(rows),
            x=f"radius ({threat.spec.split(':')[0]})",
            y="accuracy (share of rows)",
        )
        reading = proportion(
            f"envelope.attacked@{threat.scaled(self.radii[at_one]).spec}",
            int(attacked[at_one].sum()),
            len(x),
            bound="upper",
            alpha=self.alpha,
            threat=threat.scaled(self.radii[at_one]).spec,
            seed=subject.seed,
        )
        return Finding(severity=Severity.INFO, says=says, readings=(reading,), figures=(figure,))

    def _attacked(
        self, subject: Subject, x: Tensor, y: Tensor, index: Tensor, threat: Threat, right: Tensor
    ) -> Tensor:
        """`(R, B)` bool: rows that stand at each radius."""
        standing, curve = right.clone(), []
        for radius in self.radii:
            left = standing.nonzero().flatten()
            near = threat.scaled(radius).take(left)
            dice = Dice(subject.seed, index[left], f"envelope/{radius:g}")
            if len(left) and subject.model is not None:
                found = search(
                    resolve(self.attack),
                    subject.model,
                    x[left],
                    Untargeted(y[left]),
                    near,
                    dice=dice,
                )
                standing[left] = (found.margin < 0).cpu()
            curve.append(standing.clone())
        return torch.stack(curve)

    def _certified(
        self, subject: Subject, x: Tensor, y: Tensor, index: Tensor, threat: Threat
    ) -> tuple[Tensor | None, str]:
        """`(R, B)` bool: rows proved at each radius; or None and the reason."""
        proved = torch.zeros(len(x), dtype=torch.bool)
        curve: list[Tensor] = []
        for radius in reversed(self.radii):
            for part in chunks(len(x), 128):
                left = torch.arange(len(x))[part][~proved[part]]
                if not len(left) or subject.model is None:
                    continue
                near = threat.scaled(radius).take(left)
                try:
                    found = resolve(self.certifier)(
                        subject.model,
                        x[left],
                        Untargeted(y[left]),
                        near,
                        dice=Dice(subject.seed, index[left], "envelope/certified"),
                    )
                except Unsupported as refused:
                    return None, refused.says
                proved[left] = found.proved.cpu()
            curve.append(proved.clone())
        return torch.stack(curve[::-1]), ""

    def _rows(
        self, series: str, bound: str, alive: Tensor, threat: Threat, right: Tensor
    ) -> list[dict[str, Cell]]:
        unit = getattr(threat, "radius", 1.0)
        start = right if bound == "upper" else right & alive[0]
        points = [(0.0, right if bound == "upper" else start)]
        points += [(r * unit, a) for r, a in zip(self.radii, alive, strict=True)]
        rows: list[dict[str, Cell]] = []
        for radius, mask in points:
            r = proportion("point", int(mask.sum()), len(mask), alpha=self.alpha)
            rows.append(
                {
                    "radius": radius,
                    "accuracy": r.value,
                    "low": r.low,
                    "high": r.high,
                    "bound": bound,
                    "series": series,
                    "norm": threat.spec.split(":")[0],
                }
            )
        return rows
