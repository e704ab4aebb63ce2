"""A tiny drawing of one number: its track, its interval, its point and, for gates, its limit."""

from __future__ import annotations

from markupsafe import Markup

from holdfast.report.numbers import Shown

_WIDTH = 100.0


def span(shown: Shown, limit: float | None = None) -> tuple[float, float]:
    """The ends of the track: 0 to 1 for shares, else from 0 (or below) to a little above."""
    values = [v for v in (*shown.raw, limit) if v is not None]
    if shown.unit in {"share", "probability"} and all(0.0 <= v <= 1.0 for v in values):
        return 0.0, 1.0
    low, high = min([0.0, *values]), max([0.0, *values])
    return (low, high * 1.15) if high > low else (0.0, 1.0)


def whisker(shown: Shown, limit: float | None = None, relation: str = "") -> Markup:
    """An SVG of 100 x 14 units that stretches with its box; empty without a value.

    With a limit the allowed side of it is tinted, so that the eye sees interval against demand.
    """
    value, low, high = shown.raw
    if value is None:
        return Markup("")
    start, end = span(shown, limit)

    def at(v: float) -> str:
        return f"{_WIDTH * min(1.0, max(0.0, (v - start) / (end - start))):.2f}%"

    def wide(a: float, b: float) -> str:
        part = (min(end, b) - max(start, a)) / (end - start)
        return f"{_WIDTH * max(0.012, part):.2f}%"

    parts = [Markup('<rect class="track" x="0" y="6" width="100%" height="2" rx="1"/>')]
    if limit is not None:
        left, right = (limit, end) if relation.startswith(">") else (start, limit)
        box = Markup('<rect class="allowed" x="{}" y="6" width="{}" height="2" rx="1"/>')
        parts.append(box.format(at(left), wide(left, right)))
    if low is not None and high is not None:
        box = Markup('<rect class="range" x="{}" y="4" width="{}" height="6" rx="3"/>')
        parts.append(box.format(at(low), wide(low, high)))
    parts.append(Markup('<circle class="point" cx="{}" cy="7" r="4"/>').format(at(value)))
    if limit is not None:
        line = Markup('<line class="limit" x1="{0}" x2="{0}" y1="0" y2="14"/>')
        parts.append(line.format(at(limit)))
    head = Markup('<svg class="whisker" width="100%" height="14" aria-hidden="true">')
    return head + Markup("").join(parts) + Markup("</svg>")
