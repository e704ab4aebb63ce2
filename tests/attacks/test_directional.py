"""Directional attacks against closed forms, and search through functions that are not smooth."""

from __future__ import annotations

import torch
from torch import nn

from holdfast.attacks.directional import Directional
from holdfast.attacks.through import Through, maximize_through
from holdfast.core.dice import Dice
from holdfast.run.search import search
from holdfast.testing.worlds import linear_layer, staircase, two_class
from holdfast.threats.norms import LInf


def test_the_first_step_of_a_linear_problem_is_its_maximiser():
    weight = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model, d = linear_layer(weight, torch.zeros(3)), torch.tensor([1.0, -2.0, 0.5]).double()
    x = torch.full((4, 6), 0.5, dtype=torch.float64)
    goal, threat = Through(lambda z: z @ d), LInf(radius=0.1)
    change = Directional(steps=1, stride=1.0)(model, x, goal, threat)
    gain = model(x + change) @ d - model(x) @ d
    assert torch.allclose(gain, (0.1 * (weight.T @ d).abs().sum()).expand(4))


def test_it_reaches_the_worst_margin_of_a_linear_model():
    world = two_class(rows=8)
    radius = 0.5 * float(world.radius(float("inf")).min())
    found = search(Directional(), world.model, world.x, world.goal, LInf(radius=radius))
    assert torch.allclose(found.margin, world.worst(radius, float("inf")))


def test_direct_search_climbs_where_gradients_are_zero():
    world = staircase(rows=12)
    radius = 2 * float(world.radius(float("inf")).median())
    found = search(Directional(steps=150), world.model, world.x, world.goal, LInf(radius=radius))
    due = world.worst(radius, float("inf")) > world.slack()
    assert due.sum() >= 5 and found.broken[due].double().mean() >= 0.8


class _Jumps(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1)).double()

    def forward(self, x):
        return self.inner(x) + 0.3 * torch.floor(4 * x).sum(1, keepdim=True)


def test_jumps_are_searched_nearly_as_well_as_by_a_hundred_thousand_draws():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = _Jumps()

    def value(z):
        return z[:, 0]

    many = torch.rand(100000, 2, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        heights = value(model(many))
        start = many[:10]
        found = value(model(maximize_through(model, value, start, steps=250)))
    span = float(heights.max() - heights.min())
    assert float(found.median()) >= float(heights.max()) - 0.05 * span
    assert (found >= value(model(start)).detach()).all()


def test_limits_hold_and_the_box_too():
    model = linear_layer(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), torch.zeros(2))
    start = 0.2 * torch.rand(6, 2, generator=torch.Generator().manual_seed(3)).double()
    best = maximize_through(
        model, lambda z: z[:, 0], start, limits=lambda z: z[:, :1] - 1.5, steps=300
    )
    with torch.no_grad():
        height = model(best)[:, 0]
    assert (height <= 1.5).all() and float(height.min()) >= 1.45
    assert float(best.min()) >= 0 and float(best.max()) <= 1


def test_every_step_costs_one_evaluation_and_broken_rows_none():
    world = two_class(rows=4)
    search_only = Directional(steps=20, gradient=False)
    found = search(search_only, world.model, world.x, world.goal, LInf(radius=1e-6))
    assert found.passes.forwards == 4 * (1 + 21 + 1) and found.passes.backwards == 0
    one, two = (
        search_only(world.model, world.x, world.goal, LInf(radius=0.01), dice=Dice.of(4, seed=5))
        for _ in range(2)
    )
    assert torch.equal(one, two)
