"""Pools of rows, pseudo labels, and the recipe against the hooks it is made of."""

import pytest
import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Later
from holdfast.hooks.ema import EMA
from holdfast.hooks.generated import ClassGaussian, Generated
from holdfast.hooks.pool import Pool, pseudo_labelled
from holdfast.objectives.trades import Trades
from holdfast.recipes.generated import GeneratedData
from holdfast.recipes.standard import Standard


def data() -> Batches:
    g = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 3
    return Batches(x=(0.5 + 0.2 * torch.eye(4)[y] + 0.1 * torch.randn(60, 4, generator=g)), y=y,
                   size=20)  # fmt: skip


def net() -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(4, 3)


def test_pool_draws_rows_of_the_label_each_as_often():
    y = torch.tensor([2, 0, 1, 2, -100, 2, 0])
    pool = Pool.of(Batches(x=torch.arange(7.0)[:, None], y=y))
    drawn = pool(torch.full((6000,), 2), Dice.of(6000)).flatten()
    share = torch.bincount(drawn.long(), minlength=7) / 6000
    assert torch.allclose(share[[0, 3, 5]], torch.full((3,), 1 / 3), atol=0.03)
    assert float(share[[1, 2, 4, 6]].sum()) == 0
    assert pool(torch.tensor([1, 1]), Dice.of(2)).flatten().tolist() == [2.0, 2.0]
    with pytest.raises(Unsupported, match="no row"):
        Pool.of(Batches(x=torch.zeros(2, 1), y=torch.tensor([0, 2])))


def test_pseudo_labels_are_the_answers_of_the_surest_rows():
    model, given = net(), data()
    p = model(given.x).softmax(1).detach()
    whole = pseudo_labelled(model, given)
    assert torch.equal(whole.y, p.argmax(1)) and torch.equal(whole.x, given.x)
    half = pseudo_labelled(model, given, share=0.5)
    for label in range(3):
        own = (p.argmax(1) == label).nonzero().flatten()
        best = own[p.max(1).values[own].argsort(descending=True)[: max(round(len(own) / 2), 1)]]
        assert set(half.index[half.y == label].tolist()) == set(best[: len(own)].tolist())


def test_the_form_of_the_model_is_that_of_the_recipe(monkeypatch):
    seen = []
    monkeypatch.setattr(Standard, "__call__", lambda plan, *_, **__: seen.append(plan))
    GeneratedData(rank=2, channels_last=True, compile="eager", warmup=0.25)(net(), data())
    assert [(p.channels_last, p.compile, p.warmup) for p in seen] == [(True, "eager", 0.25)]


@pytest.mark.parametrize("amount", [0.0, 0.7])
def test_recipe_is_training_with_its_hooks(amount):
    slow = Later("torch:SGD", lr=0.05)
    ours, twin = net(), net()
    GeneratedData(amount=amount, decay=0.9, rank=2, epochs=2, optimizer=slow)(ours, data())
    made = Generated(generator=ClassGaussian.fit(data(), rank=2), amount=amount)
    Standard(objective=Trades(weight=5.0), hooks=(made, EMA(decay=0.9)), epochs=2, optimizer=slow)(
        twin, data()
    )
    assert torch.equal(ours.weight, twin.weight)


def test_without_anything_made_it_is_its_objective():
    ours, twin = net(), net()
    GeneratedData(amount=0.0, decay=0.0, epochs=1)(ours, data())
    Standard(objective=Trades(weight=5.0), epochs=1)(twin, data())
    assert torch.equal(ours.weight, twin.weight)
