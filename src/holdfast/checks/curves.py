"""The two curves of the envelope: rows that stand under attack, and rows that are proved."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import resolve, with_settings
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

    def attacked(
        self,
        attack: Part[Attack],
        smallest: Part[Attack] | None,
        right: Tensor,
        *,
        both: bool = True,
    ) -> Tensor:
        """`(R, B)` bool: rows that stand at each radius; a broken row stays broken.

        One run of a minimum-norm attack says for every radius what it breaks; an attack of
        another kind then runs at each radius, on the rows that still stand there.

        Args:
            attack: of any kind.
            smallest: a minimum-norm attack that goes first, if it can measure the threat; not
                needed where `attack` is one.
            right: `(B,)` bool, rows that are right without a change.
            both: whether `attack` runs even where `smallest` could measure the threat.
        """
        curve, chosen = right.expand(len(self.radii), -1).clone(), resolve(attack)
        if shrinks(chosen):
            return self._at_once(chosen, curve)
        if smallest is not None:
            with suppress(Unsupported):
                curve = self._at_once(resolve(smallest), curve)
                if not both:
                    return curve
        return self._by_radius(chosen, curve)

    def _at_once(self, attack: Attack, curve: Tensor) -> Tensor:
        """The curve less what the smallest winning changes, of one run, break at each radius."""
        left = curve[-1].nonzero().flatten()
        if not len(left) or self.subject.model is None:
            return curve
        x, threat = self.x[left], self.threat.take(left)
        found = search(
            with_settings(attack, smallest=True),
            self.subject.model,
            x,
            Untargeted(self.y[left]),
            threat.scaled(self.radii[-1]),
            dice=Dice(self.subject.seed, self.index[left], "envelope/smallest"),
        )
        curve = curve.clone()
        for k, radius in enumerate(self.radii):
            won = (found.margin >= 0) & (threat.scaled(radius).size(x, found.change) <= 1)
            curve[k, left] &= ~won.cpu()
        return curve

    def _by_radius(self, attack: Attack, curve: Tensor) -> Tensor:
        """The curve less what the attack breaks at each radius, of the rows that stand there.

        Where one change serves all rows they are all attacked, and what one change broke at a
        smaller radius is only bettered by another that breaks more: the two do not add up.
        """
        curve, shared = curve.clone(), bool(getattr(self.threat, "coupled", False))
        for k, radius in enumerate(self.radii):
            left = torch.arange(len(self.x)) if shared else curve[k].nonzero().flatten()
            if not bool(curve[k].any()) or self.subject.model is None:
                continue
            found = search(
                attack,
                self.subject.model,
                self.x[left],
                Untargeted(self.y[left]),
                self.threat.scaled(radius).take(left),
                dice=Dice(self.subject.seed, self.index[left], f"envelope/{radius:g}"),
            )
            stands = (found.margin < 0).cpu()
            if not shared:
                curve[k:, left] &= stands
            elif stands.sum() < curve[k].sum():
                curve[k:] = stands
        return curve

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


def shrinks(attack: object) -> bool:
    """Whether one run of an attack says for every radius what it breaks."""
    return hasattr(attack, "smallest")


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
