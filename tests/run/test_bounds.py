"""What bounds take is timed on a few rows, whatever the certifier is."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tests.run.doubles import Says, subject

from holdfast.core.catalog import entries, find
from holdfast.core.data import Batches
from holdfast.core.errors import Unsupported
from holdfast.core.records import Outcome
from holdfast.run import bounds, usual
from holdfast.run.bounds import SHARED, TRIED, WAYS, Bound, Bounds
from holdfast.run.pace import Pace
from holdfast.run.perform import Done
from holdfast.run.plan import plan
from holdfast.run.speed import Speed
from holdfast.run.statements import CERTIFIED_AT_ONCE
from holdfast.threats.norms import LInf

FAST = Speed(1e-6, 1e-6, 1)


def row(tried: int) -> float:
    """What a row of three seconds takes among many, after so many were tried."""
    return 3.0 * (tried / CERTIFIED_AT_ONCE) ** SHARED


class Slow:
    """A certifier that takes two seconds a call and three a row; the first call takes longer."""

    def __init__(self, now: list[float], *, refuses: bool = False) -> None:
        self.now, self.refuses, self.asked = now, refuses, list[int]()

    def __call__(self, model, x, goal, threat, *, dice=None):
        if self.refuses:
            raise Unsupported("no such layers")
        self.now[0] += 2.0 + 3.0 * len(x) + (0.0 if self.asked else 100.0)
        self.asked.append(len(x))
        return SimpleNamespace(margin=x.flatten(1).sum(1) + model(x)[:, 0])


@pytest.fixture
def now(monkeypatch):
    turned = [0.0]
    monkeypatch.setattr(bounds, "clock", lambda: turned[0])
    monkeypatch.setattr(bounds, "LOOK", 1e6)
    monkeypatch.setattr(bounds, "LONG", 1e6)
    return turned


def rows(count: int):
    x = torch.rand(count, 4, generator=torch.Generator().manual_seed(0))
    return Batches(x=x, y=torch.zeros(count, dtype=torch.long))


def asked(certifier, **settings):
    """A check with one certifier."""
    return SimpleNamespace(**{"certifier": certifier, "radii": (0.5, 1.0), "limit": 200} | settings)


def test_a_call_and_a_row_are_told_apart_and_the_first_call_is_not_believed(now):
    one = Slow(now)
    about = subject(batches=rows(300), threats=(LInf(radius=0.1),))
    assert bounds.timed(one, about) == pytest.approx(Bound(2.0, row(64)))
    assert one.asked == list(TRIED)


def test_a_certifier_is_asked_once_about_as_many_rows_as_time_allows(now, monkeypatch):
    monkeypatch.setattr(bounds, "LOOK", 10.0)
    one, other = Slow(now), Slow(now)
    about = Bounds(subject(batches=rows(300), threats=(LInf(radius=0.1),)), FAST)
    both = asked(None, certifiers=(one, other, one))
    assert about.seconds(both) == pytest.approx(3 * 2 * (2 * 2.0 + 200 * row(4)))
    assert about.seconds(asked(one)) == pytest.approx(2 * (2 * 2.0 + 200 * row(4)))
    assert one.asked == other.asked == [1, 1, 4]
    monkeypatch.setattr(bounds, "LONG", 10.0)
    single = Slow(now)
    assert bounds.timed(single, about.subject).row == pytest.approx(35 * row(1))
    assert single.asked == [1]


def test_work_grows_with_rows_radii_and_threats(now):
    few = subject(batches=rows(60), threats=(LInf(radius=0.1), LInf(radius=0.2)))
    about, one = Bounds(few, FAST), Slow(now)
    assert about.seconds(asked(one)) == pytest.approx(2 * 2 * (2.0 + 60 * row(16)))
    fewer = asked(one, radii=(1.0,), limit=10)
    assert about.seconds(fewer) == pytest.approx(2 * (2.0 + 10 * row(16)))
    assert about.seconds(Says()) == 0.0
    assert Bounds(replace(few, batches=None), FAST).seconds(asked(one)) == 0.0


def test_what_cannot_be_timed_is_not_waited_for(now, monkeypatch):
    about = subject(batches=rows(60), threats=(LInf(radius=0.1),))
    before = torch.random.get_rng_state()
    assert Bounds(about, FAST).seconds(asked(Slow(now, refuses=True))) == 0.0
    limited = Slow(now)
    limited.seconds = 30.0
    assert Bounds(about, FAST).seconds(asked(limited)) == 0.0 and not limited.asked
    monkeypatch.setattr(bounds, "LONG", 1.0)
    dear = Slow(now)
    guessed = Bounds(about, Speed(0.1, 0.5, 3)).seconds(asked(dear))
    assert guessed == pytest.approx(2 * 60 * WAYS * 3 * 0.5) and not dear.asked
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_forecast_counts_the_bounds_that_a_check_asks_for(monkeypatch):
    check = find("check:certificates").thing(limit=8)
    about = subject(batches=rows(20), threats=(LInf(radius=0.1),))
    (cell,) = plan((check,), about)
    pace, without = Pace(), Pace()
    pace.meet(about)
    assert pace.bounds.seconds(check) > 0  # its own certifiers have answered
    monkeypatch.setattr(Bounds, "seconds", lambda self, check: 1000.0)
    pace._worked.clear()
    without.speed, without.slow, without.values = pace.speed, pace.slow, pace.values
    without.pictured = pace.pictured
    assert pace.one(cell) - without.one(cell) == pytest.approx(1000 * usual.BOUNDED[cell.name])


def test_a_question_that_was_answered_before_is_not_timed_again(monkeypatch):
    check = find("check:certificates").thing(limit=8)
    about = subject(batches=rows(20), threats=(LInf(radius=0.1),))
    (cell,) = plan((check,), about)
    pace = Pace()
    pace.meet(about)
    pace.learn(Done(cell, Outcome(check=cell.name, seconds=7.0), alone=7.0))
    again = Pace(rates=pace.rates)
    again.meet(about)
    monkeypatch.setattr(Bounds, "seconds", lambda self, check: pytest.fail("bounds were timed"))
    assert again.one(cell) == pytest.approx(7.0)


def test_only_checks_with_certifiers_are_said_to_bound():
    assert set(usual.BOUNDED) <= {e.key for e in entries("check")}
    for name, share in usual.BOUNDED.items():
        check = find(name).thing()
        assert 0 < share <= 1 and check.radii
        assert hasattr(check, "certifiers") or hasattr(check, "certifier")
