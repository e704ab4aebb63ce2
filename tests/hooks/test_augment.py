"""Augmentations touch exactly their share; every distortion does what it is called."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.hooks.augment import WEIGHTS, Augment, DeepAugment, distorted
from holdfast.measures.outputs.subset import rendition_gap, subset_accuracy, subset_logits
from holdfast.run.reading import proportion
from holdfast.run.training import TrainingRun
from holdfast.shifts.random_net import residual_noise

X = torch.rand(8, 1, 10, 10, generator=torch.Generator().manual_seed(0))
BATCH = Batch(X, torch.arange(8), torch.arange(8))


def run_of() -> TrainingRun:
    return TrainingRun(nn.Identity(), nn.ModuleDict(), Dice.of(8), 1)


def test_exactly_the_share_is_changed():
    for hook in (Augment(amount=0.25), DeepAugment(net=nn.Conv2d(1, 1, 3, padding=1), amount=0.25)):
        out = hook.batch(run_of(), BATCH)
        same = (out.x == X).flatten(1).all(1)
        assert same.tolist() == [True] * 6 + [False] * 2 and torch.equal(out.y, BATCH.y)
        assert torch.equal(hook.batch(run_of(), BATCH).x, out.x)
        assert torch.equal(BATCH.x, X)


def test_without_distortion_it_is_the_net():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 9, 3, padding=1), nn.Sigmoid(), nn.Conv2d(9, 1, 3, padding=1), nn.Sigmoid()
    ).eval()
    out = DeepAugment(net=net, amount=1.0, distort="none").batch(run_of(), BATCH)
    assert torch.allclose(out.x, net(X).clamp(0, 1))
    before = [p.clone() for p in net.parameters()]
    moved = DeepAugment(net=net, amount=1.0).batch(run_of(), BATCH)
    assert not torch.allclose(moved.x, out.x)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_distortions_by_name():
    w = torch.randn(40, 5, 3, 3, generator=torch.Generator().manual_seed(1))
    made = {how: distorted(w, how, torch.Generator().manual_seed(2)) for how in WEIGHTS}
    assert torch.equal(made["flip"], w.flip(0))
    assert torch.equal(made["negate"].abs(), w.abs()) and torch.equal(made["signs"].abs(), w.abs())
    gone = (made["drop"] == 0).flatten(1).all(1)
    assert int(gone.sum()) == 10 and torch.equal(made["drop"][~gone], w[~gone])
    assert float((made["mask"] == 0).float().mean()) == pytest.approx(0.5, abs=0.05)
    assert torch.equal(made["turn"].flatten(2).sort(2).values, w.flatten(2).sort(2).values)
    assert all(not torch.equal(m, w) for m in made.values())


def test_noise2net_is_the_identity_at_0_and_different_for_each_image():
    twins = X[:1].expand(3, -1, -1, -1)
    assert torch.equal(residual_noise(twins, 0.0, Dice.of(3)), twins)
    out = residual_noise(twins, 0.5, Dice.of(3))
    assert float((out[0] - out[1]).abs().mean()) > 0.01
    alone = residual_noise(twins[1:2], 0.5, Dice.of(3).part(torch.tensor([1])))
    assert torch.allclose(out[1:2], alone, atol=1e-5)


def test_what_does_not_fit():
    with pytest.raises(ConfigError):
        DeepAugment().batch(run_of(), BATCH)
    with pytest.raises(ShapeError):
        DeepAugment(net=nn.Conv2d(1, 2, 1)).batch(run_of(), BATCH)


def test_subsets_against_masked_answers():
    g = torch.Generator().manual_seed(3)
    z, y = torch.randn(200, 9, generator=g), torch.randint(9, (200,), generator=g)
    kept = (7, 2, 4)
    masked = torch.full_like(z, -torch.inf)
    masked[:, list(kept)] = z[:, list(kept)]
    assert torch.equal(torch.tensor(kept)[subset_logits(z, kept).argmax(1)], masked.argmax(1))
    inside = torch.isin(y, torch.tensor(kept))
    found = subset_accuracy(z, y, classes=kept)
    assert found.n == int(inside.sum())
    assert found.value == pytest.approx(float((masked.argmax(1) == y)[inside].double().mean()))
    with pytest.raises(ConfigError):
        subset_logits(z, (1, 9))
    gap = rendition_gap(proportion("a", 90, 100), proportion("b", 60, 100))
    assert gap.value == pytest.approx(0.3) and gap.low < 0.2 < 0.4 < gap.high
