"""A budget: the work ends with it, what is finished stays, and what is not says so."""

from __future__ import annotations

import time

from tests.run.doubles import Says, subject, suite

from holdfast.run.executors import Local
from holdfast.run.gates import Gate
from holdfast.run.progress import Silent
from holdfast.run.rates import SAME, Guess, Rates
from holdfast.run.speed import Speed
from holdfast.run.store import Store
from holdfast.run.suite import audit, identity
from holdfast.run.verdict import CUT, verdict
from holdfast.run.writing import plain

LONG = 3600.0


class Heard(Silent):
    """Which checks began, in order, and how long was left then."""

    def __init__(self):
        self.names, self.left = [], []

    def begins(self, cell, left):
        self.names.append(cell.check.name)
        self.left.append(left)


def test_the_deadline_ends_a_check_in_the_middle(tmp_path):
    asked = suite(Says(name="quick"), Says(name="clean.accuracy", pause=LONG, dear=9.0))
    identity(asked, subject())  # reads the catalogue, which the budget would pay for
    begun = time.monotonic()
    report = audit(asked, subject(), store=Store(tmp_path), budget=3.0)
    assert time.monotonic() - begun < LONG / 10
    quick, slow = report.outcomes
    assert quick.readings and not quick.skipped
    assert slow.skipped.startswith(f"{CUT}: it was begun and not finished")
    judged = verdict(report.readings, [Gate("clean.accuracy", ">=", 0.5)], report.outcomes)
    assert (judged.word, judged.code) == ("INCOMPLETE", 3)
    assert CUT in judged.gates[0].says
    again = audit(asked, subject(), store=Store(tmp_path), budget=1.0)  # the same bytes
    assert plain([again.outcomes[0].readings, again.outcomes[1]]) == plain([quick.readings, slow])


def test_a_budget_that_is_spent_before_the_first_check_still_tells_what_is_known(tmp_path):
    both = suite(Says(name="a"), Says(name="b"))
    audit(suite(both.checks[0]), subject(), store=Store(tmp_path))
    heard = Heard()
    report = audit(both, subject(), store=Store(tmp_path), budget=-1.0, progress=heard)
    assert heard.names == [] and report.outcomes[0].readings
    assert report.outcomes[1].skipped.partition("\n")[0] == CUT


def test_what_seems_too_long_comes_last_and_gets_the_rest_of_the_time(monkeypatch):
    checks = suite(
        Says(name="long", dear=1.0), Says(name="longer", dear=2.0), Says(name="short", dear=3.0)
    )
    rates, heard = Rates(), Heard()

    def guess(name: str, nominal: float, about: str) -> Guess:
        return Guess({1: 500.0, 2: 900.0, 3: 1.0}[round(nominal / unit)], SAME)

    unit, rates.guess = 1e-3, guess
    monkeypatch.setattr("holdfast.run.pace.timed", lambda subject: Speed(unit))
    report = audit(checks, subject(), budget=60.0, progress=heard, rates=rates)
    assert heard.names == ["short", "long", "longer"]  # they took less than was thought
    assert all(o.readings for o in report.outcomes)
    assert all(left <= 60.0 for left in heard.left)


def test_it_ends_processes_beside_this_one_too(tmp_path):
    asked = suite(Says(name="a", pause=LONG), Says(name="b", pause=LONG))
    begun = time.monotonic()
    report = audit(asked, subject(), budget=2.0, executor=Local(2, subject))
    assert time.monotonic() - begun < LONG / 10
    assert all(o.skipped.startswith(CUT) for o in report.outcomes)


def test_without_a_budget_the_order_depends_on_no_clock():
    heard = Heard()
    rates = Rates()
    rates.learn("check:Says", 1e-6, 1e6)
    asked = suite(Says(name="b", dear=2.0), Says(name="a", dear=1.0))
    audit(asked, subject(), progress=heard, rates=rates)
    assert heard.names == ["a", "b"]
