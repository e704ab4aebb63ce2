"""The two curves of the envelope: rows that stand under attack, and rows that are proved."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import resolve
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Part
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Attack, Certifier, Threat
from holdfast.core.records import Cell, Subject
from holdfast.ops.batch import chunks
from holdfast.run.reading import proportion
from holdfast.run.search import search

_CHUNK = 128  # rows certified at once


@dataclass(frozen=True, eq=False)
class Asked:
    """What the curves are about.

    Args:
        subject: whose model and seed.
        x: rows.
        y: `(B,)` labels.
        index: `(B,)` positions of the rows in the data set.
        threat: at its whole radius.
        radii: multiples of it, rising.
    """

    subject: Subject
    x: Tensor
    y: Tensor
    index: Tensor
    threat: Threat
    radii: tuple[float, ...]

    def attacked(self, attack: Part[Attack], right: Tensor) -> Tensor:
        """`(R, B)` bool: rows that stand at each radius; a broken row stays broken."""
        standing, curve = right.clone(), []
        for radius in self.radii:
            left = standing.nonzero().flatten()
            if len(left) and self.subject.model is not None:
                found = search(
                    resolve(attack),
                    self.subject.model,
                    self.x[left],
                    Untargeted(self.y[left]),
                    self.threat.scaled(radius).take(left),
                    dice=Dice(self.subject.seed, self.index[left], f"envelope/{radius:g}"),
                )
                standing[left] = (found.margin < 0).cpu()
            curve.append(standing.clone())
        return torch.stack(curve)

    def certified(self, certifier: Part[Certifier]) -> tuple[Tensor | None, str]:
        """`(R, B)` bool: rows proved at each radius; or None and the reason."""
        proved = torch.zeros(len(self.x), dtype=torch.bool)
        curve: list[Tensor] = []
        for radius in reversed(self.radii):
            for part in chunks(len(self.x), _CHUNK):
                left = torch.arange(len(self.x))[part][~proved[part]]
                if not len(left) or self.subject.model is None:
                    continue
                try:
                    found = resolve(certifier)(
                        self.subject.model,
                        self.x[left],
                        Untargeted(self.y[left]),
                        self.threat.scaled(radius).take(left),
                        dice=Dice(self.subject.seed, self.index[left], "envelope/certified"),
                    )
                except Unsupported as refused:
                    return None, refused.says
                proved[left] = found.proved.cpu()
            curve.append(proved.clone())
        return torch.stack(curve[::-1]), ""


def points(
    series: str,
    alive: Tensor,
    threat: Threat,
    radii: tuple[float, ...],
    right: Tensor,
    alpha: float,
) -> list[dict[str, Cell]]:
    """The points of one curve for the figure, from radius 0 on.

    Args:
        series: `attacked` (an upper bound) or `certified` (a lower one).
        alive: `(R, B)` bool, rows that count at each radius.
        threat: at its whole radius.
        radii: multiples of it.
        right: `(B,)` bool, rows that are right without a change.
        alpha: intervals have coverage 1 - alpha.
    """
    upper = series == "attacked"
    unit = float(getattr(threat, "radius", 1.0))
    known = [(0.0, right if upper else right & alive[0])]
    known += [(r * unit, a) for r, a in zip(radii, alive, strict=True)]
    rows: list[dict[str, Cell]] = []
    for radius, mask in known:
        r = proportion("point", int(mask.sum()), len(mask), alpha=alpha)
        rows.append(
            {
                "radius": radius,
                "accuracy": r.value,
                "low": r.low,
                "high": r.high,
                "bound": "upper" if upper else "lower",
                "series": series,
                "norm": threat.spec.split(":")[0],
            }
        )
    return rows
