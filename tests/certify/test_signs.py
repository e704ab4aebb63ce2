"""What bounds parts of a split region: slopes of the root, boxes bounded anew, ascents by hand."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

import torch
from torch import nn

from holdfast.certify.linear.region import Region
from holdfast.certify.network.simplify import simplified
from holdfast.certify.reading.reader import read
from holdfast.certify.search.branch import prove
from holdfast.certify.search.branch_relu import ReluSplits
from holdfast.certify.search.branching import halves_of
from holdfast.certify.search.climb import Climb
from holdfast.certify.search.splits import Splits
from holdfast.certify.search.unsafe import Unsafe
from holdfast.ops.interval import Box

INPUTS, COUNT = 8, 24


def rooted(seed: int) -> tuple[ReluSplits, Splits]:
    """A dense network of three layers of ReLUs, and the whole of its region."""
    torch.manual_seed(seed)
    sizes = (INPUTS, COUNT, COUNT, COUNT, 3)
    parts: list[nn.Module] = []
    for n, m in pairwise(sizes):
        parts += [nn.Linear(n, m).double(), nn.ReLU()]
    graph = simplified(read(nn.Sequential(*parts[:-1]), torch.rand(2, INPUTS).double()))
    rows = [(torch.tensor([[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]]), torch.tensor([5.0, 5.0]))]
    low, high = torch.zeros(INPUTS).double(), torch.ones(INPUTS).double()
    region = Region(Box(low[None], high[None]), (low + high)[None] / 2)
    search = ReluSplits(graph, Unsafe.of(rows), region, time.monotonic() + 60, False)
    with torch.no_grad():
        whole = search.rooted()
    assert whole is not None and bool(whole.open.all())
    return search, whole


def split(search: ReluSplits, whole: Splits) -> tuple[Splits, torch.Tensor]:
    """Halves by the loosest neuron of each layer; the neurons, once for each half."""
    index, start = [], 0
    for p in search.signed.relus.values():
        loose = torch.minimum(-whole.low[p], whole.high[p]).flatten()
        index.append(start + int(loose.argmax()))
        start += loose.numel()
    every = torch.tensor(index)
    parts = whole.take(torch.zeros(len(every), dtype=torch.long))
    return halves_of(search.signed, parts, every), every.repeat(2)


@torch.no_grad()
def test_boxes_bounded_anew_hold_what_lies_in_the_part_and_shrink_behind_the_split() -> None:
    gained = 0
    for seed in range(2):
        search, whole = rooted(seed)
        halves, index = split(search, whole)
        found, _ = search.signed.renewed(halves, index)
        points = torch.rand(4000, INPUTS, dtype=torch.float64)
        values = {p: replace(search.signed.graph, output=p)(points) for p in halves.signs}
        for row in range(len(found)):
            inside = torch.ones(len(points), dtype=torch.bool)
            for p, sign in halves.signs.items():
                inside &= (values[p] * sign[row] >= 0).all(1)
            for p in found.low:
                seen = values[p][inside]
                assert (seen >= found.low[p][row]).all() and (seen <= found.high[p][row]).all()
                assert (found.low[p][row] >= halves.low[p][row]).all()
                gained += int((found.high[p][row] < halves.high[p][row]).sum())
    assert gained > 20


@torch.no_grad()
def test_slopes_of_the_root_bound_neurons_no_worse_than_those_of_least_area() -> None:
    total = {True: 0.0, False: 0.0}
    for seed in range(3):
        search, whole = rooted(seed)
        halves, index = split(search, whole)
        own = search.signed.slopes
        for kept in total:
            search.signed.slopes = own if kept else None
            found, _ = search.signed.renewed(halves, index)
            total[kept] += sum(float((found.high[p] - found.low[p]).sum()) for p in found.low)
    assert total[True] < total[False] - 0.1


def test_slopes_of_bounds_are_those_of_differentiation() -> None:
    search, whole = rooted(0)
    with torch.no_grad():
        halves, _ = split(search, whole)
        rows = torch.arange(len(halves))
        pairs = search.signed.pairs(halves, rows, torch.zeros(len(rows), dtype=torch.long))
        for store in (pairs.slopes, pairs.betas):
            for value in store.values():
                value.uniform_(0.1, 0.9)
        pairs.mix.uniform_(-1, 1)
        climb = Climb(pairs, search.signed.scale)
        found, slopes = climb.value(), climb.gradient()
    free = [*pairs.slopes.values(), *pairs.betas.values(), pairs.mix]
    for value in free:
        value.requires_grad_(True)
    exact = pairs.below(*pairs.line())
    assert torch.allclose(found.double(), exact, atol=1e-4)
    for one, two in zip(slopes, torch.autograd.grad(exact.sum(), free), strict=True):
        assert torch.allclose(one.double(), two, atol=1e-4)


@torch.no_grad()
def test_networks_of_other_bends_too_are_decided() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 12), nn.Sigmoid(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(),
        nn.Linear(12, 2),
    ).double()  # fmt: skip
    with torch.enable_grad():
        graph = read(model, torch.rand(2, 4).double())
    low, high = torch.zeros(4).double(), torch.ones(4).double()
    least = float(graph(torch.rand(20000, 4).double())[:, 0].min())
    rows = [(torch.tensor([[1.0, 0.0]]), torch.tensor([least - 0.004]))]
    end = time.monotonic() + 30
    found = prove(graph, low, high, rows, deadline=end, attack=False, most=500, signs=True)
    assert found.answer in ("unsat", "unknown") and found.domains > 0
