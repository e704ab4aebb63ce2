"""Coefficients in columns against the plain transpose, and against coefficients in rows."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.carry import carries, ends
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.questions import questions
from holdfast.certify.linear.reference import Reference
from holdfast.certify.linear.region import region
from holdfast.certify.linear.rough import Ready, lower
from holdfast.certify.network.operators import FEW, Convolution
from holdfast.certify.reading.reader import read
from holdfast.threats.norms import LInf


@pytest.mark.parametrize("seed", range(200))
def test_the_transpose_is_that_of_torch(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)

    def pick(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=g))

    kernel, stride = (pick(1, 5), pick(1, 5)), (pick(1, 4), pick(1, 4))
    padding, size = (pick(0, 3), pick(0, 3)), (pick(5, 12), pick(5, 12))
    weight = torch.randn(pick(1, 4), pick(1, 4), *kernel, generator=g, dtype=torch.float64)
    op = Convolution(weight, None, stride, padding, (1, 1), 1, size)
    zero = torch.zeros(pick(1, 4), weight.shape[1], *size, dtype=torch.float64)
    a = torch.randn(op.linear([zero]).shape, generator=g, dtype=torch.float64)
    true = torch.nn.grad.conv2d_input(zero.shape, weight, a, stride, padding)
    assert op.columns is not None
    assert torch.allclose(op.columns.rows(a), true, rtol=0, atol=1e-12)


def test_many_rows_take_the_short_way_and_few_do_not(monkeypatch) -> None:
    g = torch.Generator().manual_seed(0)
    weight = torch.randn(9, 8, 3, 3, generator=g, dtype=torch.float64)
    op = Convolution(weight, None, (2, 1), (1, 0), (1, 1), 1, (7, 6))
    a = torch.randn(FEW, 9, 4, 4, generator=g, dtype=torch.float64)
    assert op.columns is not None
    asked: list[int] = []
    rows = op.columns.rows
    monkeypatch.setattr(op.columns, "rows", lambda a: asked.append(len(a)) or rows(a))
    (many,), (few,) = op.back(a), op.back(a[: FEW - 1])
    assert asked == [FEW]
    assert torch.allclose(many[: FEW - 1], few, rtol=0, atol=1e-12)
    a.requires_grad_(True)
    (slope,) = torch.autograd.grad(op.back(a)[0].sum(), a)
    assert asked == [FEW]
    assert torch.allclose(slope, op.linear([torch.ones_like(many)]), rtol=0, atol=1e-12)


def test_other_convolutions_have_none() -> None:
    plain = torch.ones(2, 2, 3, 3, dtype=torch.float64)
    assert Convolution(plain, None, (1, 1), (1, 1), (2, 1), 1, (8, 8)).columns is None
    assert Convolution(plain, None, (1, 1), (1, 1), (1, 1), 2, (8, 8)).columns is None
    line = torch.ones(2, 2, 3, dtype=torch.float64)
    assert Convolution(line, None, (1,), (1,), (1,), 1, (8,)).columns is None


class Net(nn.Module):
    """Strides, dilation, groups, factors of their own, shortcuts, a curve, transposed axes."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.a, self.n = nn.Conv2d(2, 4, 3, 2, 1), nn.BatchNorm2d(4)
        self.b = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2)
        self.c, self.s = nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0)), nn.Conv2d(4, 6, (1, 2), (2, 1))
        self.d, self.e = nn.Conv2d(6, 3, 2), nn.Linear(3 * 3 * 5, 20)
        self.f, self.out = nn.Conv2d(5, 2, 2), nn.Linear(2, 3)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(0.5 * torch.randn(p.shape, generator=g))
        self.double().eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = F.relu(self.n(self.a(x)))
        z = torch.sigmoid(z - self.b(z))
        z = F.relu(self.s(z) + self.c(z))
        z = F.relu(self.e(F.relu(self.d(z)).transpose(2, 3).flatten(1)))
        return self.out(F.relu(self.f(z.reshape(-1, 5, 2, 2))).flatten(1))


def known(seed: int) -> Bounds:
    x = torch.rand(3, 2, 15, 13, generator=torch.Generator().manual_seed(seed)).double()
    with torch.no_grad():
        return propagate(read(Net(seed), x), region(LInf(radius=0.05), x), "ibp")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_columns_bound_like_rows(seed: int, dtype: torch.dtype) -> None:
    bounds, near = known(seed), 1e-3 if dtype == torch.float32 else 1e-9
    for i in bounds.graph.bent:
        part = Reference(bounds, i).ready(dtype, gaps=seed > 0)
        every = torch.ones_like(part.value, dtype=torch.bool)
        assert carries(part.graph)
        for some in questions(part, part.graph.output, every, 1):
            assert isinstance(some.bounds, Ready)
            a, first = some.coefficients(dtype)
            far = lower(some.bounds, some.start, a, first)
            for known_first in (first, None):
                found = ends(some.bounds, some.start, a, known_first)
                assert found[0].isfinite().all() and found[0].abs().min() > 0
                assert found[1].isfinite().all() == bool(part.gaps)
                for one, other in zip(found, far, strict=True):
                    assert torch.allclose(one, other, rtol=near, atol=1e-12)


def test_what_is_not_finite_says_nothing() -> None:
    bounds = known(0)
    part = Reference(bounds, bounds.graph.bent[-1]).ready(torch.float64)
    part.middles[max(part.middles)].tilt[0].fill_(torch.inf)
    one = torch.ones(3, 1, *part.graph.nodes[part.graph.output].shape, dtype=torch.float64)
    found, _ = ends(part, part.graph.output, one, None)
    assert not found.isfinite().any()
    assert not (found > 0).any()
