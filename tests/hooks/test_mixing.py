"""Mixed rows against the formula, and the share of pixels against the share of the label."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.hooks.mixing import CutMix, Mixup, order
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.ops.compose import drawn_boxes
from holdfast.ops.simplex import beta, dirichlet
from holdfast.run.training import TrainingRun

U = torch.rand(20000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def run_of(rows=6, seed=0, classes=3, inputs=4):
    model = nn.Sequential(nn.Flatten(), nn.Linear(inputs, classes))
    return TrainingRun(model.train(), nn.ModuleDict(), Dice.of(rows, seed), 1)


def rows_of(*shape):
    x = torch.rand(6, *shape, generator=torch.Generator().manual_seed(1))
    return Batch(x, torch.tensor([0, 1, 2, 0, 1, -100]), torch.arange(6))


@pytest.mark.parametrize("a", [0.2, 1.0, 3.0])
def test_shares_have_the_distribution_they_are_said_to_have(a):
    drawn = beta(U, a)
    assert stats.kstest(drawn.numpy(), stats.beta(a, a).cdf).pvalue > 0.01
    assert float(drawn.var()) == pytest.approx(1 / (4 * (2 * a + 1)), rel=0.05)
    parts = dirichlet(U.reshape(-1, 4), a)
    assert torch.allclose(parts.sum(1), torch.ones(5000).double())
    first = stats.kstest(parts[:, 0].numpy(), stats.beta(a, 3 * a).cdf)
    assert first.pvalue > 0.01


@pytest.mark.parametrize("each", [False, True])
def test_mixup_is_the_formula(each):
    batch, run = rows_of(4), run_of()
    out = Mixup(alpha=0.7, each=each).batch(run, batch)
    partner = order(6, run.dice.spawn("mixup"))
    # The share is read off the inputs, the label must have the same.
    share = ((out.x - batch.x[partner]) / (batch.x - batch.x[partner])).nanmean(1)
    share = torch.where(partner == torch.arange(6), torch.ones(6), share)
    assert bool((share >= -1e-4).all() and (share <= 1 + 1e-4).all())
    assert (share[partner != torch.arange(6)].std() > 1e-3) == each
    z, known = torch.randn(6, 3), batch.y != -100
    two = share * F.cross_entropy(z, batch.y, reduction="none", ignore_index=-100)
    two += (1 - share) * F.cross_entropy(z, batch.y[partner], reduction="none", ignore_index=-100)
    assert torch.allclose(cross_entropy(z, out.y), two, atol=1e-3)
    assert known.sum() == 5 and run.model.training


def test_without_alpha_nothing_is_mixed():
    batch = rows_of(4)
    assert Mixup(alpha=0.0).batch(run_of(), batch) is batch
    assert CutMix(chance=0.0).batch(run_of(), batch) is batch


@pytest.mark.parametrize("shape", [(4,), (1, 8, 8), (3, 5, 9)])
@pytest.mark.parametrize("each", [False, True])
def test_the_label_keeps_the_share_of_the_pixels(shape, each):
    x = torch.arange(6.0).view(6, *(1 for _ in shape)).expand(6, *shape)
    batch = rows_of(*shape)._replace(x=x, y=torch.eye(6))
    changed = False
    for seed in range(5):
        out = CutMix(each=each).batch(run_of(seed=seed, inputs=x[0].numel()), batch)
        for i in range(6):
            present = (out.x[i] == i).float().mean()
            assert float(out.y[i, i]) == pytest.approx(float(present), abs=1e-6)
            changed |= bool(present < 1)
        assert torch.allclose(out.y.sum(1), torch.ones(6))
        if len(shape) > 1:
            assert bool((out.x == out.x[:, :1]).all())  # the same box in all channels
    assert changed


def test_boxes_are_those_of_the_published_program():
    g = torch.Generator().manual_seed(3)
    area, middle = torch.rand(50, generator=g).double(), torch.rand(50, 2, generator=g).double()
    found = drawn_boxes(area, middle, (7, 12))
    for a, m, inside in zip(area, middle, found, strict=True):
        naive = torch.zeros(7, 12, dtype=torch.bool)
        h, w = int(7 * a**0.5), int(12 * a**0.5)
        top, left = int(m[0] * 7) - h // 2, int(m[1] * 12) - w // 2
        naive[max(top, 0) : max(top + h, 0), max(left, 0) : max(left + w, 0)] = True
        assert torch.equal(inside, naive)


def test_labels_of_positions_are_refused():
    batch = rows_of(4)._replace(y=torch.zeros(6, 4).long())
    for hook in (Mixup(), CutMix()):
        with pytest.raises(Unsupported):
            hook.batch(run_of(), batch)
