"""Intervals and lines: exact images, outward rounding, and sound relaxations."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from holdfast.certify.network.operators import Dense
from holdfast.ops.interval import Box, affine, around, gamma, intersect, relu
from holdfast.ops.linear import lower_on_ball, lower_on_both, lower_on_box, relu_lines


def test_affine_holds_the_exact_image() -> None:
    """Ends computed in fractions lie inside, although weights cancel badly."""
    g = torch.Generator().manual_seed(0)
    for _ in range(50):
        w = (
            torch.randn(3, 6, generator=g, dtype=torch.float64)
            * 10 ** torch.randint(-8, 9, (3, 6), generator=g).double()
        )
        low = torch.randn(1, 6, generator=g, dtype=torch.float64)
        high = low + torch.rand(1, 6, generator=g, dtype=torch.float64)
        op = Dense(w)
        found = affine([Box(low, high)], op.linear, op.spread, None, op.terms)
        for i in range(3):
            top = bottom = Fraction(0)
            for j in range(6):
                v, lo, hi = (Fraction(float(t)) for t in (w[i, j], low[0, j], high[0, j]))
                top, bottom = top + max(v * lo, v * hi), bottom + min(v * lo, v * hi)
            mass = float((w[i].abs() * torch.maximum(low.abs(), high.abs())).sum())
            assert (
                bottom
                >= Fraction(float(found.low[0, i]))
                >= bottom - Fraction(1e-13 * mass + 1e-299)
            )
            assert top <= Fraction(float(found.high[0, i])) <= top + Fraction(1e-13 * mass + 1e-299)


def test_around_cuts_to_the_box_and_keeps_x() -> None:
    x = torch.tensor([[0.05, 0.5, 1.2]], dtype=torch.float64)
    box = around(x, 0.1, 0.0, 1.0)
    assert box.low[0, 0] == 0 and box.high[0, 2] == 1.2
    assert box.low[0, 1] < 0.4 and box.high[0, 1] > 0.6
    assert (box.high - box.low).max() < 0.2 + 1e-12
    x32 = torch.rand(1000)
    wide = around(x32, 8 / 255, -9.0, 9.0)
    moved = x32 + torch.tensor(8 / 255)
    assert (moved.double() <= wide.high).all()


def test_relu_lines_hold_and_adapt() -> None:
    g = torch.Generator().manual_seed(1)
    low = torch.randn(2000, generator=g, dtype=torch.float64) * 10
    high = low + 10 ** torch.empty(2000, dtype=torch.float64).uniform_(-7, 1.7, generator=g)
    box = Box(low[None], high[None])
    lines = relu_lines(box)
    for share in torch.linspace(0, 1, 50, dtype=torch.float64):
        x = low + share * (high - low)
        assert (lines.lower_slope * x <= x.clamp(min=0) + 1e-15).all()
        assert (lines.upper_slope * x + lines.upper_offset >= x.clamp(min=0)).all()
    crossing = (low < 0) & (high > 0)
    assert torch.equal(lines.lower_slope[0][crossing], (high > -low).double()[crossing])
    gap = lines.upper_slope * high + lines.upper_offset - relu(box).high
    assert gap[0][crossing].abs().max() < 1e-12
    broken = relu_lines(Box(torch.tensor([[float("nan")]]), torch.tensor([[1.0]])))
    assert broken.lower_slope.isnan().all()


def test_linear_minima_are_attained() -> None:
    g = torch.Generator().manual_seed(2)
    a, c = (torch.randn(5, 7, generator=g, dtype=torch.float64) for _ in range(2))
    box = Box(c - 0.3, c + 0.3)
    exact = (a * c).sum(1) - 0.3 * a.abs().sum(1)
    found = lower_on_box(a[:, None], box)[:, 0]
    assert (found <= exact + 1e-15).all() and (exact - found).max() < 1e-13
    radius = torch.full((5,), 0.3, dtype=torch.float64)
    for norm, dual in ((1.0, torch.inf), (2.0, 2.0), (torch.inf, 1.0), (3.0, 1.5)):
        exact = (a * c).sum(1) - 0.3 * torch.linalg.vector_norm(a, dual, dim=1)
        found = lower_on_ball(a[:, None], c, radius, norm)[:, 0]
        assert (found <= exact + 1e-15).all() and (exact - found).max() < 1e-13


@pytest.mark.parametrize("radius", [0.1, 0.5, 4.0])
def test_linear_minima_over_balls_cut_by_boxes_are_attained(radius: float) -> None:
    """L1 against a linear program; L2 against a scale found by bisection, cut at the box."""
    g = torch.Generator().manual_seed(3)
    a, c = (torch.randn(6, 5, generator=g, dtype=torch.float64) for _ in range(2))
    down, up = (0.6 * torch.rand(6, 5, generator=g, dtype=torch.float64) for _ in range(2))
    down[:, 0] = 0  # as of a black pixel
    box, every = Box(c - down, c + up), torch.full((6,), radius, dtype=torch.float64)
    found = {norm: lower_on_both(a[:, None], box, c, every, norm)[:, 0] for norm in (1, 2)}
    one = np.eye(5)
    rows = np.vstack([np.hstack([one, -one]), np.hstack([-one, -one]), [[0.0] * 5 + [1.0] * 5]])
    for i in range(6):
        free = [*zip(box.low[i].tolist(), box.high[i].tolist(), strict=True), *[(0, None)] * 5]
        limits = np.concatenate([c[i], -c[i], [radius]])
        exact = linprog(np.append(a[i], np.zeros(5)), rows, limits, bounds=free).fun
        assert exact - 1e-12 <= found[1][i] <= exact + 1e-12
        room = torch.where(a[i] > 0, down[i], up[i])
        less, more = 0.0, 1e6
        for _ in range(200):
            middle = (less + more) / 2
            inside = torch.minimum(middle * a[i].abs(), room).norm() <= radius
            less, more = (middle, more) if inside else (less, middle)
        exact = float(a[i] @ c[i] - a[i].abs() @ torch.minimum(less * a[i].abs(), room))
        assert exact - 1e-12 <= found[2][i] <= exact + 1e-12


def test_intersect_and_gamma() -> None:
    a = Box(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0]))
    b = Box(torch.tensor([0.5, 2.0]), torch.tensor([2.0, 3.0]))
    both = intersect(a, b)
    assert both.low.tolist() == [0.5, 0.0] and both.high.tolist() == [1.0, 1.0]
    assert 0 < gamma(10) < 2e-15
