"""Inputs pushed as far as oracles go along."""

import pytest
import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.measures.model.oracle import oracle_relative
from holdfast.measures.model.push import push, verdict
from holdfast.testing.worlds import TinyReLU


def scene(rows=60):
    world, other = TinyReLU.make(rows=rows), TinyReLU.make(rows=rows, seed=1)
    return world.model, other.model, Batches(x=world.x, y=other.model(world.x).argmax(1), size=25)


def test_oracles_agree_with_every_pushed_input():
    model, oracle, rows = scene()
    found = push(model, [oracle], rows.x, rows.y, steps=60, step_size=0.05)
    assert bool(verdict([oracle], found.x[found.kept], rows.y[found.kept], "all").all())
    moved = (found.x != rows.x).any(1)
    assert torch.equal(moved, found.steps > 0) and int(moved.sum()) > 10
    assert bool((found.x >= 0).all() and (found.x <= 1).all())
    assert bool(((found.steps < 60) & found.kept).any())  # some were stopped by the oracle


def test_an_oracle_is_never_confused_sooner_than_itself():
    _, oracle, rows = scene()
    assert oracle_relative([oracle, oracle], rows, step_size=0.05).score == 100


def test_no_budget_no_change_and_more_budget_no_more_accuracy():
    model, oracle, rows = scene()
    scores = [
        oracle_relative([model, oracle], rows, steps=s, step_size=0.02).score for s in (0, 10, 80)
    ]
    assert scores[0] == 100 and scores[0] >= scores[1] >= scores[2] and scores[2] < 100


def test_votes_and_means():
    x, y = torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64)

    def oracle(*rows):
        return lambda x: torch.tensor(rows)

    judges = [oracle([2.0, 0], [2.0, 0], [0, 0.1]), oracle([2.0, 0], [0, 9.0], [0, 0.1]),
              oracle([2.0, 0], [2.0, 0], [9.0, 0])]  # fmt: skip
    assert verdict(judges, x, y, "all").tolist() == [True, False, False]
    assert verdict(judges, x, y, "majority").tolist() == [True, True, False]
    assert verdict(judges, x, y, "mean").tolist() == [True, True, True]


def test_sparse_pushes_move_few_latents():
    model, oracle, rows = scene()

    class Twice:
        def encode(self, x):
            return torch.cat([x, x], 1) / 2

        def decode(self, z):
            return z[:, :2] + z[:, 2:]

    found = push(
        model, [oracle], rows.x, rows.y, codec=Twice(), share=0.25, steps=10, step_size=0.05
    )
    assert bool(((found.x != rows.x).sum(1) <= 1).all()) and bool((found.x != rows.x).any())


def test_several_oracles_give_a_spread_and_wrong_rows_are_said():
    model, oracle, rows = scene()
    y = rows.y.clone()
    y[:5] = (y[:5] + 1) % 3
    found = oracle_relative([model, oracle, model], Batches(x=rows.x, y=y), rule="mean", steps=5)
    assert found.dropped >= 1 and "left out" in found.readings()[0].flags[0]
    assert len(found.single) == 2 and found.readings()[-1].name.endswith("spread")
    with pytest.raises(ShapeError):
        oracle_relative([model], rows)
    with pytest.raises(Unsupported):
        oracle_relative([model, nn.Linear(2, 3).double()], Batches(x=rows.x[:0], y=y[:0]))
