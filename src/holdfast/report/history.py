"""Successive versions of a model: each gated number as a small drawing over the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from holdfast.report.change import Change
from holdfast.report.document import Document, mapping, mappings, number, text
from holdfast.report.numbers import amount, interval
from holdfast.report.parts import Section, section
from holdfast.report.screen import Gate, gates
from holdfast.report.tables import Table

_MOST = 24
Ends = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class Line:
    """One number over the versions: where it began, where it stands, how it went."""

    gate: Gate
    first: str
    now: str
    interval: str
    moved: str
    drawing: Markup


def _ends(version: Document, name: str) -> Ends:
    """Value, low and high of a number in one version."""
    held = mapping(version.get("numbers")).get(name)
    row = [number(v) for v in held] if isinstance(held, list | tuple) else []
    return (row[0], row[1], row[2]) if len(row) == len(("value", "low", "high")) else (None,) * 3


def sparkline(points: Sequence[Ends], limit: float | None, says: str) -> Markup:
    """Values as a line over their band of intervals, the latest as a dot, the limit dashed.

    The drawing stretches with its box: lines keep their width, dots are ends of lines.
    """
    known = [v for ends in points for v in ends if v is not None]
    known += [] if limit is None else [limit]
    low, high = min(known), max(known)
    room = 0.12 * (high - low) or max(abs(high), 1.0) * 0.1
    low, high = low - room, high + room
    step = 96.0 / max(1, len(points) - 1)

    def at(place: int, value: float) -> str:
        return f"{2 + place * step:.2f},{40 * (high - value) / (high - low):.2f}"

    line = [at(k, e[0]) for k, e in enumerate(points) if e[0] is not None]
    ends = [(k, e[1], e[2]) for k, e in enumerate(points)]
    up = [at(k, b) for k, a, b in ends if a is not None and b is not None]
    down = [at(k, a) for k, a, b in ends if a is not None and b is not None]
    parts = [Markup('<polygon class="band" points="{}"/>').format(" ".join([*up, *down[::-1]]))]
    if limit is not None:
        y = at(0, limit).partition(",")[2]
        parts.append(Markup('<line class="limit" x1="0" x2="100" y1="{0}" y2="{0}"/>').format(y))
    parts.append(Markup('<polyline points="{}"/>').format(" ".join(line)))
    dot = Markup('<polyline class="{}" points="{} {}"/>')
    parts += [dot.format("dot", p, p) for p in line[:-1]]
    parts += [dot.format("dot now", p, p) for p in line[-1:]]
    head = Markup(
        '<svg class="spark" viewBox="0 0 100 40" preserveAspectRatio="none" role="img" '
        'aria-label="{}">'
    ).format(says)
    return head + Markup("").join(parts) + Markup("</svg>")


def _moved(first: Ends, last: Ends, better: str, unit: str) -> tuple[str, str]:
    """How far a number moved from the first version to the last, and to what; sure if apart."""
    old, new = first[0], last[0]
    if old is None or new is None or old == new:
        return "", "unchanged"
    size = f"{'+' if new > old else '−'}{amount(abs(new - old), unit).rstrip('%')}"
    size += " pt" if unit == "share" else ""
    ends = (first[1], first[2], last[1], last[2])
    if None in ends or not (ends[1] < ends[2] or ends[3] < ends[0]):  # type: ignore[operator]
        return size, "within noise"
    return size, "better" if (new > old) == (better == "higher") else "worse"


def lines(results: Document, run: Document) -> list[Line]:
    """A line for every gated number that at least two versions know, in the order of the gates."""
    versions = mappings(run.get("history"))[-_MOST:]
    made, seen = [], set[str]()
    for gate in gates(results):
        name, unit = gate.shown.name, gate.shown.unit
        points = [_ends(v, name) for v in versions]
        known = [e for e in points if e[0] is not None]
        if name in seen or len(known) < len(("first", "last")):
            continue
        seen.add(name)
        bound = _limit(results, name)
        better = "lower" if gate.wants[:1] in "≤<" else "higher"
        size, word = _moved(known[0], known[-1], better, unit)
        first, now = (amount(e[0], unit) for e in (known[0], known[-1]))
        says = f"{gate.shown.label}: {first} in the first of {len(known)} versions, now {now}"
        drawing = sparkline(points, bound, says)
        ends = interval(known[-1][1], known[-1][2], unit)
        made.append(Line(gate, first, now, ends, f"{size} {word}".strip(), drawing))
    return made


def _limit(results: Document, name: str) -> float | None:
    held = (g for g in mappings(results.get("gates")) if text(g.get("name")) == name)
    return number(next(held, {}).get("limit"))


def _said(every: Sequence[Line], versions: Sequence[Document]) -> str:
    """The finding: how many numbers surely moved, and over which time."""
    up, down = (sum(one.moved.endswith(w) for one in every) for w in ("better", "worse"))
    days = list(dict.fromkeys(text(v.get("day"), 10) for v in (versions[0], versions[-1])))
    since = f"Over {len(versions)} versions ({' to '.join(d for d in days if d)})"
    if not up and not down:
        return f"{since} no gated number surely moved."
    total = f"{len(every)} gated number{'s' * (len(every) > 1)}"
    worse = f"{down} surely worse" if down else "none worse"
    return f"{since} {up} of {total} became surely better, {worse}."


def _table(every: Sequence[Line], versions: Sequence[Document]) -> Table:
    """The values behind the drawings, one row per version."""
    head = ("version", "day", "verdict", *(one.gate.shown.label for one in every))
    rows = []
    for version in versions:
        held = [_ends(version, one.gate.shown.name)[0] for one in every]
        shown = [
            "–" if v is None else amount(v, one.gate.shown.unit)
            for v, one in zip(held, every, strict=True)
        ]
        words = [text(version.get(k), 60) for k in ("run", "day", "word")]
        rows.append((*words[:2], words[2] or "this run", *shown))
    return Table(head, tuple(rows))


def over_time(results: Document, run: Document, diff: Sequence[Change]) -> Section | None:
    """The section of changes: versions as drawings, then what changed since the baseline."""
    every = lines(results, run)
    versions = mappings(run.get("history"))[-_MOST:]
    if not every and not diff:
        return None
    sure = [c for c in diff if c.state != "same"]
    same = [c for c in diff if c.state == "same"]
    more = {"rows": sure, "same": same, "diff": bool(diff), "lines": every}
    if every:
        more |= {"says": _said(every, versions), "table": _table(every, versions)}
    made = section("change", more=more)
    return made if diff else replace(made, title="Change over versions")
