"""Forecasts where nothing was timed yet, and how busy the machine is."""

from __future__ import annotations

import builtins
import io
from dataclasses import replace

import pytest
import torch
from tests.run.doubles import Says, subject

from holdfast.core.catalog import entries
from holdfast.core.data import Batches
from holdfast.core.records import Outcome, Subject
from holdfast.run import load, usual
from holdfast.run.pace import Pace
from holdfast.run.perform import Done
from holdfast.run.plan import plan
from holdfast.run.rates import Rates
from holdfast.run.speed import Speed


def test_a_check_takes_its_own_time_and_that_of_the_model():
    one, many = usual.USUAL["check:corruptions"], usual.MANY
    small = usual.seconds("check:corruptions", many, Speed(0.0, 0.0), values=64)
    assert small == pytest.approx(one.alone + many * (1e-6 * one.row + 64e-9 * one.value))
    dear = usual.seconds("check:corruptions", many, Speed(0.5, 0.0), values=64, slow=2.0)
    assert dear == pytest.approx(2 * small + one.model * many / 2)
    plain, bent = (usual.seconds("check:envelope", many, Speed(0, 0.3, n)) for n in (0, 4))
    one = usual.USUAL["check:envelope"]
    assert bent - plain == pytest.approx(4 * one.each)
    steep = usual.seconds("check:envelope", many, Speed(0, 0.6))
    assert steep - plain == pytest.approx(many * one.slopes * 0.1)
    assert usual.seconds("check:of-a-stranger", 1000, Speed(0.5), values=64, slow=9.0) == 500.0
    assert usual.seconds("check:of-a-stranger", 0.0, Speed(0.0, 0.0)) > 0


def test_passes_are_a_bound_that_most_checks_stay_below():
    for key, one in usual.USUAL.items():
        fast = Speed(1e-3, 3e-3)
        less, more = (usual.seconds(key, 1e5 * k, fast) - one.alone for k in (1, 16))
        assert more == pytest.approx(less * 16**one.power) and one.power <= 1


def test_what_asks_about_images_is_soon_done_with_a_table():
    image = Batches(x=torch.rand(2, 1, 4, 4), y=torch.zeros(2, dtype=torch.long))
    assert usual.pictured(subject(batches=image)) and not usual.pictured(subject())
    assert not usual.pictured(Subject())
    asked = {k: usual.seconds(k, 1e4, Speed(1e-3), pictured=False) for k in usual.USUAL}
    assert {k for k, one in usual.USUAL.items() if one.pictures} == {
        k for k, seconds in asked.items() if seconds == usual.LEAST
    }


def test_only_checks_of_the_catalogue_have_usual_times():
    assert set(usual.USUAL) <= {e.key for e in entries("check")}
    assert all(min(times) >= 0 and max(times) > 0 for times in usual.USUAL.values())


def test_rows_are_counted_in_numbers():
    rows = subject()
    assert usual.values(rows) == rows.batches.x[0].numel()
    assert usual.values(Subject()) == 0


def test_a_machine_is_not_infinitely_slow():
    assert 0.1 <= usual.slowness() <= 10.0


def test_a_busy_machine_takes_longer_and_what_is_learned_on_it_counts_as_quiet():
    (cell,) = plan((Says(name="a", dear=1.0),), subject())
    pace = Pace(speed=Speed(1.0), rates=Rates(busy=lambda: 4.0))
    assert pace.one(cell) == 4.0
    pace.rates.learn(cell.name, 1.0, 8.0)
    assert pace.one(cell) == pytest.approx(8.0)
    pace.rates.busy = lambda: 1.0
    assert pace.one(cell) == pytest.approx(2.0)


def test_load_alone_does_not_make_what_is_left_dearer_twice():
    first, second = plan((Says(name="a", dear=10.0), Says(name="b", dear=20.0)), subject())
    pace = Pace(speed=Speed(1.0), rates=Rates(busy=lambda: 5.0))
    before = pace.one(second)
    pace.learn(Done(first, Outcome(check=first.name, seconds=pace.one(first))))
    assert pace.one(second) == pytest.approx(before)


@pytest.mark.parametrize(
    ("said", "found"),
    [("2000 1000 3", 1.5), ("2000 0 3", 1.0), ("0 5 1", 1.0), ("1 999999 1", load.BUSIEST),
     ("", 1.0), ("what", 1.0)],
)  # fmt: skip
def test_load_is_how_long_a_process_waited_for_a_processor(monkeypatch, said, found):
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", lambda *_, **__: io.StringIO(said))
        told = load.busy()
    assert told == pytest.approx(found)


def test_a_system_that_does_not_tell_has_no_load(monkeypatch):
    def absent(*_, **__):
        raise FileNotFoundError

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", absent)
        told = load.busy()
    assert told == 1.0


def test_a_clock_that_stands_still_while_a_processor_is_awaited(monkeypatch):
    said = iter([*["5 1000000000 1"] * 2, *["5 3500000000 2"] * 2])
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", lambda *_, **__: io.StringIO(next(said)))
        patch.setattr("time.perf_counter", iter([10.0, 14.0]).__next__)
        assert load.clock() - load.clock() == pytest.approx(-1.5)  # 4 s, of which 2.5 were others'


def test_a_processor_that_is_lost_while_clocks_are_read_does_not_turn_time_back(monkeypatch):
    """Time and wait belong together: a wait that fell between the two is read with its time."""
    said = iter(["5 0 1", "5 3000000000 2", "5 3000000000 2", "5 3000000000 2"])
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", lambda *_, **__: io.StringIO(next(said)))
        patch.setattr("time.perf_counter", iter([10.0, 13.0]).__next__)
        assert load.clock() == pytest.approx(10.0)


def test_a_check_of_the_table_tells_more_of_a_run_than_one_of_a_stranger():
    (stranger,) = plan((Says(dear=10.0),), subject())
    factors = []
    for cell in (stranger, replace(stranger, name="check:calibration")):
        pace = Pace(speed=Speed(1.0))
        pace.learn(Done(cell, Outcome(check=cell.name), alone=2 * pace._guess(cell).seconds))
        factors.append(pace.factor)
    assert 1.0 < factors[0] < factors[1] < 2.0


def test_the_machine_is_taken_at_its_quieter_moment(monkeypatch):
    told = iter([3.0, 2.0, 2.0, 5.0])
    monkeypatch.setattr(usual, "slowness", lambda: next(told))
    pace = Pace()
    pace.meet(subject())
    assert pace.slow == 2.0
    pace.meet(subject())
    assert pace.slow == 2.0 and next(told, None) is None
