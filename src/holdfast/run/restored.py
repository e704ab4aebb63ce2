"""Outcomes made again from the plain values of their files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from holdfast.core.records import Figure, Finding, Outcome, Reading, Severity
from holdfast.run.writing import plain


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _reading(row: dict[str, Any]) -> Reading:
    ends = {k: _number(row[k]) for k in ("value", "low", "high")}
    return Reading(**(row | ends | {"flags": tuple(row["flags"])}))


def _finding(row: dict[str, Any]) -> Finding:
    return Finding(
        severity=Severity[row["severity"].upper()],
        says=row["says"],
        readings=tuple(map(_reading, row["readings"])),
        advice=row["advice"],
        rows=tuple(row["rows"]),
        figures=tuple(Figure(**(f | {"rows": tuple(f["rows"])})) for f in row["figures"]),
    )


def outcome_of(row: dict[str, Any]) -> Outcome:
    """An outcome from its plain values."""
    return Outcome(**(row | {"findings": tuple(map(_finding, row["findings"]))}))


def settled(outcome: Outcome) -> Outcome:
    """The outcome as a reader of its file sees it: fresh and found again, it is the same."""
    return replace(outcome_of(plain(outcome)), seconds=outcome.seconds)
