"""Coefficients in columns on windows, against coefficients in rows on windows and on the whole."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import holdfast.certify.linear.screen as screen
from holdfast.certify.linear import patched
from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.patches import Around, patches
from holdfast.certify.linear.questions import questions, sites
from holdfast.certify.linear.reference import Reference
from holdfast.certify.linear.region import region
from holdfast.certify.linear.rough import Ready, lower
from holdfast.certify.network.section import cut
from holdfast.certify.reading.reader import read
from holdfast.threats.norms import LInf

TYPES = [torch.float32, torch.float64]


class Net(nn.Module):
    """Uneven kernels and strides, factors of their own and folded ones, shortcuts, a curve."""

    def __init__(self, seed: int, dilation: int = 1) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.a, self.n = nn.Conv2d(2, 4, 3, 2, 1), nn.BatchNorm2d(4)
        self.b, self.m = nn.Conv2d(4, 4, 3, padding=dilation, dilation=dilation), nn.BatchNorm2d(4)
        self.c, self.s = nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0)), nn.Conv2d(4, 6, (1, 2), (2, 1))
        self.d, self.out = nn.Conv2d(6, 3, 2), nn.Linear(3 * 5 * 8, 3)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(0.5 * torch.randn(p.shape, generator=g))
            for norm in (self.n, self.m):
                norm.running_mean.normal_(generator=g)
                norm.running_var.uniform_(0.5, 2, generator=g)
        self.double().eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = F.relu(self.n(self.a(x)))
        z = torch.sigmoid(self.m(z - self.b(z)))
        z = F.relu(self.s(z) + self.c(z))
        return self.out(F.relu(self.d(z)).flatten(1))


def known(seed: int, dilation: int = 1) -> Bounds:
    x = torch.rand(3, 2, 23, 19, generator=torch.Generator().manual_seed(seed)).double()
    with torch.no_grad():
        return propagate(read(Net(seed, dilation), x), region(LInf(radius=0.05), x), "ibp")


def drawn(part: Ready, share: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates to ask about, and a sign for each."""
    g = torch.Generator().manual_seed(seed)
    some = torch.rand(part.value.shape, generator=g) < share
    return some, torch.where(torch.rand(part.value.shape, generator=g) < 0.5, -1.0, 1.0).double()


def rows(part: Ready, some: torch.Tensor, sign: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Both ends by coefficients in rows on the whole."""
    found = torch.full((2, *part.value.shape), torch.nan, dtype=torch.float64)
    for few in questions(part, part.graph.output, some, 1):
        own = sign[few.rows[:, None], few.unit]
        a, _ = few.coefficients(dtype)
        ends = lower(few.bounds, few.start, a * own[..., None, None, None].to(dtype), None)
        for end, values in zip(found, ends, strict=True):
            few.put(end, some, values)
    return found


def columns(part: Ready, some: torch.Tensor, sign: torch.Tensor, most: int) -> torch.Tensor:
    """Both ends by coefficients in columns on windows."""
    found = torch.full((2, *part.value.shape), torch.nan, dtype=torch.float64)
    seen = patches(part)
    assert seen is not None
    around = Around.of(seen, part)
    for site in sites(seen.view, some, most):
        place = site.rows[:, None], site.unit
        ends = patched.lower(around, site.rows, site.place, site.at, sign[place])
        for end, values in zip(found, ends, strict=True):
            end[place] = torch.where(some[place], values, end[place])
    return found


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_columns_on_windows_bound_like_rows_on_the_whole(seed: int, dtype, monkeypatch) -> None:
    monkeypatch.setattr("holdfast.certify.linear.windows.LEAST", 0.1)
    bounds, near = known(seed), 1e-3 if dtype == torch.float32 else 1e-11
    for i in bounds.graph.bent:
        for start in {0, cut(bounds.graph, i)}:
            part = Reference(bounds, i, start).ready(dtype, gaps=seed % 2 == 0)
            for share, most in ((1.0, 7), (1.0, 1000), (0.2, 40)):
                some, sign = drawn(part, share, seed)
                far = rows(part, some, sign, dtype)
                found = columns(part, some, sign, most)
                assert (found.isfinite() == far.isfinite()).all()
                assert (found[0].isfinite() == some).all()
                finite = far.isfinite()
                assert torch.allclose(found[finite], far[finite], rtol=near, atol=1e-12)


def test_what_is_not_finite_says_nothing(monkeypatch) -> None:
    monkeypatch.setattr("holdfast.certify.linear.windows.LEAST", 0.1)
    bounds = known(0)
    part = Reference(bounds, bounds.graph.bent[-1]).ready(torch.float64, gaps=True)
    part.middles[max(part.middles)].tilt[0].fill_(torch.inf)
    some, sign = drawn(part, 1.0, 0)
    found = columns(part, some, sign, 100)
    assert not found.isfinite().any()
    assert not (found[0] > 0).any()


def test_convolutions_that_are_not_covered_go_in_rows(monkeypatch) -> None:
    monkeypatch.setattr("holdfast.certify.linear.windows.LEAST", 0.1)
    for dilation in (1, 2):
        bounds = known(1, dilation)
        part = Reference(bounds, bounds.graph.bent[-1]).ready(torch.float64)
        assert (patches(part) is None) == (dilation == 2)


def test_boxes_do_not_depend_on_the_way(monkeypatch) -> None:
    bounds = known(2)
    monkeypatch.setattr("holdfast.certify.linear.windows.LEAST", 0.1)
    for i in bounds.graph.bent[1:]:
        whole, box = Reference(bounds, i), bounds.boxes[i]
        with torch.no_grad():
            near = screen.asked(bounds, whole.ready(torch.float64), i, box)
            with monkeypatch.context() as changed:
                changed.setattr(screen, "patches", lambda known: None)
                far = screen.asked(bounds, whole.ready(torch.float64), i, box)
        assert (near.low > box.low).any()
        for one, other in zip(near, far, strict=True):
            assert torch.allclose(one, other, rtol=0, atol=1e-10)
