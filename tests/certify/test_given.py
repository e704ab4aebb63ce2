"""Neurons bounded for the inputs that reach an alternative: none is lost, much is gained."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tests.certify.searches import decides_like_enumeration, tells_close_levels_apart
from torch import nn

from holdfast.certify.linear.region import Region
from holdfast.certify.network.simplify import simplified
from holdfast.certify.reading.reader import read
from holdfast.certify.search import branch_relu
from holdfast.certify.search.branch_relu import ReluSplits
from holdfast.certify.search.branching import divided
from holdfast.certify.search.firm import firmed
from holdfast.certify.search.given import LEVEL, Given, alone, given
from holdfast.certify.search.shares import shaped
from holdfast.certify.search.signs import Signed
from holdfast.certify.search.splits import Splits
from holdfast.certify.search.unsafe import Unsafe
from holdfast.ops.interval import Box

INPUTS, COUNT = 6, 14
LATER = 60.0
POINTS = 20000


class Images(nn.Module):
    """Two convolutions and two dense layers, of an image that comes as a row."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(1, 3, 2), nn.ReLU(), nn.Conv2d(3, 3, 2), nn.ReLU(), nn.Flatten(),
            nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2),
        ).double()  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x.reshape(-1, 1, 3, 3))


def net(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    parts: list[nn.Module] = []
    for n, m in pairwise((INPUTS, COUNT, COUNT, COUNT, 2)):
        parts += [nn.Linear(n, m).double(), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def begun(
    seed: int, share: float, *, rows: int = 1, round_: bool = False
) -> tuple[Signed, Splits, torch.Tensor]:
    """The whole region, asked about a level that a share of points reaches; and points."""
    graph = simplified(read(net(seed), torch.rand(2, INPUTS).double()))
    low, high = torch.zeros(1, INPUTS).double(), torch.ones(1, INPUTS).double()
    radius = torch.tensor([0.9]).double() if round_ else None
    region = Region(Box(low, high), (low + high) / 2, radius, 2 if round_ else torch.inf)
    points = region.pulled(torch.rand(POINTS, INPUTS).double())
    c = torch.tensor([[1.0, -1.0], [0.7, -1.2]])[:rows].double()
    limits = torch.quantile(graph(points) @ c.T, share, dim=0)
    unsafe = Unsafe.of([(c, limits)])
    search = ReluSplits(graph, unsafe, region, time.monotonic() + LATER, False)
    whole = search.rooted()
    assert whole is not None
    signed, part = alone(search.signed, whole.bound, 0)
    signed.improve(part, 20)
    return signed, part, points


def inside(signed: Signed, parts: Splits, row: int, points: torch.Tensor) -> torch.Tensor:
    """Which points reach the alternative and have the signs of a part."""
    found = signed.unsafe.margin(signed.graph(points))[:, 0] <= 0
    for p, sign in parts.signs.items():
        found &= (replace(signed.graph, output=p)(points) * sign[row] >= 0).flatten(1).all(1)
    return found


@torch.no_grad()
@pytest.mark.parametrize(("rows", "round_"), [(1, False), (2, False), (1, True)])
def test_what_reaches_the_alternative_stays_in_boxes_that_shrink(rows: int, round_: bool) -> None:
    gained, held = 0.0, 0
    for seed in range(3):
        signed, parts, points = begun(seed, 0.02, rows=rows, round_=round_)
        (p,) = parts.pull
        for _ in range(3):
            halves, _ = divided(signed, parts)
            before = [inside(signed, halves, row, points) for row in range(len(halves))]
            for row, those in enumerate(before):
                part = halves.take(slice(row, row + 1)).clone()
                wide = float((part.high[p] - part.low[p]).sum())
                remains = Given(signed, part, p).told()
                assert remains or not bool(those.any())
                seen = replace(signed.graph, output=p)(points[those])
                if remains:
                    assert (seen >= part.low[p]).all() and (seen <= part.high[p]).all()
                    # Signs that were told are signs of each of these inputs.
                    assert bool(inside(signed, part, 0, points)[those].all())
                gained += wide - float((part.high[p] - part.low[p]).sum())
                held += int(those.sum())
            signed.improve(halves, 10)
            parts = halves.take(halves.open.any(1))
            if not len(parts):
                break
    assert held > 300 and gained > 1


@torch.no_grad()
def test_parts_are_left_out_where_nothing_remains_and_only_after_some_splits() -> None:
    signed, part, _ = begun(0, 0.02)
    assert given(signed, part) is part  # no split was made since
    old = replace(part, age=part.age + 9)
    (new,) = [given(signed, old)]
    assert len(new) == 1 and int(new.age) == 0
    assert bool((new.pull[max(new.pull)] > 0).any())
    # Beyond the reach of the network nothing remains.
    far = replace(signed.unsafe, d=signed.unsafe.d - 100)
    other, _ = alone(Signed(signed.graph, signed.root, far, renew=False), part.bound, 0)
    assert len(given(other, old)) == 0
    assert given(other, old, until=0.0).bound.shape == old.bound.shape  # time is up: as it was


@pytest.mark.parametrize("soon", [0.0, 0.02])
def test_a_search_by_contradiction_decides_like_enumeration(monkeypatch, soon: float) -> None:
    called = []

    def watched(signed, parts, until):
        called.append(len(parts.pull))
        return given(signed, parts, until)

    monkeypatch.setattr("holdfast.certify.search.rooted.dense", lambda graph: False)
    monkeypatch.setattr(branch_relu, "SOON", soon)
    monkeypatch.setattr(branch_relu, "given", watched)
    decides_like_enumeration(signs=True)
    assert bool(called) or soon > 0


@pytest.mark.parametrize(("model", "inputs", "gap"), [(net(1), INPUTS, 0.03), (Images(), 9, 0.05)])
def test_close_levels_are_told_apart(monkeypatch, model, inputs: int, gap: float) -> None:
    monkeypatch.setattr("holdfast.certify.search.rooted.dense", lambda graph: False)
    monkeypatch.setattr(branch_relu, "SOON", 0.0)
    own = []

    def watched(*args):
        own.append(shaped(*args))
        return own[-1]

    monkeypatch.setattr(branch_relu, "shaped", watched)
    monkeypatch.setattr("holdfast.certify.search.shares.shaped", watched)
    monkeypatch.setattr("holdfast.certify.search.shares.OUTGROWN", 1)
    found = tells_close_levels_apart(model, inputs, gap)
    assert found.least <= (LEVEL if found.domains else gap)
    # Planes were chosen for the whole and for parts.
    assert len(own) > 2 and all(parts.shares for parts in own)


def test_what_a_short_search_leaves_open_is_told_apart_with_firmer_neurons(monkeypatch) -> None:
    monkeypatch.setattr("holdfast.certify.search.rooted.dense", lambda graph: False)
    monkeypatch.setattr(branch_relu, "SOON", 0.0)
    monkeypatch.setattr(branch_relu, "BRIEF", 0.0)
    widths = []

    def watched(bounds, *args):
        found = firmed(bounds, *args)
        widths.append([float((b.boxes[-2].high - b.boxes[-2].low).sum()) for b in (bounds, found)])
        return found

    monkeypatch.setattr("holdfast.certify.search.rooted.firmed", watched)
    tells_close_levels_apart(net(1), INPUTS, 0.03)
    assert widths and all(new < old for old, new in widths)
