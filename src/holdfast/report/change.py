"""What changed since a baseline: readings of equal name, side by side, in pairs where they are."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.report.document import Document, mapping, number, readings, text
from holdfast.report.numbers import Shown, bare, shown

_LEVEL = 0.05


@dataclass(frozen=True)
class Change:
    """One number before and after, and the change with its interval where rows are shared.

    It is sure if a test on the shared rows says so; without any, if the intervals lie apart.
    """

    before: Shown
    after: Shown
    change: str
    state: str
    word: str
    interval: str = ""
    shared: str = ""


def _apart(a: Shown, b: Shown) -> bool:
    """Whether two intervals do not touch; an unknown end touches everything."""
    low_a, high_a, low_b, high_b = a.raw[1], a.raw[2], b.raw[1], b.raw[2]
    if low_a is None or high_a is None or low_b is None or high_b is None:
        return False
    return high_a < low_b or high_b < low_a


def _signed(value: float, unit: str) -> str:
    return f"{'+' if value >= 0 else '−'}{bare(abs(value), unit)}"


def _compare(before: Shown, after: Shown, pair: Document) -> Change | None:
    """Both numbers with the sign of the change; None where one is not known."""
    old, new = before.raw[0], after.raw[0]
    if old is None or new is None:
        return None
    own, low, high = (number(pair.get(k)) for k in ("change", "low", "high"))
    p, n = number(pair.get("p_corrected")), number(pair.get("n"))
    gain = new - old if own is None else own
    points = "pt" if after.unit == "share" else ""
    change = f"{_signed(gain, after.unit)} {points}".strip() if gain else "0"
    interval, shared, sure = "", "", _apart(before, after)
    if own is not None and low is not None and high is not None and p is not None:
        interval = f"[{_signed(low, after.unit)}, {_signed(high, after.unit)}]"
        chance = "p<.001" if p < 0.001 else f"p={p:.3f}".replace("=0.", "=.")
        shared = f"{chance}, {n or 0:,.0f} shared rows"
        sure = p < _LEVEL
    state, word = _ended(gain, sure, after.better)
    return Change(before, after, change, state, word, interval, shared)


def _ended(gain: float, sure: bool, better: str) -> tuple[str, str]:
    """Class and word of a change."""
    if gain == 0:
        return "same", "unchanged"
    if not sure:
        return "same", "within noise"
    if better not in {"higher", "lower"}:
        return "same", "changed"
    good = (gain > 0) == (better == "higher")
    return ("pass", "better") if good else ("fail", "worse")


def changes(results: Document, baseline: Document, run: Document | None = None) -> list[Change]:
    """All numbers that both audits know, worse ones first, then better ones.

    Args:
        results: of the later audit.
        baseline: of the earlier one.
        run: `run.json` of the later one, whose `paired` holds the changes on shared rows.
    """
    pairs = mapping(mapping(run).get("paired"))
    old = {text(r.get("name")): shown(r) for _, r in readings(baseline)}
    new = {text(r.get("name")): shown(r) for _, r in readings(results)}
    both = [(k, s) for k, s in new.items() if k in old]
    made = [c for k, s in both if (c := _compare(old[k], s, mapping(pairs.get(k)))) is not None]
    order = {"fail": 0, "pass": 1, "same": 2}
    return sorted(made, key=lambda c: order[c.state])
