"""The checklist over a report and the gate against the model before, on made-up reports."""

from __future__ import annotations

import pytest

from holdfast.checks.clean import Clean
from holdfast.checks.lifecycle import CHECKLIST, Lifecycle, answered, lost
from holdfast.core.catalog import entries
from holdfast.core.records import Finding, Outcome, Reading, Report, Severity, Subject


def reading(name: str, value: float, better: str = "higher") -> Reading:
    return Reading(name=name, value=value, low=value, high=value, n=10, better=better)  # type: ignore[arg-type]


def report(*outcomes: Outcome) -> Report:
    return Report(suite="own", subject={}, outcomes=outcomes)


def outcome(check: str, severity: Severity, *readings: Reading, **more: str) -> Outcome:
    found = Finding(severity=severity, says="Something.", readings=readings)
    return Outcome(check=f"check:{check}", findings=(found,), **more)


def test_every_check_of_the_list_exists() -> None:
    known = {e.name for e in entries("check")}
    assert {c for item in CHECKLIST for c in item.checks} <= known
    assert all(bool(item.checks) != bool(item.fact) for item in CHECKLIST)


def test_status_comes_from_the_findings() -> None:
    found = answered(report(
        outcome("clean", Severity.GOOD, reading("clean", 0.9)),
        outcome("worst-case", Severity.FAILURE, reading("attacks.worst", 0.1)),
        outcome("corruptions", Severity.GOOD, reading("shift", 0.9), skipped="no time"),
        outcome("calibration", Severity.GOOD, reading("ece", 0.1), error="crashed"),
    ), {"parent": "v1", "rollback": ""})  # fmt: skip
    status = {a.item.name: a for a in found}
    assert status["clean accuracy"].status == "pass"
    assert status["clean accuracy"].evidence == ("clean",)
    assert status["accuracy under attack"].status == "fail"
    for name in ("corruptions", "calibration", "drift of inputs and answers", "what to go back to"):
        assert status[name].status == "not measured"
    assert status["parent in the registry"].status == "pass"


@pytest.mark.parametrize(
    ("name", "old", "new", "better", "worse"),
    [
        ("a", 0.8, 0.75, "higher", False), ("a", 0.8, 0.6, "higher", True),
        ("a", 0.1, 0.3, "lower", True), ("a", 0.3, 0.1, "lower", False),
        ("a", 0.3, 0.9, "neither", False), ("a", 0.8, float("nan"), "higher", True),
    ],
)  # fmt: skip
def test_the_gate(name: str, old: float, new: float, better: str, worse: bool) -> None:
    before = report(outcome("clean", Severity.GOOD, reading(name, old, better)))
    after = report(outcome("clean", Severity.GOOD, reading(name, new, better)))
    assert bool(lost(before, after, 0.1)) == worse


def test_what_is_no_longer_measured_is_lost() -> None:
    before = report(outcome("clean", Severity.GOOD, reading("clean", 0.9)))
    assert lost(before, report(), 0.1) == ("clean",)


def test_coverage_of_a_suite() -> None:
    every = next(iter(Lifecycle()(Subject())))
    one = next(iter(Lifecycle(checks=(Clean(),))(Subject())))
    assert every.readings[0].value == 1.0
    assert one.readings[0].value == 1 / sum(1 for i in CHECKLIST if i.checks)
