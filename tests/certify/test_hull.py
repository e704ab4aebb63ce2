"""Planes above ReLUs as functions of what their neurons see: sound, and as low as the hull."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import product
from math import prod

import pytest
import torch
from tests.certify.test_given import begun, inside, net
from torch import Tensor, nn

from holdfast.certify.linear.backward import evaluated
from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.hull import First, Hull
from holdfast.certify.linear.region import region
from holdfast.certify.network.graph import Graph
from holdfast.certify.network.local import Kernels, Local
from holdfast.certify.network.simplify import simplified
from holdfast.certify.reading.reader import read
from holdfast.certify.search.branching import divided
from holdfast.certify.search.climb import Climb
from holdfast.certify.search.firm import firmed
from holdfast.certify.search.given import Given
from holdfast.certify.search.shares import Shares, chords, outgrown, reshaped, shaped
from holdfast.ops.interval import Box
from holdfast.ops.linear import relu_lines
from holdfast.threats.norms import LInf

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


def every(graph: Graph, p: int, box: Box) -> First:
    """All neurons of a value, before which a box lies."""
    neurons = Local.of(graph, p, torch.arange(prod(graph.nodes[p].shape)))
    assert neurons is not None
    return First.on(0, neurons, box)


def planes(first: First, shares: Tensor) -> Hull:
    """Planes of shares `(K, window)`."""
    return first.hull(shares[None], first.offsets(shares[None]))


def beaten(plane: Hull, graph: Graph, p: int, box: Box, points: Tensor) -> bool:
    """Whether a ReLU lies above its plane somewhere."""
    z = box.low + (box.high - box.low) * points
    value = replace(graph, output=p)(z).clamp(min=0).flatten(1)
    return bool((value > plane.slopes.linear(z).flatten(1) + plane.offset).any())


def sampled(seed: int) -> list[bool]:
    """Random shares on random boxes, met by random points and by corners."""
    found = []
    for graph, p, x in cases(seed):
        half = torch.rand_like(x)
        box = Box(x - half, x + half)
        first = every(graph, p, box)
        points = torch.rand(POINTS, *x.shape[1:]).double()
        points[::2] = points[::2].round()
        size = first.neurons.weight.shape
        for shares in (torch.rand(size), torch.rand(size).round()):
            found.append(beaten(planes(first, shares), graph, p, box, points))
    return found


def test_no_point_of_a_box_lies_above_its_planes() -> None:
    assert not any(any(sampled(seed)) for seed in range(6))


@pytest.mark.parametrize("only", [0, 1])
def test_with_one_of_the_two_cases_alone_points_do(monkeypatch, only: int) -> None:
    whole = First.cases
    monkeypatch.setattr(First, "cases", lambda *args: (whole(*args)[only],) * 2)
    assert all(any(sampled(seed)) for seed in range(3))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_local_neurons_are_those_of_the_layer_both_ways(share: float) -> None:
    for graph, p, x in cases(3):
        op, shape = graph.nodes[p].operator, graph.nodes[p].shape
        some = torch.randperm(prod(shape))[: int(share * prod(shape))]
        neurons = Local.of(graph, p, some)
        assert neurons is not None
        kernels = Kernels(neurons, neurons.weight * torch.tensor([1.0, 2.0])[:, None, None])
        z, a = torch.randn(2, 3, *x.shape[1:]).double(), torch.randn(2, 3, *shape).double()
        bias = torch.zeros(1) if op.bias is None else op.bias
        own = op.linear([z.flatten(0, 1)]) - bias
        kept = torch.zeros(prod(shape)).index_fill(0, some, 1.0).reshape(shape)
        wanted = kept * (own - op.linear([0 * z.flatten(0, 1)]) + bias).unflatten(0, (2, 3))
        wanted[1] *= 2
        assert torch.allclose(kernels.linear(z), wanted)
        back = op.back((a * kept).flatten(0, 1))[0].unflatten(0, (2, 3)).clone()
        back[1] *= 2
        assert torch.allclose(kernels.back(a), back)
        assert torch.equal(neurons.bias, bias.expand(shape).flatten()[some])
        assert neurons.terms == op.terms


def test_the_chord_is_one_of_the_planes() -> None:
    for graph, p, x in cases(1):
        first = every(graph, p, Box(x - 0.5, x + 0.5))
        bias = first.neurons.bias
        low, high = (end.sum(1) + bias for end in first.reach)
        line = relu_lines(Box(low, high))
        share = line.upper_slope[:, None].expand_as(first.neurons.weight)
        plane = planes(first, share)
        # The same function of z: `s (w z + b) + t` is `s w z + C`.
        same = plane.offset[0] - (line.upper_slope * bias + line.upper_offset)
        assert same[(low < 0) & (high > 0)].abs().max() < 1e-12


def test_the_best_planes_reach_the_convex_hull_of_the_corners() -> None:
    """Above a point, the hull is the largest mean of corner values with that mean."""
    from scipy.optimize import linprog

    torch.manual_seed(0)
    n, gained = 3, 0.0
    for _ in range(4):
        layer = nn.Linear(n, 1).double()
        one, at = torch.zeros(1, dtype=torch.long), torch.arange(n)[None]
        neurons = Local(one, at, layer.weight.detach(), layer.bias.detach(), (1,), (n,))
        box = Box(torch.zeros(1, n).double() - 1, torch.ones(1, n).double())
        first = First.on(0, neurons, box)
        corners = torch.tensor(list(product((-1.0, 1.0), repeat=n))).double()
        values = (corners @ neurons.weight.T + neurons.bias).clamp(min=0)[:, 0]
        z = torch.rand(n).double() * 2 - 1
        rows = torch.cat([corners.T, torch.ones(1, 2**n)]).numpy()
        mean = linprog(-values.numpy(), A_eq=rows, b_eq=[*z.tolist(), 1.0])
        steps = torch.linspace(0, 1, 11)
        shares = torch.tensor(list(product(steps, repeat=n)))[:, None]
        plane = first.hull(shares, first.offsets(shares))
        at_z = (plane.slopes.linear(z.expand(len(shares), n)) + plane.offset)[:, 0]
        least = float(at_z.min())
        flat = float(at_z[(shares == shares[:, :, :1]).all(2)[:, 0]].min())
        assert -mean.fun - 1e-9 <= least <= -mean.fun + 0.05 * float(values.max())
        gained += flat - least
    assert gained > 0.1


@torch.no_grad()
def test_chosen_planes_bound_no_worse_and_stay_below_every_point() -> None:
    met = 0
    for seed in range(2):
        signed, part, points = begun(seed, 0.02)
        own = shaped(signed, part, LATER)
        assert own.shares and not part.shares and not own.depth.any()
        least = float(signed.unsafe.margin(signed.graph(points)).min())
        signed.once(own)
        assert part.bound.item() - 1e-6 <= own.bound.item() <= least
        halves, _ = divided(signed, own)
        assert bool((halves.depth == 1).all()) and not bool(outgrown(halves).any())
        assert reshaped(signed, halves, LATER) is halves
        bare = replace(halves, depth=halves.depth + 99, shares={}, roofs={})
        assert not bool(outgrown(bare).any())
        assert bool(outgrown(replace(halves, depth=halves.depth + 99)).all())
        # Each half with planes of its own, both at once.
        later = reshaped(signed, replace(halves, depth=halves.depth + 99), LATER)
        assert not later.depth.any() and bool((later.shares[2][0] != later.shares[2][1]).any())
        signed.improve(later, 5)
        for row in range(2):
            held = torch.ones(len(points), dtype=torch.bool)
            for p, sign in later.signs.items():
                held &= (replace(signed.graph, output=p)(points) * sign[row] >= 0).flatten(1).all(1)
            seen = signed.unsafe.margin(signed.graph(points[held]))[:, 0]
            assert (later.bound[row, 0] <= seen).all()
            met += int(held.sum())
    assert met > 1000


@torch.no_grad()
def test_parts_side_by_side_are_bounded_as_alone() -> None:
    signed, part, _ = begun(0, 0.3)
    halves, _ = divided(signed, shaped(signed, part, LATER))
    halves = replace(halves, depth=halves.depth + 99)
    both = reshaped(signed, halves, LATER)
    signed.once(both)
    split, index = divided(signed, both.clone())
    for row in range(2):
        one = reshaped(signed, halves.take(slice(row, row + 1)).clone(), LATER)
        signed.once(one)
        assert one.bound.item() == pytest.approx(both.bound[row].item(), abs=1e-3)
        own, neuron = divided(signed, both.take(slice(row, row + 1)).clone())
        assert int(neuron) == int(index[row])
        assert torch.allclose(own.bound, split.bound[row::2], atol=1e-6)


@torch.no_grad()
def test_inputs_that_reach_the_alternative_stay_in_boxes_bounded_with_planes() -> None:
    gained, met = 0.0, 0
    for seed in range(3):
        signed, part, points = begun(seed, 0.02)
        halves, _ = divided(signed, shaped(signed, part, LATER))
        (p,) = halves.pull
        for row in range(len(halves)):
            half = halves.take(slice(row, row + 1)).clone()
            held = inside(signed, half, 0, points)
            wide = float((half.high[p] - half.low[p]).sum())
            remains = Given(signed, half, p).told()
            assert remains or not bool(held.any())
            seen = replace(signed.graph, output=p)(points[held])
            if remains:
                assert (seen >= half.low[p]).all() and (seen <= half.high[p]).all()
            gained += wide - float((half.high[p] - half.low[p]).sum())
            met += int(held.sum())
    assert met > 300 and gained > 1


@torch.no_grad()
def test_lines_with_planes_lie_below_the_network() -> None:
    signed, part, points = begun(1, 0.02)
    own = shaped(signed, part, LATER)
    one = torch.zeros(1, dtype=torch.long)
    line, d = signed.pairs(own, one, one).line()
    value = points @ line.slope[0, 0] + line.offset[0, 0] - line.slack[0, 0] - d[0, 0]
    assert bool((value <= signed.unsafe.margin(signed.graph(points))[:, 0]).all())
    assert float(value.min()) >= float((evaluated(signed.bounds(own, one), line) - d)[0, 0])


@torch.no_grad()
def test_the_ascent_follows_the_slopes_of_the_bound() -> None:
    signed, part, _ = begun(0, 0.02)
    own = shaped(signed, part, LATER)
    one = torch.zeros(1, dtype=torch.long)
    climb = Shares(signed.pairs(own, one, one), signed.scale, signed.first, own.shares)
    (i,) = climb.shares
    climb.shares[i].clamp_(0.1, 0.9)
    before = climb.value()
    slope = climb.gradient()[-1]
    step = 1e-3 * slope / slope.norm()
    climb.shares[i].add_(step)
    assert float(climb.value() - before) == pytest.approx(float((slope * step).sum()), rel=0.05)
    assert bool((chords(signed)[i] <= 1).all())


@torch.no_grad()
def test_neurons_that_see_too_much_together_have_no_planes(monkeypatch) -> None:
    signed, part, _ = begun(0, 0.02)
    (first,) = signed.first.values()
    for most, found in ((first.neurons.weight.numel(), 1), (first.neurons.weight.numel() - 1, 0)):
        monkeypatch.setattr("holdfast.certify.network.local.MOST", most)
        assert len(First.of(signed.graph, signed.relus, signed.root.boxes)) == found
    del signed.first
    assert shaped(signed, part, LATER) is part
    root = signed.root
    firm = firmed(root, signed.relus, time.monotonic() + LATER)
    assert all(torch.equal(a.low, b.low) for a, b in zip(root.boxes, firm.boxes, strict=True))


@torch.no_grad()
def test_what_rounding_takes_is_taken_from_what_an_ascent_sees() -> None:
    signed, part, _ = begun(0, 0.02)
    one = torch.zeros(1, dtype=torch.long)
    signed.once(part)
    line, _ = signed.pairs(part, one, one).line()
    assert torch.equal(part.slack, line.slack) and bool((part.slack > 0).all())
    pairs = signed.pairs(part, one, one)
    more = replace(pairs, slack=pairs.slack + 0.5)
    seen = [Climb(p, signed.scale).value() for p in (pairs, more)]
    assert torch.allclose(seen[0] - seen[1], torch.tensor(0.5), atol=1e-5)


@torch.no_grad()
def test_neurons_with_planes_of_their_own_are_narrower_and_hold_every_point() -> None:
    for seed in range(3):
        signed, _, points = begun(seed, 0.02)
        root, now = signed.root, time.monotonic()
        firm = firmed(root, signed.relus, now + LATER)
        gained = []
        for p in signed.relus.values():
            seen, old, new = replace(signed.graph, output=p)(points), root.boxes[p], firm.boxes[p]
            assert (seen >= new.low).all() and (seen <= new.high).all()
            assert (new.low >= old.low).all() and (new.high <= old.high).all()
            gained.append(1 - float((new.high - new.low).sum() / (old.high - old.low).sum()))
        assert gained[0] == 0 and min(gained[1:]) > 0.02
        late = firmed(root, signed.relus, now - 1)
        assert all(torch.equal(late.boxes[p].low, root.boxes[p].low) for p in signed.relus.values())


class Parted(nn.Module):
    """Two branches from the input, of which only one leads through another ReLU."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(4, 6).double(), nn.Linear(4, 5).double()
        self.c, self.d = nn.Linear(6, 5).double(), nn.Linear(5, 3).double()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.d(self.b(x).relu() + self.c(self.a(x).relu()).relu())
        return found


@torch.no_grad()
def test_neurons_are_bounded_where_some_before_them_are_no_part_of_theirs() -> None:
    x = torch.zeros(1, 4).double()
    graph = read(Parted(), x)
    bounds = propagate(graph, region(LInf(radius=0.6, low=-9, high=9), x), "crown")
    relus = {i: n.parents[0] for i, n in enumerate(graph.nodes) if n.is_relu}
    firm, last = firmed(bounds, relus, time.monotonic() + LATER), max(relus.values())
    points = (torch.rand(POINTS, 4) * 2 - 1).double() * 0.6
    seen, old, new = replace(graph, output=last)(points), bounds.boxes[last], firm.boxes[last]
    assert (seen >= new.low).all() and (seen <= new.high).all()
    assert (new.high - new.low).sum() < 0.95 * (old.high - old.low).sum()
