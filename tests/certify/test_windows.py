"""Short cuts of the bound engine against the long way: windows, float32, dropped columns."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import holdfast.certify.linear.questions as asking
import holdfast.certify.linear.refine as refine
import holdfast.certify.linear.screen as screen
from holdfast.certify.linear.alive import living
from holdfast.certify.linear.backward import backward, evaluated
from holdfast.certify.linear.bounds import margins, propagate
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.questions import questions
from holdfast.certify.linear.reference import Reference
from holdfast.certify.linear.region import region
from holdfast.certify.linear.rough import Ready, lower, single, worthwhile
from holdfast.certify.linear.windows import view
from holdfast.certify.network.bends import Bend
from holdfast.certify.network.graph import Graph
from holdfast.certify.network.section import cut, section
from holdfast.certify.reading.reader import read
from holdfast.ops.interval import Box
from holdfast.threats.norms import L2, LInf


class Net(nn.Module):
    """Strides, dilation, groups, batch norm, two shortcuts, a smooth bend, a dense end."""

    def __init__(self, seed: int, bend=torch.sigmoid, padding: int = 1) -> None:
        super().__init__()
        self.bend = bend
        g = torch.Generator().manual_seed(seed)
        self.a, self.n = nn.Conv2d(2, 4, 3, 2, padding), nn.BatchNorm2d(4)
        self.b = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2)
        self.c, self.s = nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0)), nn.Conv2d(4, 6, (1, 2), (2, 1))
        self.d = nn.Conv2d(6, 3, 2)
        self.out = nn.Linear(3 * 3 * 5, 3)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(0.5 * torch.randn(p.shape, generator=g))
            self.n.running_mean.normal_(generator=g)
            self.n.running_var.uniform_(0.5, 2, generator=g)
        self.double().eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = F.relu(self.n(self.a(x)))
        z = self.bend(z + self.b(z))
        z = F.relu(self.s(z) + self.c(z))
        return self.out(F.relu(self.d(z)).flatten(1))


def known(seed: int, radius: float = 0.05) -> Bounds:
    x = torch.rand(3, 2, 15, 13, generator=torch.Generator().manual_seed(seed)).double()
    with torch.no_grad():
        return propagate(read(Net(seed), x), region(LInf(radius=radius), x), "ibp")


def both(bounds: Bounds, i: int, *, places: bool) -> torch.Tensor:
    """Lower bounds of all coordinates of a value."""
    every = torch.ones_like(bounds.boxes[i].low, dtype=torch.bool).flatten(1)
    found = torch.full_like(bounds.boxes[i].low.flatten(1), torch.nan)
    for some in questions(bounds, i, every, 1, places=places):
        a, first = some.coefficients()
        line = backward(some.bounds, some.start, a, first=first)
        some.put(found, every, evaluated(some.bounds, line))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_windows_give_the_bounds_of_the_whole(seed: int, monkeypatch) -> None:
    monkeypatch.setattr("holdfast.certify.linear.windows.LEAST", 0.1)
    bounds = known(seed)
    seen = [i for i in bounds.graph.bent if view(bounds, i) is not None]
    assert len(seen) >= 3
    for i in seen:
        near, far = both(bounds, i, places=True), both(bounds, i, places=False)
        assert torch.allclose(near, far, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(
    ("bend", "threat", "padding"),
    [(torch.relu, LInf(radius=0.05), 1), (torch.relu, L2(radius=0.2), 0),
     (torch.relu, L2(radius=0.2), 1), (torch.sigmoid, LInf(radius=0.05), 1)],
    ids=["box", "ball", "padded-ball", "curved"],
)  # fmt: skip
def test_an_ascent_in_windows_gives_the_bounds_of_the_whole(
    bend, threat, padding: int, monkeypatch
) -> None:
    monkeypatch.setattr("holdfast.certify.linear.windows.LEAST", 0.1)
    monkeypatch.setattr(refine, "worthwhile", lambda bounds: False)
    n = 17 - 2 * padding
    x = torch.rand(2, 2, n, n - 2, generator=torch.Generator().manual_seed(7)).double()
    taken = []
    original = asking.view
    with torch.no_grad():
        bounds = propagate(read(Net(1, bend, padding), x), region(threat, x), "ibp")
        for i in bounds.graph.bent[1:]:
            for steps in (0, 2):
                monkeypatch.setattr(
                    asking, "view", lambda *a: taken.append(original(*a)) or taken[-1]
                )
                near = refine.refined(bounds, i, steps=steps)
                monkeypatch.setattr(asking, "view", lambda bounds, i: None)
                far = refine.refined(bounds, i, steps=steps)
                for one, other in zip(near, far, strict=True):
                    assert torch.allclose(one, other, rtol=0, atol=1e-4 if steps else 1e-9)
    assert any(taken) == (not padding or isinstance(threat, LInf))


def below(bounds: Bounds, i: int, dtype: torch.dtype, start: int, places: bool) -> torch.Tensor:
    """Lower bounds of all coordinates of a value by coefficients of a type."""
    part = Reference(bounds, i, start).ready(dtype)
    every = torch.ones_like(part.value, dtype=torch.bool)
    found = torch.full_like(part.value, torch.nan)
    for some in questions(part, part.graph.output, every, 1, places=places):
        assert isinstance(some.bounds, Ready)
        a, first = some.coefficients(dtype)
        some.put(found, every, lower(some.bounds, some.start, a, first)[0])
    return found + part.value


@pytest.mark.parametrize("seed", range(3))
def test_measured_from_a_reference_bounds_are_the_same(seed: int) -> None:
    bounds = known(seed)
    for i in bounds.graph.bent:
        exact = both(bounds, i, places=False)
        fine = below(bounds, i, torch.float64, 0, seed > 0)
        rough = below(bounds, i, torch.float32, 0, seed > 0)
        assert torch.allclose(fine, exact, rtol=0, atol=1e-9)
        assert (rough <= fine).all()
        assert (fine - rough).max() < 1e-3 * exact.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_rows_of_coordinates_count_like_questions_about_them(dtype: torch.dtype) -> None:
    bounds, told = known(1), 0
    for i in bounds.graph.bent:
        part = Reference(bounds, i).ready(dtype, gaps=True)
        every = torch.ones_like(part.value, dtype=torch.bool)
        for some in questions(part, part.graph.output, every, 1):
            assert isinstance(some.bounds, Ready)
            a, first = some.coefficients(dtype)
            if first is None:
                continue
            cost = some.bounds.errors[some.start]
            assert cost is not None and (cost > 0).all()
            far = lower(some.bounds, some.start, -a, -first)
            near = single(some.bounds, some.start, some.at, -first)
            assert all(torch.equal(one, other) for one, other in zip(near, far, strict=True))
            told += 1
    assert told


def test_the_last_layers_alone_say_less() -> None:
    bounds = known(0)
    last = bounds.graph.bent[-1]
    start = cut(bounds.graph, last)
    assert start and isinstance(bounds.graph.nodes[start].operator, Bend)
    few, all_ = (below(bounds, last, torch.float64, k, False) for k in (start, 0))
    assert (few < all_).any()
    x = torch.rand(200, 3, 2, 15, 13, generator=torch.Generator().manual_seed(0)).double()
    low, high = bounds.region.box
    for point in low + x * (high - low):
        values = Graph(bounds.graph.nodes, last)(point).flatten(1)
        assert (few <= values).all()


def test_factors_are_folded_into_the_convolution_before_them() -> None:
    bounds = known(0)
    first = bounds.graph.bent[0]
    part = section(bounds.graph, 0, first, torch.float64)
    assert len(part.graph.nodes) == 2
    x = torch.rand(3, 2, 15, 13).double() - 0.5
    zero = torch.zeros_like(x)
    whole = Graph(bounds.graph.nodes, first)
    assert torch.allclose(part.graph(x), whole(x) - whole(zero))


def test_float32_proves_nothing_out_of_its_range() -> None:
    x = torch.rand(2, 4).double()
    model = nn.Sequential(nn.Linear(4, 130), nn.ReLU(), nn.Linear(130, 130), nn.ReLU(),
                          nn.Linear(130, 2)).double()  # fmt: skip
    with torch.no_grad():
        model[0].weight.mul_(1e25)
        model[2].weight.mul_(1e25)  # products of float32 overflow, those of float64 do not
        model[4].weight.mul_(1e-50)
        graph, threat = read(model, x), LInf(radius=0.1)
        found = propagate(graph, region(threat, x), "crown")
        inner = model[:3](x)
    box = found.boxes[graph.bent[1]]
    assert ((box.low <= inner) & (inner <= box.high)).all()
    assert not (below(found, graph.bent[1], torch.float32, 0, False) > inner).any()


def test_a_neuron_that_barely_fires_is_not_left_out() -> None:
    x = torch.zeros(1, 2).double()
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.ReLU(),
                          nn.Linear(2, 1)).double()  # fmt: skip
    bounds = propagate(read(model, x), region(LInf(radius=0.9), x), "ibp")
    ends = torch.tensor([[[-9.0, -1.0, -1e-35]], [[-1.0, 1.0, 1e-90]]], dtype=torch.float64)
    bounds.boxes[1] = Box(*ends)
    bounds.planes[2] = bounds.graph.nodes[2].operator.planes([bounds.boxes[1]])
    for known in (bounds, Reference(bounds, 3).ready(torch.float32)):
        assert living(known, 3).graph.nodes[2].shape == (2,)


def test_float32_only_where_it_is_float32() -> None:
    bounds = known(0)
    assert worthwhile(bounds)
    torch.set_float32_matmul_precision("medium")
    try:
        assert not worthwhile(bounds)
    finally:
        torch.set_float32_matmul_precision("highest")
    x = torch.rand(1, 2, 15, 13).double()
    assert not worthwhile(propagate(bounds.graph, region(L2(radius=0.1), x), "ibp"))


def wide(x: torch.Tensor) -> nn.Sequential:
    g = torch.Generator().manual_seed(0)
    sizes = ((20, 200), (200, 150), (150, 140), (140, 3))
    parts: list[nn.Module] = []
    for n, m in sizes:
        layer = nn.Linear(n, m).double()
        with torch.no_grad():
            layer.weight.copy_(torch.randn(m, n, generator=g) / n**0.5)
            layer.bias.copy_(0.5 * torch.randn(m, generator=g) - 0.3)
        parts += [layer, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def test_what_is_left_out_changes_no_bound(monkeypatch) -> None:
    """Dead columns dropped and stable neurons decided in float32, or neither."""
    x = torch.rand(4, 20, generator=torch.Generator().manual_seed(1)).double()
    model, threat = wide(x), LInf(radius=0.02)
    c, d = torch.eye(3).double().expand(4, 3, 3), torch.zeros(4, 3).double()
    taken = []

    def found() -> torch.Tensor:
        with torch.no_grad():
            return margins(propagate(read(model, x), region(threat, x), "crown"), c, d, relax=True)

    def watched(bounds: Bounds, start: int) -> Bounds:
        part = original(bounds, start)
        taken.append(part is not bounds)
        return part

    original = asking.living
    monkeypatch.setattr(asking, "living", watched)
    fast = found()
    assert any(taken)
    monkeypatch.setattr(asking, "living", lambda bounds, start: bounds)
    monkeypatch.setattr(refine, "worthwhile", lambda bounds: False)
    monkeypatch.setattr(asking, "view", lambda bounds, i: None)
    slow = found()
    assert torch.allclose(fast, slow, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_signs_are_told_first_also_where_the_last_layers_say_nothing(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    parts = [nn.Linear(n, m) for n, m in ((40, 160), (160, 160), (160, 160))]
    with torch.no_grad():
        for part in parts:
            scale = 0.9 / part.in_features**0.5
            part.weight.copy_(scale * torch.randn(part.weight.shape, generator=g))
            part.bias.copy_(0.5 * torch.randn(part.bias.shape, generator=g))
        a, b, c = parts
        net = nn.Sequential(a, nn.ReLU(), b, nn.ReLU(), c, nn.ReLU()).double()
        x = torch.rand(8, 40, generator=g).double()
        bounds = propagate(read(net, x), region(LInf(radius=0.05), x), "ibp")
        i = bounds.graph.bent[-1]
        box, whole = bounds.boxes[i], Reference(bounds, i)
        exact = refine.asked(bounds, whole.ready(torch.float64), i, box)
        first = screen.screened(bounds, i, box, whole)
        before, after, true = (screen.gains(bounds, i, b) for b in (box, first, exact))
    told = before & ~true
    assert told.sum() > 30
    assert (after & told).sum() < 0.2 * told.sum()
