"""The verdict: one function turns readings, gates and outcomes into a word and an exit code.

A gate compares the ends of an interval, not its middle. It passes if the pessimistic end keeps
the limit, fails if even the optimistic end breaks it, and is undecided in between: an identical
model with other draws therefore seldom turns a pass into a failure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Literal

from holdfast.core.records import Outcome, Reading
from holdfast.run.accepted import Acceptance, accept
from holdfast.run.gates import Gate

Word = Literal["READY", "NOT READY", "UNDECIDED", "INCOMPLETE"]
Decision = Literal["pass", "fail", "undecided", "missing", "accepted", "not applicable"]
PASS, FAIL, USAGE, UNDECIDED, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 4, 130
STOPPED = "stopped on request before it was finished"
CUT = "left out to keep the time budget"
LACKS = "it needs "
ESSENTIAL = ("clean", "attacks")  # without these two numbers nothing is ready
_RANK: dict[str, int] = {
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


@dataclass(frozen=True)
class Verdict:
    """The word, the exit code and the sentence of an audit, with every gate."""

    word: Word
    code: int
    says: str
    gates: tuple[Judged, ...]


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


def judge(
    rule: Gate,
    readings: Iterable[Reading],
    outcomes: Sequence[Outcome] = (),
    baseline: Mapping[str, float] | None = None,
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
        verdict = "missing" if says else decide(rule.relation, limit, r)
        line = Judged(
            r.name, rule.relation, limit, verdict, r.value, r.low, r.high, r.n, r.bound, r.unit,
            r.flags, says, rule.name,
        )  # fmt: skip
        if r.name not in found or _RANK[verdict] < _RANK[found[r.name].verdict]:
            found[r.name] = line
    return list(found.values()) or [_nothing(rule, outcomes)]


def verdict(
    readings: Iterable[Reading],
    gates: Sequence[Gate],
    outcomes: Sequence[Outcome],
    baseline: Mapping[str, float] | None = None,
    *,
    accepted: Sequence[Acceptance] = (),
    day: date | None = None,
) -> Verdict:
    """Word, sentence and exit code: 0 pass, 1 a gate fails, 3 undecided, 130 interrupted.

    The only place that decides them; 2 (usage) and 4 (internal) are no verdict but an error, and
    belong to the errors that `holdfast.cli.front` explains.

    Args:
        readings: all numbers of the audit.
        gates: the limits.
        outcomes: what became of each check.
        baseline: values of an earlier run by name, for relative gates.
        accepted: risks that somebody answers for; read nowhere else.
        day: on which the verdict is given; an acceptance ends with its last day.
    """
    known = list(readings)
    lines = (line for g in gates for line in judge(g, known, outcomes, baseline))
    judged = tuple(accept(line, accepted, day) for line in lines)
    word, code, says = _words(judged, outcomes)
    return Verdict(word, code, says, judged)


def _words(judged: Sequence[Judged], outcomes: Sequence[Outcome]) -> tuple[Word, int, str]:
    """Word, code and sentence: the first line that holds decides."""
    names = {d: [j.name for j in judged if j.verdict == d] for d in _RANK}
    beside, borne = names["not applicable"], names["accepted"]
    count = len(judged) - len(beside)
    total = f"of {count} gate{'s' * (count != 1)}"
    failed = f"{len(names['fail'])} {total} fail{'s' * (len(names['fail']) == 1)}"
    missing, close = len(names["missing"]), len(names["undecided"])
    so_far = f"; so far {failed}" if names["fail"] else ""
    crashed = [o.check for o in outcomes if o.error]
    table: list[tuple[bool, Word, int, str]] = [
        (any(o.skipped.startswith(STOPPED) for o in outcomes), "INCOMPLETE", INTERRUPTED,
         f"The audit was stopped before its end{so_far}. The same command continues."),
        (bool(names["fail"]), "NOT READY", FAIL, f"{failed}: {_list(names['fail'])}."),
        (bool(missing), "INCOMPLETE", UNDECIDED,
         f"{missing} {total} could not be tested: {_list(names['missing'])}."),
        (bool(crashed), "INCOMPLETE", UNDECIDED,
         f"No gate fails, but {_list(crashed)} ended in an error."),
        (bool(close), "UNDECIDED", UNDECIDED, _undecided(judged, total)),
        (not count, "READY", PASS, "No gates are set, so nothing could fail."),
        (bool(borne), "READY", PASS, f"{len(names['pass'])} {total} pass."),
        (True, "READY", PASS, f"All {count} gates pass."),
    ]  # fmt: skip
    word, code, says = next(row[1:] for row in table if row[0])
    says += f" Accepted for now: {_list(borne)}." if borne else ""
    return word, code, says + (f" Not applicable: {_list(beside)}." if beside else "")


def _undecided(judged: Sequence[Judged], total: str) -> str:
    """Which gates stay open, and whether their interval or their self-checks leave them so."""
    open_ = [j for j in judged if j.verdict == "undecided"]
    doubted, close = ([j.name for j in open_ if bool(j.flags) is f] for f in (True, False))
    be, doubt = "is" if len(close) == 1 else "are", f"self-checks doubt {_list(doubted)}"
    if not close:
        return f"{len(doubted)} {total} cannot be decided: {doubt}."
    said = f"{len(close)} {total} {be} too close to call: {_list(close)}"
    return f"{said}; {doubt}." if doubted else f"{said}."


def _list(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
