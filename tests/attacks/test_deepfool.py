"""DeepFool and FAB: a curved boundary by angle scan, logits rescaled, two libraries."""

from __future__ import annotations

from math import inf, pi

import pytest
import torch

from holdfast.attacks.deepfool import DeepFool
from holdfast.attacks.fab import FAB
from holdfast.core.goal import Untargeted
from holdfast.testing.worlds import Images
from holdfast.threats.norms import L1, L2, LInf


class Ellipse(torch.nn.Module):
    """Two classes, inside and outside of an ellipse around (0.5, 0.5)."""

    def forward(self, x):
        z = (x - 0.5) / torch.tensor([0.4, 0.3], dtype=x.dtype)
        return torch.stack([torch.zeros_like(z[:, 0]), z.square().sum(1) - 1], 1)


def scanned(x):
    """Distance from each point to the ellipse, over many angles."""
    angle = torch.linspace(0, 2 * pi, 20001, dtype=torch.float64)
    edge = torch.stack([0.5 + 0.4 * angle.cos(), 0.5 + 0.3 * angle.sin()], 1)
    return torch.cdist(x, edge).amin(1)


@pytest.mark.parametrize("attack", [DeepFool(smallest=True), FAB(smallest=True)])
def test_a_curved_boundary_is_found_within_five_percent(attack):
    g = torch.Generator().manual_seed(0)
    x = torch.rand(400, 2, generator=g, dtype=torch.float64)
    z = Ellipse()(x)[:, 1]
    x = x[(z < -0.05) & (z > -0.15)]  # close enough for tangents to say something
    goal, threat = Untargeted(torch.zeros(len(x)).long()), L2(radius=1.0)
    change = attack(Ellipse(), x, goal, threat)
    assert (goal(Ellipse()(x + change)) >= 0).all()
    ratio = threat.length(change) / scanned(x)
    assert (ratio >= 1 - 1e-6).all()
    assert float(ratio.mean()) <= 1.05


@pytest.mark.parametrize("threat", [LInf(radius=0.1), L2(radius=0.5), L1(radius=1.0)])
@pytest.mark.parametrize("aim", ["nearest", "each"])
def test_fab_does_not_see_the_scale_of_the_logits(threat, aim):
    world = Images.make()
    attack = FAB(steps=15, aim=aim, smallest=True)
    one = attack(world.model, world.x, world.goal, threat)
    other = attack(lambda x: 100 * world.model(x), world.x, world.goal, threat)
    assert torch.allclose(one, other, atol=1e-9)


def test_fab_restarts_never_lengthen_a_change():
    world, threat = Images.make(), L2(radius=0.5)
    one, two = (
        threat.length(FAB(steps=10, restarts=r, smallest=True)(*about(world), threat))
        for r in (1, 3)
    )
    assert (two <= one).all() and (two < one - 1e-6).any()


def about(world):
    return world.model, world.x, world.goal


@pytest.mark.parametrize("order", [2, inf])
def test_clipped_steps_are_those_of_foolbox(net, order):
    """Lengths within 1 % on average, also against torchattacks in the Euclidean norm."""
    import foolbox
    import torchattacks

    model, x, y = net[0], net[1][:8], net[2][:8]
    threat = {2: L2(radius=1.0), inf: LInf(radius=0.1)}[order]
    change = DeepFool(walls="clip", smallest=True)(model, x, Untargeted(y), threat)
    box = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    kind = {2: foolbox.attacks.L2DeepFoolAttack, inf: foolbox.attacks.LinfDeepFoolAttack}[order]
    other = kind(steps=50, candidates=10)(box, x, y, epsilons=None)[1] - x
    mine, theirs = threat.length(change).mean(), threat.length(other).mean()
    assert abs(float(mine / theirs) - 1) <= 0.01
    if order == 2:
        third = torchattacks.DeepFool(model, steps=50, overshoot=0.02)(x, y) - x
        assert float(mine / threat.length(third).mean()) <= 1.05
