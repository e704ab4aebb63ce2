"""How fast a model is, and which questions take alike long; on a clock that the model turns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.run.doubles import Says, subject
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.records import Outcome, Subject
from holdfast.run import alike, speed
from holdfast.run.bends import CURVE, POOL, bends
from holdfast.run.pace import Pace
from holdfast.run.perform import Done
from holdfast.run.plan import plan
from holdfast.run.speed import BACK, Speed

ROWS = Batches(x=torch.rand(8, 3), y=torch.zeros(8, dtype=torch.long))


class Turns(nn.Module):
    """A model that takes two seconds a row there and five back; the first pass takes longer."""

    def __init__(self, now: list[float], *, black: bool = False) -> None:
        super().__init__()
        self.last, self.now, self.black, self.seen = nn.Linear(3, 2), now, black, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += 1
        self.now[0] += 2.0 * len(x) + (100.0 if self.seen == 1 else 0.0)
        if self.black:
            return self.last(torch.from_numpy(x.numpy()))  # numpy() refuses what needs slopes
        if x.requires_grad:
            x.register_hook(lambda gradient: self.now.__setitem__(0, self.now[0] + 5.0 * len(x)))
        return self.last(x)


@pytest.fixture
def now(monkeypatch):
    turned = [0.0]
    monkeypatch.setattr(speed, "clock", lambda: turned[0])
    monkeypatch.setattr("holdfast.run.speed.time.perf_counter", lambda: turned[0])
    monkeypatch.setattr(speed, "LONG", 1e6)
    return turned


def test_a_row_is_timed_there_and_back_and_the_first_pass_is_not_believed(now):
    model = Turns(now)
    assert speed.timed(Subject(model=model, batches=ROWS)) == pytest.approx(Speed(2.0, 7.0))
    assert model.seen == 2 * speed.TRIES + 2
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_neither_the_fastest_try_nor_a_disturbed_one_is_typical():
    assert speed.typical([9.0]) == 9.0 and speed.typical([5.0, 2.0, 9.0]) == 2.0
    assert speed.typical([3.0, 1.0, 9.0, 50.0, 4.0, 3.5, 70.0, 8.0]) == 3.5


def test_what_has_no_way_back_counts_its_passes(now):
    model = Turns(now, black=True)
    told = speed.timed(Subject(model=model, batches=ROWS))
    assert told == pytest.approx(Speed(2.0, 2.0 * BACK)) and model.seen == speed.TRIES + 1
    assert speed.timed(Subject()).slopes == BACK * speed.timed(Subject()).forward


def test_a_slow_model_is_not_asked_again_and_again(now, monkeypatch):
    monkeypatch.setattr(speed, "LONG", 1.0)
    model = Turns(now)
    speed.timed(Subject(model=model, batches=ROWS))
    assert model.seen == 4  # once there, one row back, all rows back, and to count bends


class Written(nn.Module):
    """The same bends, written as functions."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.max_pool2d(torch.relu(x), 2).flatten(1)
        return torch.tanh(y.clone().relu_() @ torch.ones(4, 2))


def test_bends_are_counted_however_a_model_is_written():
    layers = nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.ReLU(inplace=True), nn.Linear(4, 2)
    x = torch.rand(3, 1, 4, 4)
    assert bends(nn.Sequential(*layers, nn.Tanh()), x) == 2 + POOL + CURVE
    assert bends(Written(), x) == 2 + POOL + CURVE
    assert bends(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), x) == 0
    assert speed.timed(Subject(model=net(), batches=ROWS)).bends == 1


def net(width: int = 4, last: type[nn.Module] = nn.ReLU) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), last(), nn.Linear(width, 2))


def test_models_that_differ_in_weights_alone_are_of_one_form():
    first = Subject(model=net(), batches=ROWS)
    form = alike.form(first)
    assert form == alike.form(replace(first, model=net()))
    others = [
        replace(first, model=net(5)), replace(first, model=net(last=nn.Tanh)),
        replace(first, model=net().double()), replace(first, batches=ROWS.take(slice(0, 4))),
        replace(first, model=lambda x: x), Subject(),
    ]  # fmt: skip
    assert len({form, *map(alike.form, others)}) == 7
    assert alike.question(Says(name="a"), form) == alike.question(Says(name="a"), form)
    assert len({alike.question(Says(name=n), f) for n in "ab" for f in (form, "")}) == 4


def test_the_next_version_of_a_model_takes_what_the_last_one_took():
    pace = Pace()
    (cell,) = plan((Says(dear=5.0),), replace(subject(), model=net(), batches=ROWS))
    pace.meet(Subject(model=net(), batches=ROWS))
    pace.learn(Done(cell, Outcome(check=cell.name, seconds=9.0), alone=7.0))
    later = Pace(rates=pace.rates, speed=Speed(1.0))
    later.meet(Subject(model=net(), batches=ROWS))
    assert later.one(cell) == pytest.approx(7.0) and later.factor == 1.0


def test_a_run_is_off_by_what_its_checks_are_off_and_no_more():
    """The factor lies between 1 and what was seen, and comes nearer with each check."""
    cells = plan(tuple(Says(name=f"{k}", dear=10.0) for k in range(12)), subject())
    pace, factors = Pace(speed=Speed(1.0)), []
    for cell in cells:
        pace.learn(Done(cell, Outcome(check=cell.name), alone=2 * pace._guess(cell).seconds))
        pace.rates._seen.clear()  # each is as new as the first
        factors.append(pace.factor)
    assert factors == sorted(factors) and 1.0 < factors[0] < 1.5 < factors[-1] < 2.0
