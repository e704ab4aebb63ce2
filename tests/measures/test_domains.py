"""Domains and reconstructions, against closed forms."""

import pytest
import torch
from torch import nn

from holdfast.attacks.grid import Grid
from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.distance import Farthest
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.layers.mri import Rescanned, Scan
from holdfast.measures.data.domains import (
    coral_distance,
    domain_gap,
    probe,
    proxy_distance,
)
from holdfast.measures.model.left_out import leave_one_domain_out
from holdfast.measures.model.reconstruction import by_angle, peak_ratio, reconstruction
from holdfast.objectives.reconstruction import ReconstructionTraining
from holdfast.ops.mri import lines
from holdfast.run.training import TrainingRun
from holdfast.threats.affine import Rotation
from holdfast.threats.norms import L2


def test_distances_of_domains():
    g = torch.Generator().manual_seed(0)
    a = torch.randn(50, 3, generator=g)
    assert coral_distance(a, a + 5) == pytest.approx(0, abs=1e-8)
    assert coral_distance(a, 2 * a) == pytest.approx(
        float((3 * torch.cov(a.double().T)).square().sum() / 36)
    )
    assert proxy_distance(0.5) == 0
    assert proxy_distance(1.0) == 2


def test_the_probe_tells_what_is_told_and_nothing_else():
    g = torch.Generator().manual_seed(1)
    group = torch.arange(400) % 2
    noise = torch.randn(400, 4, generator=g)
    assert 0.4 < float(probe(noise, group).double().mean()) < 0.6
    told = noise + 4 * group[:, None]
    assert probe(told, group).all()
    data = Batches(x=told, y=torch.zeros(400).long(), group=group)
    found = domain_gap(data)
    assert found.probe.value == found.within.value == 1
    assert found.label_shift == 0
    assert found.mmd[0, 1] > 10 * found.mmd[0, 0].abs()
    shifted = Batches(x=noise, y=group, group=group)
    assert domain_gap(shifted).label_shift == 1
    with pytest.raises(ConfigError):
        domain_gap(Batches(x=noise, y=group))
    with pytest.raises(ShapeError):
        domain_gap(data.take(slice(0, 3)))


def test_a_rule_that_a_site_turns_around_is_lost_when_it_is_left_out():
    g = torch.Generator().manual_seed(2)
    y, group = torch.randint(2, (600,), generator=g), torch.arange(600) % 3
    sign = torch.where(group == 2, -1.0, 1.0)
    x = torch.stack([sign * (2 * y - 1.0), (group == 2).float()], 1)

    class Rule(nn.Module):
        """Knows the sign of each kind of site that it was trained on."""

        def __init__(self, rows):
            super().__init__()
            self.known = bool((rows.group == 2).any())

        def forward(self, x):
            side = torch.where(x[:, 1] > 0, -1.0, 1.0) if self.known else 1.0
            return torch.stack([-side * x[:, 0], side * x[:, 0]], 1)

    found = leave_one_domain_out(Rule, Batches(x=x, y=y, group=group))
    assert [r.value for r in found.inside] == [1, 1, 1]
    assert [r.value for r in found.outside] == [1, 1, 0]
    assert found.gap == pytest.approx(1 / 3)
    assert found.worst.value == 0


def test_the_worst_noise_of_a_linear_reconstruction_is_its_top_singular_direction():
    torch.manual_seed(0)
    model = nn.Linear(6, 6, bias=False).double()
    x = torch.rand(3, 6, generator=torch.Generator().manual_seed(3)).double()
    with torch.no_grad():
        target = model(x)
    data = Batches(x=x, y=torch.zeros(3).long(), more={"target": target})
    threat = L2(radius=0.1, low=-5.0, high=5.0)
    found = reconstruction(
        model, data, threat=threat, attack=PGD(steps=100, travel=20.0, climb="soft")
    )
    assert found.clean.max() < 1e-20
    top = torch.linalg.svdvals(model.weight.detach())[0]
    want = (0.1 * top) ** 2 / target.square().sum(1)
    assert torch.allclose(found.worst, want, rtol=0.02)
    assert (found.worst <= want * (1 + 1e-9)).all()
    with pytest.raises(ShapeError):
        Farthest(x, x[:, 0]).soft(x[:, :2])


def test_turning_by_nothing_costs_the_clean_error_and_the_curve_has_its_maximum():
    x = torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(4)).double()
    scan = Scan(lines(12, 12, 2, 0.2, torch.Generator().manual_seed(5)).double())
    model = Rescanned(nn.Identity(), scan)
    scale = x.square().flatten(1).sum(1)
    more = {"target": torch.zeros_like(x), "scale": scale}
    data = Batches(x=x, y=torch.zeros(2).long(), more=more)
    threat = Rotation(degrees=90.0)
    found = reconstruction(model, data, threat=threat, attack=Grid(samples=5))
    curve = by_angle(model, x, threat, torch.linspace(-1, 1, 5))
    assert float(curve[2]) == pytest.approx(float(found.clean.mean()))
    assert float(found.worst.mean()) >= float(curve.max()) - 1e-9
    assert found.ratio >= 1
    assert peak_ratio(0.9 * torch.ones(1, 4), torch.ones(1, 4)).item() == pytest.approx(
        20, abs=1e-3
    )


def test_training_without_weights_is_the_clean_error_and_more_with_them():
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(6)).double()
    model = nn.Conv2d(1, 1, 3, padding=1).double()
    batch = Batch(x, torch.zeros(3).long(), torch.arange(3))

    def loss(**weights):
        objective = ReconstructionTraining(**weights)
        run = TrainingRun(model, nn.ModuleDict(), Dice(0, batch.index), 1)
        run.own([objective])
        return objective(run, batch).detach()

    clean = loss(pixel=0.0, spatial=0.0)
    want = (model(x) - x).square().flatten(1).sum(1) / x.square().flatten(1).sum(1)
    assert torch.allclose(clean, want.detach())
    assert (loss(spatial=0.0) >= 2 * clean - 1e-9).all()
    assert (loss(pixel=0.0) >= 2 * clean - 1e-9).all()
