"""Nearest points of hyperplanes in boxes against solvers that know nothing of the formulas."""

from math import inf

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize

from holdfast.ops.geometry import norm
from holdfast.ops.hyperplane import dual_norm, onto_hyperplane


def problem(rows=30, size=6, seed=0):
    """Normals with some zeros, gaps of both signs, rooms some of which are zero."""
    g = torch.Generator().manual_seed(seed)
    x = (2 * torch.rand(rows, size, generator=g, dtype=torch.float64) - 0.5).clamp(0, 1)
    w = torch.randn(rows, size, generator=g, dtype=torch.float64)
    w[torch.rand(rows, size, generator=g) < 0.2] = 0.0
    down, up = -x, 1 - x
    most = torch.where(w > 0, w * up, w * down).sum(1)
    least = torch.where(w > 0, w * down, w * up).sum(1)
    share = 2 * torch.rand(rows, generator=g, dtype=torch.float64) - 1
    return w, torch.where(share > 0, share * most, -share * least), down, up


def solved(w, gap, down, up, order):
    """Length of the shortest change, by linear or quadratic programming."""
    n = len(w)
    if order == 2:
        rule = {"type": "eq", "fun": lambda v: w @ v - gap, "jac": lambda v: w}
        walls = list(zip(down, up, strict=True))
        found = minimize(
            lambda v: v @ v, np.zeros(n), jac=lambda v: 2 * v, bounds=walls,
            constraints=[rule], method="SLSQP", options={"ftol": 1e-14, "maxiter": 500},
        )  # fmt: skip
        return float(np.sqrt(found.fun))
    if order == 1:
        bounds = [(0, u) for u in up] + [(0, -d) for d in down]
        return linprog(np.ones(2 * n), A_eq=np.r_[w, -w][None], b_eq=[gap], bounds=bounds).fun
    eye, one = np.eye(n), np.ones((n, 1))
    walls = np.block([[eye, -one], [-eye, -one]])
    found = linprog(
        np.r_[np.zeros(n), 1], A_ub=walls, b_ub=np.zeros(2 * n), A_eq=np.r_[w, 0][None],
        b_eq=[gap], bounds=[*zip(down, up, strict=True), (0, None)],
    )  # fmt: skip
    return found.fun


@pytest.mark.parametrize("order", [1.0, 2.0, inf])
def test_the_shortest_change_is_that_of_a_solver(order):
    w, gap, down, up = problem()
    d = onto_hyperplane(w, gap, down, up, order)
    assert ((d >= down - 1e-12) & (d <= up + 1e-12)).all()
    assert torch.allclose((w * d).sum(1), gap, atol=1e-9)
    lengths = norm(d, order)
    for row in range(len(w)):
        parts = (t[row].numpy() for t in (w, gap, down, up))
        assert lengths[row] == pytest.approx(solved(*parts, order), abs=1e-6)


@pytest.mark.parametrize("order", [1.0, 2.0, inf])
def test_what_cannot_be_reached_is_approached_as_far_as_the_box_goes(order):
    w, _, down, up = problem(rows=8)
    d = onto_hyperplane(w, torch.full((8,), 1e3, dtype=torch.float64), down, up, order)
    assert torch.equal(d, torch.where(w > 0, up, torch.where(w < 0, down, 0.0)))


@pytest.mark.parametrize(("order", "dual"), [(1.0, inf), (2.0, 2.0), (inf, 1.0)])
def test_without_walls_the_length_is_the_gap_over_the_dual_norm(order, dual):
    w, gap, _, _ = problem()
    wide = torch.full_like(w, 1e6)
    d = onto_hyperplane(w, gap, -wide, wide, order)
    assert torch.equal(dual_norm(w, order), norm(w, dual))
    assert torch.allclose(norm(d, order), gap.abs() / norm(w, dual), rtol=1e-12)


def test_images_no_rows_and_no_gradient():
    w = torch.randn(3, 2, 4, 4)
    gap, wide = torch.ones(3), torch.ones_like(w)
    d = onto_hyperplane(w, gap, -wide, wide, 2.0)
    assert d.shape == w.shape and torch.allclose((w * d).flatten(1).sum(1), gap, atol=1e-5)
    assert onto_hyperplane(w[:0], gap[:0], -wide[:0], wide[:0], 1.0).shape == (0, 2, 4, 4)
    assert (onto_hyperplane(0 * w, gap, -wide, wide, inf) == 0).all()
