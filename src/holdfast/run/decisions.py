"""One gate on one number: it passes, fails, is too close to call, or could not be tested.

A gate compares the ends of an interval, not its middle. It passes if the pessimistic end keeps
the limit, fails if even the optimistic end breaks it, and is undecided in between: an identical
model with other draws therefore seldom turns a pass into a failure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from holdfast.core.records import Outcome, Reading
from holdfast.run.accepted import Acceptance
from holdfast.run.gates import Gate

if TYPE_CHECKING:
    from holdfast.run.paired import Paired

Decision = Literal["pass", "fail", "undecided", "missing", "accepted", "not applicable"]
STOPPED = "stopped on request before it was finished"
CUT = "left out to keep the time budget"
LACKS = "it needs "
ESSENTIAL = ("clean", "attacks")  # without these two numbers nothing is ready
RANK: dict[str, int] = {
    "fail": 0, "missing": 1, "undecided": 2, "accepted": 3, "pass": 4, "not applicable": 5,
}  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """A gate, the reading it was held against, and what came of it."""

    name: str
    relation: str
    limit: float
    verdict: Decision
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    bound: str = ""
    unit: str = ""
    flags: tuple[str, ...] = ()
    says: str = ""
    rule: str = ""  # name of the gate as it stands in the file
    accepted: Acceptance | None = None


def _keeps(relation: str, number: float, limit: float) -> bool:
    return {
        ">=": number >= limit, "<=": number <= limit, ">": number > limit, "<": number < limit,
    }[relation]  # fmt: skip


def decide(relation: str, limit: float, reading: Reading) -> Decision:
    """One gate on one reading.

    An attack only bounds robustness from above: what it could not break, a stronger one might.
    So where a self-check casts doubt on it (`flags`), it may fail a gate but not pass it.
    """
    ends = (reading.low, reading.high)
    if not all(map(math.isfinite, (reading.value, *ends, limit))):
        return "undecided"
    wants_much = relation in (">=", ">")
    pessimist, optimist = ends if wants_much else ends[::-1]
    if not _keeps(relation, optimist, limit):
        return "fail"
    doubted = reading.bound == "upper" and wants_much and bool(reading.flags)
    return "pass" if _keeps(relation, pessimist, limit) and not doubted else "undecided"


def _nothing(rule: Gate, outcomes: Sequence[Outcome]) -> Judged:
    """A gate whose reading is not there: missing, or not applicable where nobody asked for it.

    Not applicable means that no check of its section can answer: the suite asks none, or each
    said that the subject is not of its kind. What was stopped, cut, crashed or only lacks input
    is missing, and so are the numbers without which no verdict can be given.
    """
    section = rule.name.partition(".")[0]
    own = [o for o in outcomes if o.section == section]
    reasons = list(dict.fromkeys((o.error or o.skipped).partition("\n")[0] for o in own))
    why = "; ".join(r for r in reasons if r) or "no check of the suite measures it"
    cannot = all(o.skipped and not o.skipped.startswith((STOPPED, CUT, LACKS)) for o in own)
    dropped = rule.default and cannot and section not in ESSENTIAL
    limit = math.nan if rule.relative else rule.limit
    word: Decision = "not applicable" if dropped else "missing"
    return Judged(rule.name, rule.relation, limit, word, says=why, rule=rule.name)


def _paired(rule: Gate, reading: Reading, change: Paired) -> tuple[Decision, str]:
    """A relative gate held against the ends of the change on shared rows.

    What both runs share cancels there, so that the same rows decide much smaller changes than
    two intervals side by side.
    """
    moved = replace(reading, value=change.change, low=change.low, high=change.high)
    scale, unit = (100.0, " pt") if reading.unit == "share" else (1.0, "")
    value, low, high = (f"{scale * v:+.3g}" for v in (change.change, change.low, change.high))
    says = f"changed by {value}{unit} [{low}, {high}] on {change.n:,} shared rows"
    return decide(rule.relation, rule.limit, moved), says


def judge(
    rule: Gate,
    readings: Iterable[Reading],
    outcomes: Sequence[Outcome] = (),
    baseline: Mapping[str, float] | None = None,
    paired: Mapping[str, Paired] | None = None,
) -> list[Judged]:
    """A gate held against every reading of its name; one line per name, the worst of them."""
    found: dict[str, Judged] = {}
    for r in readings:
        if not fnmatchcase(r.name, rule.name):
            continue
        limit, says = rule.limit, ""
        if rule.relative:
            before = (baseline or {}).get(r.name, math.nan)
            limit += before
            says = "" if math.isfinite(before) else "there is no baseline to compare with"
        verdict: Decision = "missing" if says else decide(rule.relation, limit, r)
        change = (paired or {}).get(r.name) if rule.relative else None
        if change is not None and not says and 2 * change.n >= r.n:
            verdict, says = _paired(rule, r, change)
        line = Judged(
            r.name, rule.relation, limit, verdict, r.value, r.low, r.high, r.n, r.bound, r.unit,
            r.flags, says, rule.name,
        )  # fmt: skip
        if r.name not in found or RANK[verdict] < RANK[found[r.name].verdict]:
            found[r.name] = line
    return list(found.values()) or [_nothing(rule, outcomes)]
