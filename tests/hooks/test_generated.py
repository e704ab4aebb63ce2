"""Exact shares of generated rows, and what they are like, where it is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.hooks.generated import ClassGaussian, Generated
from holdfast.measures.data.generated import generated_rows
from holdfast.run.training import TrainingRun


def nines(labels, dice):
    return 9.0 + torch.zeros(len(labels), 3)


def batch(rows: int = 10) -> Batch:
    return Batch(torch.rand(rows, 3), torch.arange(rows) % 2, torch.arange(rows))


@pytest.mark.parametrize(("amount", "count"), [(0.0, 0), (0.3, 3), (0.5, 5), (1.0, 10)])
def test_every_batch_has_exactly_the_share(amount, count):
    run = TrainingRun(nn.Identity(), nn.ModuleDict(), Dice.of(10), 1)
    given = batch()
    out = Generated(generator=nines, amount=amount).batch(run, given)
    assert int((out.x[:, 0] == 9).sum()) == count and torch.equal(out.y, given.y)
    assert torch.equal(out.x[: 10 - count], given.x[: 10 - count])
    if not count:
        assert out is given


def test_without_a_generator():
    run = TrainingRun(nn.Identity(), nn.ModuleDict(), Dice.of(10), 1)
    with pytest.raises(ConfigError):
        Generated().batch(run, batch())


def test_class_gaussian_has_the_moments_of_its_classes():
    g = torch.Generator().manual_seed(0)
    y = torch.arange(400) % 2
    x = 0.5 + 0.05 * torch.randn(400, 5, generator=g) + 0.1 * y[:, None]
    made = ClassGaussian.fit(Batches(x=x, y=y), rank=5)
    drawn = made(torch.ones(20000).long(), Dice.of(20000))
    own = x[y == 1].double()
    assert torch.allclose(drawn.mean(0), own.mean(0), atol=0.002)
    assert torch.allclose(drawn.T.cov(), own.T.cov(), atol=2e-4)


def test_what_generated_rows_are_like():
    g = torch.Generator().manual_seed(0)
    x = torch.rand(300, 2, generator=g)
    y = torch.zeros(300).long()
    real = Batches(x=x[:150], y=y[:150])
    same = generated_rows(real, Batches(x=x[150:], y=y[150:]))
    assert min(same.precision.value, same.recall.value, same.coverage.value) > 0.9
    assert same.density.value == pytest.approx(1, abs=0.25) and same.copies.value < 0.05
    copies = generated_rows(real, real)
    assert copies.copies.value == copies.coverage.value == 1
    far = generated_rows(real, Batches(x=x[150:] + 5, y=y[150:]))
    assert far.precision.value == far.recall.value == far.density.value == 0
    corner = generated_rows(real, Batches(x=x[150:] * 0.3, y=y[150:]))
    assert corner.precision.value > 0.9 and corner.coverage.value < 0.3
    naive = sum(
        bool(torch.dist(m, r) <= (real.x - r).norm(dim=1).sort().values[5])
        for m in x[150:160] for r in real.x
    )  # fmt: skip
    few = generated_rows(real, Batches(x=x[150:160], y=y[150:160]))
    assert few.density.value == pytest.approx(naive / 50)
