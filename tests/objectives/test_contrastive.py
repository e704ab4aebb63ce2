"""Contrastive learning against its formula, and views that are what they say."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from holdfast.core.dice import Dice
from holdfast.objectives.contrastive import SimCLR, together
from holdfast.ops.neighbours import votes

G = torch.Generator().manual_seed(0)


def test_the_loss_is_the_formula():
    f = F.normalize(torch.randn(6, 4, generator=G).double(), dim=1)
    found = together(f, 0.3)
    for i in range(3):
        true = 0.0
        for a, b in ((i, i + 3), (i + 3, i)):
            rest = sum(torch.exp(f[a] @ f[k] / 0.3) for k in range(6) if k != a)
            true = true - torch.log(torch.exp(f[a] @ f[b] / 0.3) / rest) / 2
        assert abs(float(found[i] - true)) < 1e-12


def test_views_move_by_whole_pixels():
    x = torch.rand(40, 1, 5, 5, generator=G)
    seen = SimCLR(noise=0.0, gain=0.0, moves=1).view(x, Dice.of(40))
    wide = F.pad(x, (1, 1, 1, 1))
    every = [wide[:, :, i : i + 5, j : j + 5] for i in range(3) for j in range(3)]
    fits = torch.stack([(seen == v).flatten(1).all(1) for v in every])
    assert fits.any(0).all() and fits.any(1).sum() >= 8
    assert torch.equal(SimCLR(noise=0.0, gain=0.0, moves=0).view(x, Dice.of(40)), x)
    strong = SimCLR(noise=0.0, gain=0.2, moves=0).view(x, Dice.of(40)) / x
    factor = strong.flatten(1).amin(1)
    assert factor.min() >= 0.8 and factor.max() <= 1.2 and factor.std() > 0.05


def test_neighbours_vote():
    known = torch.tensor([[1.0, 0], [1, 0.1], [0, 1]])
    found = votes(known, torch.tensor([0, 2, 1]), torch.tensor([[2.0, 0.1], [0, 3]]), 2, 3)
    assert found.tolist() == [[1, 0, 1], [0, 1, 1]]
