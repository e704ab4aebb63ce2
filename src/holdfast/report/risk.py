"""The risk map: what share of inputs goes wrong, by family of trouble and by severity.

It is derived, never measured anew: attacks give one cell per radius, corruptions one per level,
everything else one cell for the whole strip. What exceeds the present knowledge stays empty.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from holdfast.report.document import Document, figures, mappings, number, readings, text
from holdfast.report.envelope import panels

LEVELS = 5
_MOST, _ROW, _GAP = 16, 30, 6
_DEEPEST = 9
_WHOLE = {
    "clean.accuracy": "Clean inputs", "clean.worst_class": "Weakest class",
    "slices.worst": "Weakest slice", "calibration.ece": "Overconfidence",
    "privacy.advantage": "Membership leak",
}  # fmt: skip


@dataclass(frozen=True)
class Strip:
    """One family: its error share at each level (None: unknown) and the section that shows it."""

    family: str
    cells: tuple[float | None, ...]
    section: str

    @property
    def worst(self) -> float:
        """The largest known error share."""
        return max((c for c in self.cells if c is not None), default=0.0)


def level(share: float) -> int:
    """The colour step 0 to 9 of an error share."""
    return min(_DEEPEST, max(0, int(share * (_DEEPEST + 1))))


def _attacks(results: Document) -> list[Strip]:
    """One strip per norm from the attacked half of the envelope, by radius."""
    strips = []
    doubted = {
        text(r.get("threat")).partition(":")[0]
        for section, r in readings(results)
        if section == "envelope" and r.get("flags")
    }
    for panel in panels(results):
        points = [p for p in panel.upper if p.radius > 0]
        if not points:
            continue
        last = len(points) - 1
        if last >= LEVELS:
            points = [points[round(i * last / (LEVELS - 1))] for i in range(LEVELS)]
        cells = [1 - p.accuracy for p in points]
        doubt = ", doubted" if panel.norm in doubted else ""
        strips.append(Strip(f"Attacks, {panel.norm}{doubt}", tuple(cells), "envelope"))
    return strips


def low_is_bad(figure: Document) -> bool:
    """Whether a heat map holds accuracies (small is bad) rather than errors."""
    words = " ".join(text(figure.get(k)) for k in ("title", "x", "y", "says")).lower()
    return "accura" in words or not any(w in words for w in ("error", "risk", "failure"))


def _corruptions(results: Document) -> list[Strip]:
    """One strip per row of each heat map of the corruptions, columns as levels."""
    strips: list[Strip] = []
    for section, figure in figures(results, "heat"):
        if section != "corruptions":
            continue
        cells: dict[str, dict[float, float]] = {}
        for row in mappings(figure.get("rows")):
            column, value = number(numeric(row.get("column"))), number(row.get("value"))
            if column is not None and value is not None:
                error = 1 - value if low_is_bad(figure) else value
                cells.setdefault(text(row.get("row"), 60), {})[column] = error
        columns = sorted({c for row in cells.values() for c in row})[-LEVELS:]
        strips += [
            Strip(name, tuple(row.get(c) for c in columns), section) for name, row in cells.items()
        ]
    return strips


def numeric(value: object) -> object:
    """A level written as text, as a number."""
    if isinstance(value, str):
        try:
            return float(value.removeprefix("k").strip())
        except ValueError:
            return None
    return value


def _whole(results: Document) -> list[Strip]:
    """One cell for numbers that know no severity."""
    strips = []
    for section, reading in readings(results):
        name, value = text(reading.get("name")), number(reading.get("value"))
        family = _WHOLE.get(name.partition("@")[0])
        if family is None or value is None:
            continue
        error = value if text(reading.get("better")) == "lower" else 1 - value
        strips.append(Strip(family, (error,), section))
    return list(dict.fromkeys(strips))


def strips(results: Document) -> list[Strip]:
    """All strips, worst first, at most sixteen."""
    found = [*_attacks(results), *_corruptions(results), *_whole(results)]
    return sorted(found, key=lambda s: -s.worst)[:_MOST]


def _cell(strip: Strip, index: int, y: int) -> Markup:
    """One coloured cell with its number; widths are percentages, so text keeps its size."""
    wide = 64.0 / len(strip.cells)
    x, share = 36.0 + wide * index, strip.cells[index]
    if share is None:
        return Markup('<rect class="cell none" x="{}%" y="{}" width="{}%" height="{}"/>').format(
            f"{x + 0.3:.2f}", y, f"{wide - 0.6:.2f}", _ROW - 2
        )
    box = Markup(
        '<rect class="cell h{k}" x="{x}%" y="{y}" width="{w}%" height="{h}" rx="4"/>'
        '<text class="t{k}" x="{m}%" y="{t}" text-anchor="middle">{v}</text>'
    )
    return box.format(
        k=level(share),
        x=f"{x + 0.3:.2f}",
        y=y,
        w=f"{wide - 0.6:.2f}",
        h=_ROW - 2,
        m=f"{x + wide / 2:.2f}",
        t=y + 19,
        v=f"{100 * share:.0f}%",
    )


def drawing(rows: list[Strip]) -> Markup:
    """The map as inline SVG, each family a link to its section."""
    height = (_ROW + _GAP) * len(rows) + 26
    head = Markup(
        '<svg class="drawing risk" width="100%" height="{}" role="img" aria-label="Error share by '
        'family and severity">'
    ).format(height)
    parts = [head]
    tick = Markup('<text class="head" x="{}%" y="14" text-anchor="{}">{}</text>')
    parts += [tick.format("36.5", "start", "mild"), tick.format("99.5", "end", "severe")]
    for i, strip in enumerate(rows):
        y = 24 + (_ROW + _GAP) * i
        name = strip.family if len(strip.family) <= 22 else strip.family[:21] + "…"
        link = Markup(
            '<a href="#{}"><text class="family" x="34.5%" y="{}" text-anchor="end">{}</text></a>'
        )
        parts.append(link.format(strip.section, y + 19, name))
        parts += [_cell(strip, k, y) for k in range(len(strip.cells))]
    return Markup("").join(parts) + Markup("</svg>")
