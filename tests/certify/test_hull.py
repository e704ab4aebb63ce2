"""Planes above ReLUs as functions of what their neurons see: sound, and as low as the hull."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from tests.certify.test_given import begun, inside, net
from torch import Tensor, nn

from holdfast.certify.linear import hull as hulls
from holdfast.certify.linear.backward import evaluated
from holdfast.certify.linear.hull import Hull, hull
from holdfast.certify.network.graph import Graph
from holdfast.certify.network.local import Local
from holdfast.certify.network.simplify import simplified
from holdfast.certify.reading.reader import read
from holdfast.certify.search.branching import divided
from holdfast.certify.search.given import Given
from holdfast.certify.search.shares import Shares, chords, neurons_of, outgrown, shaped
from holdfast.ops.interval import Box
from holdfast.ops.linear import relu_lines

LATER = 1e9
POINTS = 400


def padded(seed: int) -> tuple[nn.Module, Tensor]:
    """A convolution with stride, padding and dilation."""
    torch.manual_seed(seed)
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=1, dilation=1 + seed % 2).double()
    return nn.Sequential(layer, nn.ReLU(), nn.Flatten(), nn.LazyLinear(2).double()), torch.rand(
        1, 2, 7, 6
    ).double()


def cases(seed: int) -> list[tuple[Graph, int, Tensor]]:
    """Networks, the position of their first neurons, and an input."""
    found = []
    for model, x in [(net(seed), torch.rand(1, 6).double()), padded(seed)]:
        model(x)
        graph = simplified(read(model, x.expand(2, *x.shape[1:])))
        first = next(n.parents[0] for n in graph.nodes if n.is_relu)
        found.append((graph, first, x))
    return found


def beaten(plane: Hull, graph: Graph, p: int, box: Box, points: Tensor) -> bool:
    """Whether a ReLU lies above its plane somewhere."""
    z = box.low + (box.high - box.low) * points
    value = replace(graph, output=p)(z).clamp(min=0)
    return bool((value > plane.slopes.linear([z]) + plane.offset).any())


def sampled(seed: int) -> list[bool]:
    """Random shares on random boxes, met by random points and by corners."""
    found = []
    for graph, p, x in cases(seed):
        neurons = Local.of(graph, p)
        assert neurons is not None
        half = torch.rand_like(x)
        box = Box(x - half, x + half)
        points = torch.rand(POINTS, *x.shape[1:]).double()
        points[::2] = points[::2].round()
        for shares in (torch.rand(neurons.weight.shape), torch.rand(neurons.weight.shape).round()):
            plane = hull(0, neurons, shares, box)
            found.append(beaten(plane, graph, p, box, points))
    return found


def test_no_point_of_a_box_lies_above_its_planes() -> None:
    assert not any(any(sampled(seed)) for seed in range(6))


@pytest.mark.parametrize("only", [0, 1])
def test_with_one_of_the_two_cases_alone_points_do(monkeypatch, only: int) -> None:
    whole = hulls.cases
    monkeypatch.setattr(hulls, "cases", lambda *args: (whole(*args)[only],) * 2)
    assert all(any(sampled(seed)) for seed in range(3))


def test_local_neurons_are_those_of_the_layer_both_ways() -> None:
    for graph, p, x in cases(3):
        neurons, op = Local.of(graph, p), graph.nodes[p].operator
        assert neurons is not None
        z, a = torch.randn(5, *x.shape[1:]).double(), torch.randn(5, *graph.nodes[p].shape).double()
        assert torch.allclose(neurons.linear([z]), op.linear([z]))
        assert torch.allclose(neurons.spread([z.abs()]), op.spread([z.abs()]))
        assert torch.allclose(neurons.back(a)[0], op.back(a)[0])
        assert neurons.terms == op.terms


def test_the_chord_is_one_of_the_planes() -> None:
    for graph, p, x in cases(1):
        neurons = Local.of(graph, p)
        assert neurons is not None
        box = Box(x - 0.5, x + 0.5)
        reach = hulls.ends(neurons, box)
        bias = neurons.bias
        low, high = (neurons.spread_out(end.sum(2)) + bias for end in reach)
        line = relu_lines(Box(low, high))
        share = neurons.laid(line.upper_slope).mT.expand_as(neurons.weight)
        plane = hull(0, neurons, share, box)
        # The same function of z: `s (w z + b) + t` is `s w z + C`.
        same = plane.offset - (line.upper_slope * bias + line.upper_offset)
        assert same[(low < 0) & (high > 0)].abs().max() < 1e-12


def test_the_best_planes_reach_the_convex_hull_of_the_corners() -> None:
    """Above a point, the hull is the largest mean of corner values with that mean."""
    from scipy.optimize import linprog

    torch.manual_seed(0)
    n, gained = 3, 0.0
    for _ in range(4):
        layer = nn.Linear(n, 1).double()
        neurons = Local(layer.weight.detach()[None], (1,), (n,), None, layer.bias.detach())
        box = Box(torch.zeros(1, n).double() - 1, torch.ones(1, n).double())
        corners = torch.tensor(list(product((-1.0, 1.0), repeat=n))).double()
        values = (corners @ neurons.weight[0].T + neurons.bias).clamp(min=0)[:, 0]
        z = torch.rand(n).double() * 2 - 1
        rows = torch.cat([corners.T, torch.ones(1, 2**n)]).numpy()
        mean = linprog(-values.numpy(), A_eq=rows, b_eq=[*z.tolist(), 1.0])
        steps = torch.linspace(0, 1, 11)
        every = [
            hull(0, neurons, torch.tensor(s)[None, None], box) for s in product(steps, repeat=n)
        ]
        least = min(float(p.slopes.linear([z[None]]) + p.offset) for p in every)
        chord = [p for p in every if p.shares.unique().numel() == 1]
        flat = min(float(p.slopes.linear([z[None]]) + p.offset) for p in chord)
        assert -mean.fun - 1e-9 <= least <= -mean.fun + 0.05 * float(values.max())
        gained += flat - least
    assert gained > 0.1


@torch.no_grad()
def test_chosen_planes_bound_no_worse_and_stay_below_every_point() -> None:
    met = 0
    for seed in range(2):
        signed, part, points = begun(seed, 0.02)
        own, shaped_part = shaped(signed, part, LATER)
        assert own.hulls and not signed.hulls and not part.depth.any()
        least = float(signed.unsafe.margin(signed.graph(points)).min())
        own.once(shaped_part)
        assert part.bound.item() - 1e-6 <= shaped_part.bound.item() <= least
        halves, _ = divided(own, shaped_part)
        assert bool((halves.depth == 1).all()) and not bool(outgrown(own, halves).any())
        assert not bool(outgrown(signed, replace(halves, depth=halves.depth + 99)).any())
        assert bool(outgrown(own, replace(halves, depth=halves.depth + 99)).all())
        for row in range(2):
            half = halves.take(slice(row, row + 1)).clone()
            later, half = shaped(own, half, LATER)
            later.improve(half, 5)
            held = torch.ones(len(points), dtype=torch.bool)
            for p, sign in half.signs.items():
                held &= (replace(signed.graph, output=p)(points) * sign[0] >= 0).flatten(1).all(1)
            seen = signed.unsafe.margin(signed.graph(points[held]))[:, 0]
            assert (half.bound[0, 0] <= seen).all()
            met += int(held.sum())
    assert met > 1000


@torch.no_grad()
def test_inputs_that_reach_the_alternative_stay_in_boxes_bounded_with_planes() -> None:
    gained, met = 0.0, 0
    for seed in range(3):
        signed, part, points = begun(seed, 0.02)
        own, part = shaped(signed, part, LATER)
        halves, _ = divided(own, part)
        (p,) = halves.pull
        for row in range(len(halves)):
            half = halves.take(slice(row, row + 1)).clone()
            held = inside(own, half, 0, points)
            wide = float((half.high[p] - half.low[p]).sum())
            remains = Given(own, half, p).told()
            assert remains or not bool(held.any())
            seen = replace(own.graph, output=p)(points[held])
            if remains:
                assert (seen >= half.low[p]).all() and (seen <= half.high[p]).all()
            gained += wide - float((half.high[p] - half.low[p]).sum())
            met += int(held.sum())
    assert met > 300 and gained > 1


@torch.no_grad()
def test_lines_with_planes_lie_below_the_network() -> None:
    signed, part, points = begun(1, 0.02)
    own, part = shaped(signed, part, LATER)
    one = torch.zeros(1, dtype=torch.long)
    line, d = own.pairs(part, one, one).line()
    value = points @ line.slope[0, 0] + line.offset[0, 0] - line.slack[0, 0] - d[0, 0]
    assert bool((value <= signed.unsafe.margin(signed.graph(points))[:, 0]).all())
    assert float(value.min()) >= float((evaluated(own.bounds(part, one), line) - d)[0, 0])


@torch.no_grad()
def test_the_ascent_follows_the_slopes_of_the_bound() -> None:
    signed, part, _ = begun(0, 0.02)
    own, part = shaped(signed, part, LATER)
    one = torch.zeros(1, dtype=torch.long)
    climb = Shares(own.pairs(part, one, one), own.scale, neurons_of(own))
    (i,) = climb.shares
    climb.shares[i].clamp_(0.1, 0.9)
    before = climb.value()
    slope = climb.gradient()[-1]
    step = 1e-3 * slope / slope.norm()
    climb.shares[i].add_(step)
    assert float(climb.value() - before) == pytest.approx(float((slope * step).sum()), rel=0.05)
    assert bool((chords(own, i, climb.neurons[i]) <= 1).all())
