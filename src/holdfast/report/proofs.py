"""How far rows are proved: one bar per radius, split by method, by what breaks and stays open."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from holdfast.report.document import Document, number, text

METHODS = {
    "certifier:ibp": "interval bounds (IBP)",
    "certifier:crown": "linear bounds (CROWN)",
    "certifier:crown intermediate=ibp": "linear bounds (CROWN-IBP)",
    "certifier:alpha-crown": "optimised bounds (alpha-CROWN)",
    "certifier:beta-crown": "branch and bound (beta-CROWN)",
    "certifier:milp": "mixed-integer program",
    "certifier:sdp": "semidefinite bound",
    "certifier:lipschitz": "Lipschitz bound",
    "certifier:mixed": "mixture of experts' bound",
}
_STATES = {
    "open": ("open", "neither proved nor broken"),
    "broken": ("broken", "broken by attack"),
    "wrong": ("wrong", "wrong without a change"),
}
_SHADES, _LEGIBLE = 4, 0.06


@dataclass(frozen=True)
class Bar:
    """One radius: its threat, in words what became of its rows, and the drawing."""

    threat: str
    says: str
    svg: Markup


@dataclass(frozen=True)
class Proofs:
    """All radii of one threat, and the meaning of the colours in the order of the bars."""

    key: tuple[tuple[str, str], ...]
    bars: tuple[Bar, ...]


def proofs(rows: list[Document]) -> Proofs | None:
    """The bars, if these are the rows of a ladder of proofs."""
    if not rows or not all({"threat", "state", "rows", "n"} <= set(r) for r in rows):
        return None
    methods = list(dict.fromkeys(text(r.get("method"), 80) for r in rows if _proved(r)))
    key = [(f"p{min(i, _SHADES - 1)}", f"proved by {_named(m)}") for i, m in enumerate(methods)]
    seen = {text(r.get("state")) for r in rows if number(r.get("rows"))}
    key += [_STATES[s] for s in _STATES if s in seen]
    bars = []
    for threat in dict.fromkeys(text(r.get("threat"), 80) for r in rows):
        own = [r for r in rows if text(r.get("threat"), 80) == threat]
        bars.append(Bar(threat, _words(own), _drawing(own, methods)))
    return Proofs(tuple(key), tuple(bars))


def _proved(row: Document) -> bool:
    return text(row.get("state")) == "proved"


def _named(method: str) -> str:
    """A method in words; settings that are not its usual ones stand behind it."""
    if method in METHODS:
        return METHODS[method]
    key, _, changed = method.partition(" ")
    words = METHODS.get(key, key.partition(":")[2].replace("-", " ") or key)
    return f"{words}, {changed.replace(' ', ', ')}" if changed else words


def _count(row: Document) -> int:
    return int(number(row.get("rows")) or 0)


def _words(rows: list[Document]) -> str:
    """`94 of 100 proved · 6 wrong`: states without rows are left out, but for what is proved."""
    n = max((int(number(r.get("n")) or 0) for r in rows), default=0)
    parts = [f"{sum(_count(r) for r in rows if _proved(r))} of {n} proved"]
    for state in _STATES:
        if count := sum(_count(r) for r in rows if text(r.get("state")) == state):
            parts.append(f"{count} {state}")
    return " · ".join(parts)


def _drawing(rows: list[Document], methods: list[str]) -> Markup:
    """Parts of the whole width, each with its count where it is wide enough to bear one."""
    n = max((number(r.get("n")) or 0.0 for r in rows), default=0.0) or 1.0
    head = Markup('<svg class="proofs" width="100%" height="30" role="img" aria-label="{}">')
    made, at = [head.format(_words(rows))], 0.0
    part = Markup('<rect class="{k}" x="{x}%" width="{w}%" height="30"/>')
    mark = Markup('<text class="{k}" x="{x}%" y="20" text-anchor="middle">{v}</text>')
    for row in rows:
        count, state = _count(row), text(row.get("state"))
        if not count:
            continue
        shade = min(methods.index(text(row.get("method"), 80)), _SHADES - 1) if _proved(row) else 0
        kind = f"p{shade}" if _proved(row) else _STATES.get(state, ("open", ""))[0]
        wide = 100 * count / n
        made.append(part.format(k=kind, x=f"{at:.2f}", w=f"{wide:.2f}"))
        if count / n >= _LEGIBLE:
            made.append(mark.format(k=kind, x=f"{at + wide / 2:.2f}", v=f"{count:,}"))
        at += wide
    return Markup("").join(made) + Markup("</svg>")
