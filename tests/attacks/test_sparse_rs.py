"""Sparse random search against its schedule, enumeration, and patches' and masked models' rules."""

from __future__ import annotations

import torch
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.attacks.sparse_rs import PATCHES, PIXELS, SparseRS, share_at
from holdfast.core.goal import Untargeted
from holdfast.run.search import search
from holdfast.testing.worlds import Images, staircase
from holdfast.threats.norms import LInf
from holdfast.threats.patch import Patch
from holdfast.threats.sparse import L0


def test_the_schedules_are_the_published_ones():
    steps = [0, 1, 51, 201, 501, 1001, 2001, 4001, 6001, 8001]
    parts = [1, 2, 4, 5, 6, 8, 10, 12, 15, 20]
    assert [share_at(0.3, i, 10000, PIXELS) for i in steps] == [0.3 / p for p in parts]
    assert share_at(0.3, 51, 1000, PIXELS) == share_at(0.3, 510, 10000, PIXELS)
    steps = [10, 11, 51, 201, 501, 1001, 2001, 4001, 8001]
    parts = [1, 2, 4, 8, 16, 32, 32, 64, 128]
    assert [share_at(0.4, i, 10000, PATCHES) for i in steps] == [0.4 / p for p in parts]


def test_one_pixel_agrees_with_enumeration():
    world = Images.make(rows=8, side=4, seed=3)
    best = torch.full((8,), -torch.inf, dtype=torch.float64)
    with torch.no_grad():
        for pixel in range(16):
            for value in (0.0, 1.0):
                z = world.x.flatten(1).clone()
                z[:, pixel] = value
                best = torch.maximum(best, world.goal(world.model(z.reshape(world.x.shape))))
    found = search(SparseRS(steps=250), world.model, world.x, world.goal, L0(radius=1.0))
    safe = best < 0
    assert bool((found.broken == ~safe).all())
    reached = torch.isclose(found.margin[safe], torch.maximum(best, found.clean)[safe])
    assert reached.double().mean() >= 0.9
    assert int((found.change != 0).flatten(1).sum(1).max()) <= 1


def test_scores_break_what_gradients_cannot():
    world = staircase(rows=24, size=16)
    blind = search(PGD(start="none"), world.model, world.x, world.goal, LInf(radius=0.2))
    found = search(SparseRS(steps=150), world.model, world.x, world.goal, L0(radius=6.0))
    assert torch.equal(blind.margin, blind.clean)
    assert found.broken.double().mean() >= 0.5


def _corner_counts(seed):
    """A linear model of 6 x 6 images in which one 2 x 2 place matters most."""
    g = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2)).double()
    weight = 0.1 * torch.randn(2, 36, generator=g, dtype=torch.float64)
    heavy = torch.zeros(6, 6, dtype=torch.float64)
    heavy[3:5, 1:3] = 2.0
    weight[1] += heavy.flatten()
    with torch.no_grad():
        model[1].weight.copy_(weight)
        model[1].bias.copy_(torch.tensor([20.0, 0.0]))
    x = 0.5 * torch.rand(12, 1, 6, 6, generator=g, dtype=torch.float64)
    return model, x, Untargeted(torch.zeros(12, dtype=torch.int64))


def test_a_patch_finds_its_best_place():
    model, x, goal = _corner_counts(0)
    threat = Patch(height=2, width=2)
    found = search(SparseRS(steps=120, restarts=4), model, x, goal, threat)
    there = (threat.corner(x, found.change) == torch.tensor([3.0, 1.0])).all(1)
    assert there.double().mean() >= 0.9
    touched = (threat.apply(x, found.change) != x).flatten(1).sum(1)
    assert int(touched.max()) <= 4


def test_one_forward_per_proposal():
    model, x, goal = _corner_counts(1)
    found = search(SparseRS(steps=20), model, x, goal, L0(radius=1.0))
    assert found.passes.forwards == len(x) * (1 + 21 + 1) and found.passes.backwards == 0
