"""The semidefinite bound against exact minima, whatever multipliers it is given."""

import torch
from torch import nn

from holdfast.certify.linear.bounds import margins, propagate
from holdfast.certify.linear.crown import CROWN
from holdfast.certify.linear.prepare import prepare
from holdfast.certify.lipschitz.chain import linked
from holdfast.certify.semidefinite.problem import Problem
from holdfast.certify.semidefinite.sdp import SDP, _asked, _network
from holdfast.certify.semidefinite.solve import linear_start
from holdfast.core.goal import Untargeted
from holdfast.testing.worlds import TinyReLU
from holdfast.threats.norms import LInf

WORLD, RADIUS = TinyReLU.make(rows=2), 0.15


def problems(row: int) -> list[Problem]:
    one = slice(row, row + 1)
    question = prepare(WORLD.model, WORLD.x[one], WORLD.goal.take(one), LInf(radius=RADIUS))
    assert question is not None
    graph, region, c, _ = question
    links = linked(graph)
    with torch.no_grad():
        common = _network(links, propagate(graph, region, "crown").boxes)
        return [_asked(links, common, -way, 0.0) for way in c[0]]


def test_any_multipliers_stay_below_the_exact_minimum() -> None:
    g = torch.Generator().manual_seed(0)
    for row in range(2):
        points = WORLD.corners(row, RADIUS)
        with torch.no_grad():
            ways = Untargeted(WORLD.y[row].expand(len(points))).ways(WORLD.model(points))
        for way, problem in enumerate(problems(row)):
            exact = -float(ways[:, way].max())
            start = linear_start(problem)
            for trial in range(30):
                noise = torch.randn(len(start), generator=g, dtype=torch.float64)
                scale = 10.0 ** (3 * torch.rand((), generator=g).item() - 2)
                assert problem.bound((trial % 2) * start + scale * noise) <= exact + 1e-12


def test_the_linear_start_is_crowns_bound() -> None:
    question = prepare(WORLD.model, WORLD.x, WORLD.goal, LInf(radius=RADIUS))
    assert question is not None
    graph, region, c, constant = question
    with torch.no_grad():
        lines = margins(propagate(graph, region, "crown"), c, constant, relax=True)
    for row in range(2):
        for way, problem in enumerate(problems(row)):
            found = -problem.bound(linear_start(problem))
            assert abs(found - float(lines[row, way])) < 1e-6


def test_it_lies_between_crown_and_the_exact_margin() -> None:
    crown = CROWN()(WORLD.model, WORLD.x, WORLD.goal, LInf(radius=RADIUS)).margin
    exact = WORLD.worst(RADIUS)
    for rank in (0, 3):
        found = SDP(steps=20, rank=rank)(WORLD.model, WORLD.x, WORLD.goal, LInf(radius=RADIUS))
        assert bool((found.margin >= exact).all()) and bool((found.margin <= crown).all())
        assert float((found.margin - exact).sum()) < 0.6 * float((crown - exact).sum())


def test_two_layers_of_float32_hold_against_sampling() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)
        ).eval()
        x = torch.rand(1, 3)
        with torch.no_grad():
            goal = Untargeted(model(x).argmax(1))
            found = SDP(steps=20)(model, x, goal, LInf(radius=0.3)).margin
            near = (x + 0.6 * (torch.rand(5000, 3) - 0.5)).clamp(0, 1)
            many = Untargeted(goal.y.expand(5000))
            assert float(many(model(near)).max()) <= float(found)
