"""Neurons bounded one by one on parts of the region: sound, tighter, and worth it in a search."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tests.certify.searches import tells_close_levels_apart
from torch import nn

from holdfast.certify.linear.region import Region
from holdfast.certify.network.simplify import simplified
from holdfast.certify.reading.reader import read
from holdfast.certify.search import branch_relu
from holdfast.certify.search.branch_relu import ReluSplits
from holdfast.certify.search.neurons import Ends, strengthened
from holdfast.certify.search.unsafe import Unsafe
from holdfast.ops.interval import Box

INPUTS, COUNT = 5, 16
LATER = 60.0


def net(seed: int, middle: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Three layers of bends, of which the second is of a kind to be chosen."""
    torch.manual_seed(seed)
    parts: list[nn.Module] = []
    for n, m in pairwise((INPUTS, COUNT, COUNT, COUNT, 2)):
        parts += [nn.Linear(n, m).double(), nn.ReLU()]
    parts[3] = middle()
    return nn.Sequential(*parts[:-1])


def rooted(model: nn.Sequential, *, round_: bool = False) -> ReluSplits:
    graph = simplified(read(model, torch.rand(2, INPUTS).double()))
    low, high = torch.zeros(1, INPUTS).double(), torch.ones(1, INPUTS).double()
    radius = torch.tensor([0.9]).double() if round_ else None
    region = Region(Box(low, high), (low + high) / 2, radius, 2 if round_ else torch.inf)
    unsafe = Unsafe.of([(torch.tensor([[1.0, -1.0]]), torch.tensor([5.0]))])
    search = ReluSplits(graph, unsafe, region, time.monotonic() + LATER, False)
    assert search.rooted() is not None
    return search


def widths(boxes: dict[int, Box]) -> float:
    return sum(float((box.high - box.low).sum()) for box in boxes.values())


@torch.no_grad()
@pytest.mark.parametrize("middle", [nn.ReLU, nn.Sigmoid])
@pytest.mark.parametrize("round_", [False, True])
def test_what_the_network_computes_lies_in_boxes_that_shrink(middle, round_) -> None:
    search = rooted(net(0, middle), round_=round_)
    root = search.signed.root
    found, slopes = strengthened(root, search.signed.slopes or {}, time.monotonic() + LATER)
    points = search.region.pulled(torch.rand(20000, INPUTS, dtype=torch.float64))
    before, after = {}, {}
    for p in search.signed.relus.values():
        seen = replace(root.graph, output=p)(points)
        low, high = found.boxes[p]
        assert (seen >= low).all() and (seen <= high).all()
        before[p], after[p] = root.boxes[p], found.boxes[p]
        assert all(i < p for i in slopes.get(p, {}))
    assert widths(after) <= (0.97 if middle is nn.ReLU else 1) * widths(before)


@torch.no_grad()
def test_ends_never_fall_and_end_at_the_least_value() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 2)
    ).double()  # fmt: skip
    graph = simplified(read(model, torch.rand(2, 2).double()))
    box = Box(-torch.ones(1, 2).double(), torch.ones(1, 2).double())
    unsafe = Unsafe.of([(torch.tensor([[1.0, -1.0]]), torch.tensor([5.0]))])
    search = ReluSplits(
        graph, unsafe, Region(box, torch.zeros(1, 2).double()), time.monotonic() + LATER, False
    )
    assert search.rooted() is not None
    root, p = search.signed.root, list(search.signed.relus.values())[1]
    open_ = ((root.boxes[p].low < 0) & (root.boxes[p].high > 0))[0].nonzero().flatten()
    assert len(open_)
    ends = Ends(root, p, open_, (search.signed.slopes or {})[p])
    least = [ends.least()]
    while ends.step():
        least.append(ends.least())
        assert (least[-1] >= least[-2]).all()
    grid = torch.linspace(-1, 1, 401).double()
    seen = replace(root.graph, output=p)(torch.cartesian_prod(grid, grid))[:, open_]
    true = torch.cat([seen.amin(0), -seen.amax(0)])
    assert (least[-1] <= true).all() and (true - least[-1] < 0.03).all()
    assert float((true - least[0]).max()) > 0.05


def test_a_search_that_begins_anew_with_such_bounds_decides_the_same(monkeypatch) -> None:
    called = []

    def watched(*args):
        called.append(True)
        return strengthened(*args)

    monkeypatch.setattr(branch_relu, "EARLY", 0.0)
    monkeypatch.setattr("holdfast.certify.search.rooted.strengthened", watched)
    tells_close_levels_apart(net(0), INPUTS, 0.05)
    assert called
