"""Print a number with everything that belongs to it: interval, n, kind of bound, threat, flags."""

from __future__ import annotations

import math
from dataclasses import dataclass

from holdfast.report.document import Document, number, text, texts
from holdfast.report.words import BOUNDS, label, split

_COUNTS = {"count", "rows", "pixels", "passes", "samples", "steps"}
_PLAIN = {"", "probability", "share", "score", "radius", "ratio", "1"}
_TINY, _HUGE = 1e-3, 1e9
_DIGITS = 3


def plain(value: float) -> str:
    """Three significant digits, without an exponent where a person would not write one."""
    size = abs(value)
    if size != 0 and (size < _TINY or size >= _HUGE):
        return f"{value:.2e}"
    if value == int(value) and size < _HUGE:
        return f"{value:,.0f}"
    return f"{value:.3g}" if size < 100 else f"{value:,.0f}"


def bare(value: float | None, unit: str) -> str:
    """The number alone: shares in percent without the sign."""
    if value is None:
        return "?"
    if unit == "share":
        return f"{100 * value:.1f}"
    return f"{value:,.0f}" if unit in _COUNTS and value == int(value) else plain(value)


def amount(value: float | None, unit: str) -> str:
    """The number with its unit; shares in percent."""
    if value is None:
        return "not determined"
    if unit == "share":
        return f"{100 * value:.1f}%"
    return bare(value, unit) + (f" {unit}" if unit not in _PLAIN else "")


def interval(low: float | None, high: float | None, unit: str) -> str:
    """`[28.4, 34.1]`; an end that is not known prints as a question mark.

    Both ends have the decimals of the larger one, so that neither seems the better known.
    """
    if low is None and high is None:
        return "no interval"
    ends = [bare(low, unit), bare(high, unit)]
    if not any(e == "?" or "e" in e for e in ends):
        most = max(len(e.partition(".")[2]) for e in ends)
        sizes = [abs(v) for v in (low, high) if v]
        if most and sizes and unit not in (*_COUNTS, "share"):
            few = min(most, max(0, _DIGITS - 1 - math.floor(math.log10(max(sizes)))))
            ends = [f"{v:,.{few}f}" for v in (low, high) if v is not None]
    return f"[{ends[0]}, {ends[1]}]"


def limit(value: float | None, relation: str, unit: str) -> str:
    """What a gate asks for: `≥40%`."""
    sign = {">=": "≥", "<=": "≤", ">": ">", "<": "<"}.get(relation, "")
    if value is None:
        return f"{sign}?"
    return f"{sign}{100 * value:.4g}%" if unit == "share" else f"{sign}{amount(value, unit)}"


@dataclass(frozen=True)
class Shown:
    """One reading or gate value, ready to print; `raw` ends stand beside for the drawing."""

    name: str
    label: str
    value: str
    interval: str
    n: str
    bound: str
    threat: str
    unit: str
    flags: tuple[str, ...]
    better: str
    seed: str
    raw: tuple[float | None, float | None, float | None]

    @property
    def number(self) -> str:
        """The value without its unit; shares keep their sign."""
        return self.value.removesuffix(f" {self.unit}")

    @property
    def measure(self) -> str:
        """The unit where it is a word of its own."""
        return self.unit if self.value.endswith(f" {self.unit}") else ""

    @property
    def full(self) -> str:
        """The number in one line with all that qualifies it."""
        parts = [f"{self.value} {self.interval}", self.bound, f"n={self.n}"]
        parts += [self.threat] if self.threat else []
        return ", ".join([*parts, *self.flags])


def shown(reading: Document) -> Shown:
    """A reading (or a gate, which bears the same fields) made ready to print."""
    name, unit = text(reading.get("name"), 200), text(reading.get("unit", "share"), 40)
    value, low, high = (number(reading.get(k)) for k in ("value", "low", "high"))
    n = number(reading.get("n"))
    return Shown(
        name=name,
        label=label(name),
        value=amount(value, unit),
        interval=interval(low, high, unit),
        n="?" if n is None else f"{n:,.0f}",
        bound=BOUNDS.get(text(reading.get("bound")), "estimate"),
        threat=text(reading.get("threat"), 120) or split(name)[1],
        unit=unit,
        flags=texts(reading.get("flags")),
        better=text(reading.get("better")),
        seed=text(reading.get("seed"), 30),
        raw=(value, low, high),
    )
