"""Folded networks: the same function on smaller and smaller boxes, bounds that hold for models."""

from __future__ import annotations

import time

import pytest
import torch
from tests.certify.searches import LATER, decides_like_enumeration
from torch import Tensor, nn

from holdfast.certify.linear import written
from holdfast.certify.linear.expressions import folded
from holdfast.certify.linear.fold import narrowed
from holdfast.certify.linear.folded import Folded
from holdfast.certify.network.graph import Graph
from holdfast.certify.network.simplify import simplified
from holdfast.certify.reading.reader import read
from holdfast.certify.search import branch
from holdfast.certify.search.branch import prove
from holdfast.certify.search.branch_fold import FoldedSplits
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
