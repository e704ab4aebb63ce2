"""What changed since a baseline: readings of equal name, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.report.document import Document, readings, text
from holdfast.report.numbers import Shown, bare, shown


@dataclass(frozen=True)
class Change:
    """One number before and after; `sure` tells whether the intervals lie apart."""

    before: Shown
    after: Shown
    change: str
    state: str
    word: str


def _apart(a: Shown, b: Shown) -> bool:
    """Whether two intervals do not touch; an unknown end touches everything."""
    low_a, high_a, low_b, high_b = a.raw[1], a.raw[2], b.raw[1], b.raw[2]
    if low_a is None or high_a is None or low_b is None or high_b is None:
        return False
    return high_a < low_b or high_b < low_a


def _compare(before: Shown, after: Shown) -> Change | None:
    """Both numbers with the sign of the change; None where one is not known."""
    old, new = before.raw[0], after.raw[0]
    if old is None or new is None:
        return None
    gain = new - old
    points = "pt" if after.unit == "share" else ""
    change = f"{'+' if gain >= 0 else '−'}{bare(abs(gain), after.unit)} {points}".strip()
    if gain == 0:
        return Change(before, after, "0", "same", "unchanged")
    if not _apart(before, after):
        return Change(before, after, change, "same", "within noise")
    if after.better not in {"higher", "lower"}:
        return Change(before, after, change, "same", "changed")
    good = (gain > 0) == (after.better == "higher")
    return Change(before, after, change, "pass" if good else "fail", "better" if good else "worse")


def changes(results: Document, baseline: Document) -> list[Change]:
    """All numbers that both audits know, worse ones first, then better ones."""
    old = {text(r.get("name")): shown(r) for _, r in readings(baseline)}
    new = {text(r.get("name")): shown(r) for _, r in readings(results)}
    made = [c for k, s in new.items() if k in old and (c := _compare(old[k], s)) is not None]
    order = {"fail": 0, "pass": 1, "same": 2}
    return sorted(made, key=lambda c: order[c.state])
