"""The verdict: one function turns readings, gates and outcomes into a word and an exit code.

A gate compares the ends of an interval, not its middle. It passes if the pessimistic end keeps
the limit, fails if even the optimistic end breaks it, and is undecided in between: an identical
model with other draws therefore seldom turns a pass into a failure.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from holdfast.core.errors import ConfigError
from holdfast.core.records import Outcome, Reading

Decision = Literal["pass", "fail", "undecided", "missing"]
PASS, FAIL, USAGE, UNDECIDED, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 4, 130
STOPPED = "stopped on request before it was finished"
CUT = "left out to keep the time budget"
_RANK: dict[str, int] = {"fail": 0, "missing": 1, "undecided": 2, "pass": 3}
_RULE = re.compile(
    r"\s*(>=|<=|>|<)\s*(?:(baseline)\s*(?:([+-])\s*(\d+(?:\.\d*)?|\.\d+))?"
    r"|([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(%?))\s*"
)


@dataclass(frozen=True)
class Gate:
    """A limit that a reading must keep.

    Args:
        name: of the reading; `*` stands for anything (`attacks.worst@*`: every threat).
        relation: one of >=, <=, >, <.
        limit: the number; added to the baseline's value if `relative`.
        relative: whether the limit is counted from the baseline.
    """

    name: str
    relation: str
    limit: float
    relative: bool = False


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


@dataclass(frozen=True)
class Verdict:
    """The word, the exit code and the sentence of an audit, with every gate."""

    word: Literal["READY", "NOT READY", "UNDECIDED", "INCOMPLETE"]
    code: int
    says: str
    gates: tuple[Judged, ...]


def gate(name: str, rule: object) -> Gate:
    """A gate from its line in a file: `"clean.accuracy" = ">= 0.9"`.

    Raises:
        ConfigError: if the rule cannot be read.
    """
    found = _RULE.fullmatch(rule) if isinstance(rule, str) else None
    if found is None or not name.strip():
        raise ConfigError(
            f"gate {name!r}: cannot read {rule!r}",
            fix='Write it as "clean.accuracy" = ">= 0.9" or ">= baseline - 0.01".',
            code="E0120",
        )
    relation, baseline, sign, offset, number, percent = found.groups()
    if baseline:
        return Gate(name, relation, float(f"{sign or '+'}{offset or 0}"), True)
    return Gate(name, relation, float(number) / (100 if percent else 1))


def gates_of(table: Mapping[str, Any]) -> tuple[Gate, ...]:
    """All gates of a `[gate]` table, in its order."""
    return tuple(gate(name, rule) for name, rule in table.items())


def read_gates(file: Path) -> tuple[Gate, ...] | None:
    """The gates of a TOML file (`[gate]` or `[tool.holdfast.gate]`), None if it has none."""
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file.name}: {error}", fix="Repair the file.", code="E0121") from None
    table = document.get("gate", document.get("tool", {}).get("holdfast", {}).get("gate"))
    if table is not None and not isinstance(table, Mapping):
        raise ConfigError(f"{file.name}: [gate] must be a table", fix='Write "name" = ">= 0.9".')
    return None if table is None else gates_of(table)


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


def _missing(name: str, outcomes: Sequence[Outcome]) -> str:
    """Why a reading is not there, as far as it can be known."""
    troubled = [o for o in outcomes if o.error or o.skipped]
    reasons = {o.check: (o.error or o.skipped).partition("\n")[0] for o in troubled}
    listed = "; ".join(f"{check}: {reason}" for check, reason in reasons.items())
    return f"nothing measured {name}" + (f" ({listed})" if listed else " in this suite")


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
            r.flags, says,
        )  # fmt: skip
        if r.name not in found or _RANK[verdict] < _RANK[found[r.name].verdict]:
            found[r.name] = line
    limit = math.nan if rule.relative else rule.limit
    nothing = Judged(rule.name, rule.relation, limit, "missing", says=_missing(rule.name, outcomes))
    return list(found.values()) or [nothing]


def verdict(
    readings: Iterable[Reading],
    gates: Sequence[Gate],
    outcomes: Sequence[Outcome],
    baseline: Mapping[str, float] | None = None,
) -> Verdict:
    """Word, sentence and exit code: 0 pass, 1 a gate fails, 3 undecided, 130 interrupted.

    Args:
        readings: all numbers of the audit.
        gates: the limits.
        outcomes: what became of each check.
        baseline: values of an earlier run by name, for relative gates.
    """
    known = list(readings)
    judged = tuple(line for g in gates for line in judge(g, known, outcomes, baseline))
    names = {d: [j.name for j in judged if j.verdict == d] for d in _RANK}
    total = f"of {len(judged)} gate{'s' * (len(judged) != 1)}"
    stopped = any(o.skipped.startswith(STOPPED) for o in outcomes)
    failed = f"{len(names['fail'])} {total} fail{'s' * (len(names['fail']) == 1)}"
    if stopped:
        so_far = f"; so far {failed}" if names["fail"] else ""
        says = f"The audit was stopped before its end{so_far}. The same command continues."
        return Verdict("INCOMPLETE", INTERRUPTED, says, judged)
    if names["fail"]:
        return Verdict("NOT READY", FAIL, f"{failed}: {_list(names['fail'])}.", judged)
    if names["missing"]:
        says = f"{len(names['missing'])} {total} could not be tested: {_list(names['missing'])}."
        return Verdict("INCOMPLETE", UNDECIDED, says, judged)
    if crashed := [o.check for o in outcomes if o.error]:
        says = f"No gate fails, but {_list(crashed)} ended in an error."
        return Verdict("INCOMPLETE", UNDECIDED, says, judged)
    if names["undecided"]:
        many = len(names["undecided"])
        says = f"{many} {total} {'is' if many == 1 else 'are'} too close to call: "
        return Verdict("UNDECIDED", UNDECIDED, says + _list(names["undecided"]) + ".", judged)
    if not judged:
        return Verdict("READY", PASS, "No gates are set, so nothing could fail.", judged)
    return Verdict("READY", PASS, f"All {len(judged)} gates pass.", judged)


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
