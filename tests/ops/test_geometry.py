"""Projections and steps against solvers that know nothing of their formulas."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize

from holdfast.ops.filling import fill_l2
from holdfast.ops.geometry import (
    norm,
    project_l1,
    project_l2,
    project_linf,
    room,
    toward_zero,
)
from holdfast.ops.steepest import step_l1, step_l2

PROJECT = {1: project_l1, 2: project_l2, float("inf"): project_linf}


def problem(seed: int, rows: int = 12, size: int = 7) -> tuple[torch.Tensor, ...]:
    """Changes, radii and rooms, some of them zero, some rows already inside."""
    g = torch.Generator().manual_seed(seed)
    x = (2 * torch.rand(rows, size, generator=g, dtype=torch.float64) - 0.5).clamp(0, 1)
    scale = torch.logspace(-1.5, 0.5, rows, dtype=torch.float64)[:, None]
    d = scale * torch.randn(rows, size, generator=g, dtype=torch.float64)
    radius = 0.2 + torch.rand(rows, generator=g, dtype=torch.float64)
    return d, radius, *room(x, 0.0, 1.0)


def nearest(d: np.ndarray, r: float, low: np.ndarray, high: np.ndarray, p: float) -> np.ndarray:
    """The same by a general solver; L1 with positive and negative parts as variables."""
    n = len(d)
    if p == float("inf"):
        return np.clip(d, np.maximum(low, -r), np.minimum(high, r))
    if p == 2:
        rule = {"type": "ineq", "fun": lambda v: r * r - v @ v, "jac": lambda v: -2 * v}
        bounds = list(zip(low, high, strict=True))
        start, value, slope = np.zeros(n), (lambda v: (v - d) @ (v - d)), (lambda v: 2 * (v - d))
    else:
        rule = {"type": "ineq", "fun": lambda v: r - v.sum(), "jac": lambda v: -np.ones(2 * n)}
        bounds = [(0, h) for h in high] + [(0, -v) for v in low]
        start = np.zeros(2 * n)

        def value(v: np.ndarray) -> float:
            e = v[:n] - v[n:] - d
            return float(e @ e)

        def slope(v: np.ndarray) -> np.ndarray:
            e = 2 * (v[:n] - v[n:] - d)
            return np.concatenate([e, -e])

    found = minimize(
        value, start, jac=slope, bounds=bounds, constraints=[rule], method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    ).x  # fmt: skip
    return found if p == 2 else found[:n] - found[n:]


@pytest.mark.parametrize("order", [1, 2, float("inf")])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_projection_is_the_nearest_point(order: float, seed: int) -> None:
    d, radius, down, up = problem(seed)
    found = PROJECT[order](d, radius, down, up)
    assert (norm(found, order) <= radius * (1 + 1e-12)).all()
    assert ((found >= down) & (found <= up)).all()
    for i in range(len(d)):
        near = nearest(d[i].numpy(), float(radius[i]), down[i].numpy(), up[i].numpy(), order)
        ours = float((found[i] - d[i]).square().sum())
        theirs = float(np.square(near - d[i].numpy()).sum())
        assert ours <= theirs + 1e-8
        assert np.abs(found[i].numpy() - near).max() < 1e-5  # the solver's own accuracy


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("seed", range(5))
def test_projection_meets_its_optimality_condition(order: int, seed: int) -> None:
    """Variational inequality: <d - p, q - p> <= 0 for every admissible q; to 1e-10."""
    d, radius, down, up = problem(seed, rows=40, size=30)
    p = PROJECT[order](d, radius, down, up)
    best = (step_l1 if order == 1 else step_l2)(d - p, radius, down, up)
    q = PROJECT[order](best, radius, down, up)
    assert (((d - p) * (q - p)).sum(1) <= 1e-10).all()


def test_projecting_onto_ball_and_box_in_turn_is_not_the_nearest_point() -> None:
    d, radius, down, up = problem(3)
    far = torch.full_like(d, 1e6)
    turn = project_l1(d, radius, -far, far).maximum(down).minimum(up)
    exact = project_l1(d, radius, down, up)
    gap = (turn - d).square().sum(1) - (exact - d).square().sum(1)
    assert (gap > -1e-12).all()
    assert gap.max() > 1e-2


def test_l1_step_is_the_optimum_of_the_linear_programme() -> None:
    g, radius, down, up = problem(4)
    step = step_l1(g, radius, down, up)
    for i in range(len(g)):
        bounds = [(0, float(v)) for v in up[i]] + [(0, float(-v)) for v in down[i]]
        cost = torch.cat([-g[i], g[i]]).numpy()
        best = linprog(cost, A_ub=np.ones((1, len(cost))), b_ub=[float(radius[i])], bounds=bounds)
        assert float(g[i] @ step[i]) == pytest.approx(-best.fun, abs=1e-8)


def test_projected_l2_step_is_the_maximiser_over_ball_and_box() -> None:
    g, radius, down, up = problem(5)
    found = project_l2(step_l2(g, radius, down, up), radius, down, up)
    for i in range(len(g)):
        row, r = g[i].numpy(), float(radius[i])
        rule = {"type": "ineq", "fun": lambda v, r=r: r * r - v @ v, "jac": lambda v: -2 * v}
        best = minimize(
            lambda v, row=row: -row @ v, np.zeros(len(row)), jac=lambda v, row=row: -row,
            bounds=list(zip(down[i].tolist(), up[i].tolist(), strict=True)), constraints=[rule],
            method="SLSQP", options={"ftol": 1e-14, "maxiter": 500},
        )  # fmt: skip
        assert float(g[i] @ found[i]) >= -best.fun - 1e-8


def test_steps_without_walls_have_the_dual_norm() -> None:
    g, radius, _, _ = problem(6)
    far = torch.full_like(g, 1e6)
    gains = {1: step_l1(g, radius, -far, far), 2: step_l2(g, radius, -far, far)}
    for order, dual in ((1, float("inf")), (2, 2)):
        assert torch.allclose((g * gains[order]).sum(1), radius * norm(g, dual))


def test_steps_where_nothing_can_move_are_zero() -> None:
    g, radius, down, _ = problem(7)
    zero = torch.zeros_like(down)
    assert not step_l1(g, radius, zero, zero).any()
    assert not step_l2(g, radius, zero, zero).any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_rounds_towards_zero(dtype: torch.dtype) -> None:
    exact = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    cast = toward_zero(torch.zeros(1, dtype=dtype), exact)
    assert cast.dtype == dtype
    assert (cast.float().abs() <= exact.abs()).all()
    assert torch.allclose(cast.float(), exact, rtol=0.01, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_water_filling_is_found_from_any_guess(dtype: torch.dtype) -> None:
    """The squared norm rises with the scale, so bisection knows the answer; guesses only help."""
    g = torch.Generator().manual_seed(9)
    y = torch.randn(3000, 5, generator=g, dtype=torch.float64).abs()
    y[torch.rand(y.shape, generator=g) < 0.2] = 0.0
    bound = torch.rand(y.shape, generator=g, dtype=torch.float64)
    bound[torch.rand(y.shape, generator=g) < 0.2] = 0.0
    radius = 0.1 + torch.rand(len(y), generator=g, dtype=torch.float64)
    low, high = torch.zeros(len(y), dtype=torch.float64), torch.full((len(y),), 1e3).double()
    for _ in range(80):
        middle = (low + high) / 2
        below = torch.minimum(middle[:, None] * y, bound).square().sum(1) < radius.square()
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    reached = torch.minimum(1e3 * y, bound).norm(dim=1) > radius * (1 + 1e-9)
    for guess in (None, 0.2 * high, high, 1.5 * high, 50 * high):
        found = fill_l2(y.to(dtype), bound.to(dtype), radius, guess)
        close = torch.isclose(found, high, rtol=1e-3 if dtype == torch.float32 else 1e-9)
        assert close[reached].double().mean() == 1
        assert found[~reached].min() > 100  # the ball holds all that the box admits
