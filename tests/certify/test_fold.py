"""Folded networks: the same function on smaller and smaller boxes, bounds that hold for models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from tests.certify.searches import LATER, decides_like_enumeration
from torch import Tensor, nn

from holdfast.certify.linear import written
from holdfast.certify.linear.expressions import folded
from holdfast.certify.linear.fold import narrowed
from holdfast.certify.linear.folded import Folded
from holdfast.certify.network.graph import Graph
from holdfast.certify.network.operators import Dense
from holdfast.certify.network.simplify import simplified
from holdfast.certify.reading.reader import read
from holdfast.certify.search import branch, branch_fold
from holdfast.certify.search.branch import prove
from holdfast.certify.search.branch_fold import FoldedSplits
from holdfast.certify.search.parts import Parts
from holdfast.certify.search.refold import Work
from holdfast.certify.search.stack import pop
from holdfast.ops.interval import Box

POINTS = 4000


class Lattice(nn.Module):
    """The largest of several smallest of linear functions, each comparison made of ReLUs."""

    def __init__(self, functions: int, groups: int, seed: int = 0) -> None:
        super().__init__()
        dice = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(functions, 2, generator=dice)
        self.bias = torch.randn(functions, generator=dice)
        self.chosen = torch.randint(functions, (groups, 8), generator=dice)

    def forward(self, x: Tensor) -> Tensor:
        z = (x.flatten(1) @ self.weight.T + self.bias)[:, self.chosen.flatten()]
        turn = -1.0
        while z.shape[1] > 1:
            turn = 1.0 if z.shape[1] == len(self.chosen) else turn
            eye = torch.eye(z.shape[1] // 2)
            a, b = torch.kron(eye, torch.tensor([[1.0, 1.0]])), eye.repeat_interleave(2, 1)
            b = b * torch.tensor([1.0, -1.0]).repeat(len(eye))
            each = torch.cat([a, -a, b, -b])
            back = torch.cat([eye, -eye, turn * eye, turn * eye], 1) / 2
            z = torch.relu(z @ each.T) @ back.T
        return z


def mixed(seed: int) -> nn.Module:
    """A small dense network."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(),
                         nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 2))  # fmt: skip


def scene(model: nn.Module, outputs: int) -> tuple[Graph, Folded, Tensor, Tensor]:
    """The network on a square, with what is asked."""
    graph = simplified(read(model.eval(), torch.rand(2, 2)))
    c = torch.tensor([[1.0, -1.0], [-2.0, 1.0]], dtype=torch.float64)[:, :outputs]
    d = torch.tensor([0.25, -0.5], dtype=torch.float64)
    box = Box(torch.full((2,), -1.0).double(), torch.full((2,), 1.0).double())
    found = folded(graph, box, c, d)
    assert found is not None
    return graph, found, c, d


def inside(box: Box, seed: int) -> Tensor:
    """Points of a box that float32 holds exactly, corners among them."""
    share = torch.rand(POINTS, 2, generator=torch.Generator().manual_seed(seed)).double()
    share[:100] = share[:100].round()
    x = (box.low + share * (box.high - box.low)).float().double()
    return torch.clamp(x, box.low, box.high)


@pytest.mark.parametrize(
    ("model", "outputs"),
    [(Lattice(9, 8), 1), (Lattice(20, 16, 1), 1), (mixed(0), 2), (mixed(1), 2)],
)
def test_bounds_hold_for_what_the_model_computes_on_ever_smaller_boxes(
    model: nn.Module, outputs: int
) -> None:
    graph, network, c, d = scene(model, outputs)
    box, dice = network.box, torch.Generator().manual_seed(0)
    start = network.count
    for step in range(9):
        x = inside(box, step)
        with torch.no_grad():
            computed = model(x.float()).double() @ c.T - d
        seen = network.bounded(Box(box.low[None], box.high[None]))
        assert (computed >= seen.value).all()
        assert ((network(x) - (graph(x) @ c.T - d)).abs() <= network.asked.error).all()
        assert network.asked.error.max() < 1e-3
        network = narrowed(network, box, seen.neurons.take(0))
        again = network.bounded(Box(box.low[None], box.high[None]))
        assert (computed >= again.value).all()
        assert (again.value >= seen.value - 1e-3).all()
        axis, side = step % 2, int(torch.randint(2, (), generator=dice))
        middle = (box.low + box.high) / 2
        ends = [end.clone() for end in box]
        ends[side][axis] = middle[axis]
        box = Box(*ends)
    assert network.count < start
    gap = (network(inside(box, 0)).amin(0) - again.value[0]).max()
    assert gap < 0.3  # and they are no idle ones


def test_twins_and_values_that_nobody_needs_vanish() -> None:
    class Same(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            z = x[:, :1] - x[:, 1:]
            all_ = torch.relu(torch.cat([z, -z, z, z + 5], 1))
            return all_ @ torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])

    graph, network, c, d = scene(Same(), 2)
    assert network.count == 1
    x = inside(network.box, 0)
    assert torch.allclose(network(x), graph(x) @ c.T - d, rtol=0, atol=1e-12)
    only = folded(graph, network.box, torch.tensor([[1.0, 0.0]]).double(), d[:1])
    assert only is not None and only.count == 0


class Noisy(nn.Module):
    """What is never negative: differences of twins and their lines, behind roundings unlike."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        dice = torch.Generator().manual_seed(seed)
        slopes = torch.randint(-8, 9, (3, 2), generator=dice).repeat_interleave(4, 0) / 8
        self.turn = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(3)
        self.slopes = slopes * self.turn[:, None]
        self.far = torch.randint(100, 9999, (12,), generator=dice) * 1.0
        self.bias = torch.randint(-4, 5, (3,), generator=dice).repeat_interleave(4) / 8 * self.turn

    def forward(self, x: Tensor) -> Tensor:
        slopes, far, bias = (v.to(x) for v in (self.slopes, self.far, self.bias))
        z = (x.flatten(1) @ slopes.T + far) @ torch.eye(12).to(x) - far
        r, line = torch.relu(z + bias), x.flatten(1) @ slopes.T + bias
        same = r[:, 0::4] - r[:, 1::4]
        turned = r[:, 0::4] - r[:, 2::4] - line[:, 0::4]
        return torch.cat([same, -same, turned, -turned, r - line], 1)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_nothing_in_real_numbers_stays_above_its_bounds(seed: int) -> None:
    """A lost error term shows: in real numbers the first twelve are zero everywhere."""
    model = Noisy(seed)
    graph = simplified(read(model.eval(), torch.rand(2, 2)))
    c, d = torch.eye(24, dtype=torch.float64), torch.zeros(24, dtype=torch.float64)
    seen = 0
    for power in range(0, 27, 2):
        centre = torch.tensor([0.25, -0.5]).double()
        box = Box(centre - 2.0**-power, centre + 2.0**-power)
        network = folded(graph, box, c, d)
        assert network is not None and network.count <= 3
        x = inside(box, power)
        computed = model(x.float()).double()
        for _ in range(2):
            bounds = network.bounded(Box(box.low[None], box.high[None]))
            assert (computed >= bounds.value).all() and (bounds.value[:, :12] > -0.2).all()
            network = narrowed(network, box, bounds.neurons.take(0))
        seen += int((computed[:, :12] < 0).any())
    assert seen  # the model itself does lose something


def rational(layers: list[tuple[Tensor, Tensor]], x: Tensor) -> list[Fraction]:
    """What a network computes in exact arithmetic at one point."""
    h = [Fraction(v) for v in x.tolist()]
    for k, (weight, bias) in enumerate(layers):
        h = [max(v, Fraction(0)) for v in h] if k else h
        rows = zip(weight.tolist(), bias.tolist(), strict=True)
        h = [sum((Fraction(w) * v for w, v in zip(row, h, strict=True)), Fraction(b))
             for row, b in rows]  # fmt: skip
    return h


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("wide", [0.0, 1.0])
def test_the_roundings_of_folding_itself_are_counted(seed: int, wide: float) -> None:
    """An exact network whose terms cancel near a point: nothing is left but what folding loses."""
    torch.manual_seed(seed)
    x = torch.rand(2).double()
    rows = torch.randn(8, 3).double() * 10 ** torch.randint(0, 4, (8, 1))
    rows *= (rows[:, :2] @ x + rows[:, 2]).sign()[:, None]  # all neurons are positive there
    last = torch.linalg.svd(rows.T)[2][-1:]
    layers = [(rows[:, :2], rows[:, 2]), (last, torch.zeros(1).double())]
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)).double()
    for layer, (weight, bias) in zip((model[0], model[2]), layers, strict=True):
        layer.load_state_dict({"weight": weight, "bias": bias})
    graph = read(model.eval(), torch.rand(2, 2).double())
    exact = Graph(tuple(replace(node, unit=0.0) for node in graph.nodes), graph.output)
    c, d, true = (
        torch.tensor([[1.0], [-1.0]]).double(),
        torch.zeros(2).double(),
        rational(layers, x),
    )
    near = Box(x - 1e-12, x + 1e-12)
    network = folded(exact, Box(near.low - wide, near.high + wide), c, d)
    assert network is not None and bool(network.count) == bool(wide)
    known = network.bounded(Box(near.low[None], near.high[None])).neurons.take(0)
    network = narrowed(network, near, known)
    value = network.bounded(Box(x[None], x[None])).value[0].tolist()
    assert network.count == 0 and sum(value) > -1e-6
    assert Fraction(value[0]) <= true[0] <= -Fraction(value[1])


def test_numbers_that_are_none_prove_nothing() -> None:
    first = torch.tensor([[1.0, 0.5], [-1.0, 2.0], [0.5, -1.0]]).double()
    model = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 1))
    model[0].weight.data[:], model[2].weight.data[:] = first, 1.0
    graph, network, c, d = scene(model, 1)
    known = Box(torch.full((network.count,), torch.nan).double(), network.layers[0].known.high)
    lost = narrowed(network, network.box, known)
    box = Box(network.box.low[None], network.box.high[None])
    assert not (lost.bounded(box).value > -torch.inf).any()
    for bad in (torch.nan, torch.inf, 1e308):
        first[0, 0] = bad
        wrong = replace(graph.nodes[1], operator=Dense(first))
        nodes = (graph.nodes[0], wrong, *graph.nodes[2:])
        assert folded(Graph(nodes, graph.output), network.box, c, d) is None
    rough = replace(graph.nodes[1], extra=2**62)  # so many roundings may lose everything
    nodes = (graph.nodes[0], rough, *graph.nodes[2:])
    assert folded(Graph(nodes, graph.output), network.box, c, d) is None


class Coarse(nn.Module):
    """What float32 loses at a thousand."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + 1000.0) - 1000.0


def test_the_rounding_of_the_model_is_in_the_bounds() -> None:
    _, network, c, d = scene(Coarse(), 2)
    seen = network.bounded(Box(network.box.low[None], network.box.high[None]))
    x = inside(network.box, 1)
    computed = Coarse()(x.float()).double() @ c.T - d
    lost = (network(x) - computed).abs().amax(0)
    assert network.count == 0 and (lost > 1e-5).all()
    assert (lost <= seen.error[0]).all() and (seen.value[0] <= computed.amin(0)).all()
    fine = folded(simplified(read(Coarse(), torch.rand(2, 2).double())), network.box, c, d)
    assert fine is not None
    assert float(fine.bounded(Box(*(end[None] for end in network.box))).error.max()) < 1e-9


def test_the_search_on_folded_networks_decides_like_enumeration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(written, "MANY", 1)
    used = []

    class Watched(FoldedSplits):
        def run(self, most: int | None = None) -> str:
            used.append(True)
            return super().run(most)

    monkeypatch.setattr(branch, "FoldedSplits", Watched)
    decides_like_enumeration(signs=False)
    assert used


def test_parts_of_a_network_of_their_own_are_taken_in_any_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(written, "MANY", 1)
    dice = torch.Generator().manual_seed(0)
    taken: list[int] = []

    def some(stack: list[Parts], size: int, join: Callable[[list[Parts]], Parts]) -> Parts:
        size = int(torch.randint(1, 1 + sum(map(len, stack)), (1,), generator=dice))
        taken.append(len(stack))
        return pop(stack, size, join)

    def first(*args: Any) -> Iterator[tuple[Tensor, Work | None]]:
        rows, work = args[-1], args[2]
        if len(rows):
            yield rows, Work(work.network, work.read, []) if len(taken) < 2 else None

    monkeypatch.setattr(branch_fold, "pop", some)
    monkeypatch.setattr(branch_fold, "groups", first)
    for seed in range(4, 8):
        taken.clear()
        graph = read(mixed(seed).eval(), torch.rand(2, 2))
        low, high = torch.full((2,), -1.0).double(), torch.full((2,), 1.0).double()
        z = graph(inside(Box(low, high), seed))[:, 0]
        rows = [(torch.tensor([[1.0, 0.0]]), z.min()[None] - 0.003)]
        found = prove(graph, low, high, rows, deadline=time.monotonic() + LATER, attack=False)
        assert found.answer == "unsat" and max(taken) > 1


@pytest.mark.parametrize("seed", range(3))
def test_levels_of_large_lattices_are_told_apart(seed: int) -> None:
    model = Lattice(24, 64, seed)
    graph = read(model, torch.rand(2, 2))
    assert written.large(simplified(graph))
    low, high = torch.full((2,), -1.0).double(), torch.full((2,), 1.0).double()
    least = float(graph(inside(Box(low, high), seed)).min())

    def asked(level: float, record: bool = False) -> branch.Decision:
        end = time.monotonic() + LATER
        rows = [(torch.tensor([[1.0]]), torch.tensor([level]))]
        return prove(graph, low, high, rows, deadline=end, attack=False, record=record)

    found = asked(least - 0.05)
    assert found.answer == "unsat" and 0 < found.least <= 0.05
    found = asked(least + 0.01)
    assert found.answer == "sat" and found.witness is not None
    assert float(graph(found.witness[None])) <= least + 0.01


def test_networks_with_other_bends_are_not_folded() -> None:
    graph = simplified(read(nn.Sequential(nn.Linear(2, 4), nn.Tanh()), torch.rand(2, 2)))
    assert not written.covered(graph)
