"""The envelope: robust accuracy against radius, attacked from above and certified from below.

Robust accuracy can only fall as the radius grows. So a number found by attack at one radius is an
upper bound for all larger ones, and a number proved at one radius is a lower bound for all smaller
ones: between the measured radii both curves are steps, and the truth lies between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.report.document import Document, figures, mapping, mappings, number, text, texts

LEVELS = 255


@dataclass(frozen=True)
class Point:
    """One measured radius: accuracy with its interval."""

    radius: float
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """The envelope of one norm; `steps` holds (radius, proved, attacked), `before` the baseline."""

    norm: str
    upper: tuple[Point, ...]
    lower: tuple[Point, ...]
    before: tuple[Point, ...] = ()
    levels: bool = False

    @property
    def ticks(self) -> list[float]:
        """Where the radius axis is labelled: whole levels of 255 if radii are said so."""
        if not self.levels:
            return [self.end * i / 4 for i in range(5)]
        step = max(1, round(self.end * LEVELS / 8))
        return [i / LEVELS for i in range(0, int(self.end * LEVELS + 1e-6) + 1, step)]

    def tick(self, radius: float) -> str:
        """The label of one place on the radius axis."""
        part = round(radius * LEVELS)
        return f"{part}/{LEVELS}" if self.levels and part else f"{radius:.3g}"

    @property
    def end(self) -> float:
        """The largest measured radius."""
        return max((p.radius for p in (*self.upper, *self.lower)), default=1.0) or 1.0

    @property
    def steps(self) -> list[tuple[float, float, float]]:
        """Corners (radius, proved, attacked) of both step curves, left to right."""
        radii = sorted({0.0, *(p.radius for p in (*self.upper, *self.lower))})
        corners: list[tuple[float, float, float]] = []
        for here, after in zip(radii, [*radii[1:], None], strict=True):
            if here > 0:  # no curve comes from the left of no change
                corners.append((here, _proved(self.lower, here), _attacked(self.upper, here, True)))
            beyond = after is not None  # nothing is said of radii that were not measured
            corners.append((here, _proved(self.lower, here, beyond), _attacked(self.upper, here)))
            if after is not None:
                corners.append((after, _proved(self.lower, after), _attacked(self.upper, here)))
        return list(dict.fromkeys(corners))


def _attacked(points: tuple[Point, ...], radius: float, before: bool = False) -> float:
    """The least accuracy found at a radius up to this one (before: strictly below it)."""
    known = [p.accuracy for p in points if p.radius < radius or (p.radius == radius and not before)]
    return min(known, default=1.0)


def _proved(points: tuple[Point, ...], radius: float, beyond: bool = False) -> float:
    """The largest accuracy proved at this radius or a larger one (beyond: strictly larger)."""
    known = [p.accuracy for p in points if p.radius > radius or (p.radius == radius and not beyond)]
    return max(known, default=0.0)


def _points(rows: Iterable[Document], norm: str, bound: str) -> tuple[Point, ...]:
    """The rows of one curve that carry numbers, by radius."""
    found = []
    for row in rows:
        radius, accuracy = number(row.get("radius")), number(row.get("accuracy"))
        if radius is None or accuracy is None:
            continue
        if text(row.get("norm")) == norm and text(row.get("bound")) == bound:
            low, high = number(row.get("low")), number(row.get("high"))
            low, high = accuracy if low is None else low, accuracy if high is None else high
            found.append(Point(radius, accuracy, low, high))
    return tuple(sorted(found, key=lambda p: p.radius))


def panels(results: Document, baseline: Document | None = None) -> list[Panel]:
    """One panel per norm, in order of appearance."""
    rows = [r for _, f in figures(results, "envelope") for r in mappings(f.get("rows"))]
    old = [r for _, f in figures(baseline or {}, "envelope") for r in mappings(f.get("rows"))]
    threats = mapping(results.get("subject")).get("threats")
    whole = {t.partition(":")[0] for t in texts(threats) if t.endswith(f"/{LEVELS}")}
    made = [
        Panel(
            norm, _points(rows, norm, "upper"), _points(rows, norm, "lower"),
            _points(old, norm, "upper"), norm.partition(":")[0] in whole,
        )
        for norm in dict.fromkeys(text(r.get("norm")) for r in rows)
    ]  # fmt: skip
    return [p for p in made if p.upper or p.lower]
