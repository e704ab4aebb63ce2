"""Wherever labels meet outputs, one that names none is refused by the same sentence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from holdfast.core.catalog import build, entries, find, resolve
from holdfast.core.data import Batch, Batches
from holdfast.core.errors import ShapeError
from holdfast.core.goal import Pixels, Targeted, Untargeted
from holdfast.core.kinds import Objective, Run
from holdfast.core.records import Subject
from holdfast.run.forward import correct
from holdfast.run.loop import Training
from holdfast.run.preflight import preflight
from holdfast.run.search import search
from holdfast.threats.norms import LInf

X = torch.rand(30, 4, generator=torch.Generator().manual_seed(0))
GOOD = torch.arange(30) % 3
BAD = {
    "beyond": (torch.where(GOOD == 2, 7, GOOD), "E0210", "label 7 names no output"),
    "negative": (GOOD - 1, "E0210", "label -1 names no output"),
    "fractions": (GOOD / 2, "E0212", "whole numbers"),
}


def net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def rows(y: Tensor) -> Batches:
    return Batches(x=X, y=y, size=16)


ENTRIES = {
    "training": lambda y: Training(epochs=1)(net(), rows(y)),
    "adversarial training": lambda y: build("recipe:pgd-at", epochs=1)(net(), rows(y)),
    "search": lambda y: search(
        build("attack:pgd", steps=1), net().eval(), X, Untargeted(y), LInf(radius=0.1)
    ),
    "target": lambda y: Targeted(y)(net()(X)),
    "positions": lambda y: Pixels(y[:, None])(net()(X)[:, None]),
    "measure": lambda y: find("measure:accuracy").thing(net()(X), y),
    "accuracy": lambda y: correct(net()(X), y),
    "check": lambda y: list(build("check:clean")(Subject(model=net().eval(), batches=rows(y)))),
}


@pytest.mark.parametrize("how", BAD)
@pytest.mark.parametrize("entry", ENTRIES)
def test_bad_labels_are_named_where_rows_meet_the_model(entry: str, how: str) -> None:
    y, code, says = BAD[how]
    with pytest.raises(ShapeError, match=says) as caught:
        ENTRIES[entry](y)
    assert caught.value.code == code and caught.value.fix
    ENTRIES[entry](GOOD)


@pytest.mark.parametrize("entry", entries("loss"), ids=lambda e: e.name)
def test_no_loss_takes_a_label_without_an_output(entry) -> None:
    for y in (torch.tensor([0, 3]), torch.tensor([-1, 0])):
        with pytest.raises(ShapeError) as caught:
            resolve(entry.key)(torch.rand(2, 3), y)
        assert caught.value.code == "E0210"


def test_the_preflight_says_it_before_anything_is_measured() -> None:
    """Too many classes may be wrong weights: a finding; the others are no labels at all."""
    found = preflight(Subject(model=net().eval(), batches=rows(BAD["beyond"][0])))
    assert "Labels go up to 7" in found[0].says and "from 0" in found[0].advice
    for how in ("negative", "fractions"):
        with pytest.raises(ShapeError) as caught:
            preflight(Subject(model=net().eval(), batches=rows(BAD[how][0])))
        assert caught.value.code == BAD[how][1]


def test_labels_of_one_column_are_told_from_labels_of_rows() -> None:
    for ask in (Untargeted, lambda y: correct(net()(X), y)):
        with pytest.raises(ShapeError, match=r"one per row.*\(30, 1\)"):
            ask(GOOD[:, None])


def test_positions_are_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass, and a choice of rows, waits for no device."""
    goal, z = Pixels(GOOD[:, None]), net()(X)[:, None]
    monkeypatch.setattr("holdfast.core.positions.largest", lambda y, who: pytest.fail("again"))
    kept = torch.tensor([4, 2])
    assert torch.equal(goal.take(kept)(z[kept]), goal(z)[kept])


class Stopped(Objective):
    """What a CUDA device says after an index out of range, at whatever comes next."""

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        raise RuntimeError("CUDA error: device-side assert triggered")


def test_an_accelerator_that_stopped_is_explained_by_the_labels() -> None:
    with pytest.raises(ShapeError, match="labels run from 0 to 7") as caught:
        Training(objective=Stopped(), epochs=1)(net(), rows(BAD["beyond"][0]))
    assert caught.value.code == "E0210"
