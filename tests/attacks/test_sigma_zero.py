"""sigma-zero against the exact number of coordinates on a linear model."""

from __future__ import annotations

import torch

from holdfast.attacks.fmn import FMN
from holdfast.attacks.sigma_zero import SigmaZero
from holdfast.core.goal import Untargeted
from holdfast.testing.worlds import Images
from holdfast.testing.worlds.linear import Linear
from holdfast.threats.sparse import L0


def fewest(world):
    """`(B,)`: how many coordinates at their faces are needed, the most useful first."""
    weights, values = world.ways()
    room = torch.where(weights > 0, 1 - world.x[:, None], world.x[:, None])
    gains = (weights.abs() * room).sort(dim=2, descending=True).values.cumsum(2)
    return ((gains + values[:, :, None] < 0).sum(2) + 1).amin(1)


def test_it_changes_about_as_few_coordinates_as_can_be():
    """Median excess of at most one of 64; inputs that lean towards their class need several."""
    flat, threat = Linear.make(classes=2, rows=30, size=64, seed=3), L0(radius=1.0)
    g = torch.Generator().manual_seed(0)
    lean = 0.2 * torch.rand(30, 1, generator=g, dtype=torch.float64)
    world = Linear(flat.model, (flat.x - lean * flat.ways()[0][:, 0].sign()).clamp(0, 1), flat.y)
    change = SigmaZero(smallest=True)(world.model, world.x, world.goal, threat)
    assert (world.goal(world.model(world.x + change)) >= 0).all()
    found, least = threat.length(change), fewest(world)
    assert (found >= least).all() and int(least.max()) > 2
    assert float((found - least).median()) <= 1
    other = FMN(smallest=True)(world.model, world.x, world.goal, threat)
    assert float(found.mean()) <= float(threat.length(other).mean())


def test_pixels_are_counted_with_all_their_channels():
    g = torch.Generator().manual_seed(0)
    x = torch.rand(6, 3, 5, 5, generator=g, dtype=torch.float64)
    layer = torch.randn(4, 75, generator=g, dtype=torch.float64)

    def model(x):
        return (x.flatten(1) - 0.5) @ layer.T

    goal, threat = Untargeted(model(x).argmax(1)), L0(radius=2.0)
    change = SigmaZero(steps=100, smallest=True)(model, x, goal, threat)
    assert (goal(model(x + change)) >= 0).all()
    numbers = (change != 0).flatten(1).sum(1)
    assert (threat.length(change) < numbers).any() and (threat.length(change) <= 10).all()


def test_a_budget_is_enough_to_stop():
    world = Images.make()
    calls = []

    def model(x):
        calls.append(len(x))
        return world.model(x)

    SigmaZero()(model, world.x, world.goal, L0(radius=36.0))
    assert sum(calls) < 8 * 40
