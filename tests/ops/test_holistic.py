"""Worst distributions against a general solver, their limits and their gradient."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.hooks.holistic import HolisticRobust
from holdfast.ops.holistic import holistic_value, holistic_weights
from holdfast.run.training import TrainingRun


def solved(losses: np.ndarray, alpha: float, radius: float, order: str) -> float:
    """By sequential quadratic programming over p, q and what is moved."""
    n, top = len(losses), losses.max()
    u, every = np.full(n, 1 / n), np.append(losses, losses.max())
    if order == "HD":  # variables: s (n), p (n + 1)

        def q_of(v):
            return np.append(u - v[:n], v[:n].sum())

        start = np.append(np.full(n, alpha / n), np.append(u * (1 - alpha), alpha))
        ball = {"type": "ineq", "fun": lambda v: radius - np.sum(
            q_of(v) * (np.log(q_of(v) + 1e-15) - np.log(v[n:] + 1e-15)))}  # fmt: skip
        total, bounds = {"type": "eq", "fun": lambda v: v[n:].sum() - 1}, [(0, 1 / n)] * n
        cost, bounds = (lambda v: -v[n:] @ every), bounds + [(1e-12, 1)] * (n + 1)
        extra = []
    else:  # variables: s (n), q (n + 1)
        start = np.append(np.full(n, alpha / n), np.append(u, 0.0) * 0.999 + 0.001 / (n + 1))
        ball = {"type": "ineq", "fun": lambda v: radius - np.sum(u * np.log(u / v[n:-1]))}
        total = {"type": "eq", "fun": lambda v: v[n:].sum() - 1}
        bounds = [(0, 1)] * n + [(1e-12, 1)] * (n + 1)
        extra = [{"type": "ineq", "fun": lambda v: v[n:-1] - v[:n]}]

        def cost(v):
            return -((v[n:-1] - v[:n]) @ losses + (v[-1] + v[:n].sum()) * top)

    moved = {"type": "ineq", "fun": lambda v: alpha - v[:n].sum()}
    found = minimize(cost, start, bounds=bounds, constraints=[ball, total, moved, *extra],
                     options={"maxiter": 400, "ftol": 1e-12})  # fmt: skip
    return float(-found.fun)


@pytest.mark.parametrize("order", ["HD", "HR"])
@pytest.mark.parametrize("seed", range(4))
def test_value_is_that_of_a_general_solver(order, seed):
    g = torch.Generator().manual_seed(seed)
    losses = 3 * torch.rand(6, generator=g, dtype=torch.float64)
    alpha, radius = (0.1, 0.05), (0.3, 0.2)
    alpha, radius = alpha[seed % 2], radius[seed // 2 % 2]
    ours = float(holistic_value(losses, alpha, radius, order))
    assert ours == pytest.approx(solved(losses.numpy(), alpha, radius, order), abs=1e-4)


@pytest.mark.parametrize("order", ["HD", "HR"])
def test_limits_and_monotony(order):
    losses = torch.rand(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = holistic_weights(losses, 0.1, 0.2, order)
    assert float(p.sum()) == pytest.approx(1) and bool((p >= 0).all())
    table = torch.tensor(
        [[float(holistic_value(losses, a, r, order)) for r in (0, 0.01, 0.1, 1.0)]
         for a in (0, 0.05, 0.2, 1.0)], dtype=torch.float64
    )  # fmt: skip
    assert float(table[0, 0]) == pytest.approx(float(losses.mean()))
    assert bool((table.diff(dim=0) >= -1e-9).all()) and bool((table.diff(dim=1) >= -1e-9).all())
    assert float(table.max()) <= float(losses.max()) + 1e-9
    assert float(table[-1, 0]) == pytest.approx(float(losses.max()))
    trimmed = losses.sort().values[1:].sum() / 20 + losses.max() / 20
    assert float(table[1, 0]) == pytest.approx(float(trimmed))
    assert torch.equal(
        holistic_weights(torch.ones(4), 0.0, 0.3, order)[:-1], torch.full((4,), 0.25).double()
    )


@pytest.mark.parametrize("order", ["HD", "HR"])
def test_gradient_is_the_distribution(order):
    losses = torch.rand(7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    losses.requires_grad_()
    (slope,) = torch.autograd.grad(holistic_value(losses, 0.2, 0.1, order), losses)
    for i in range(7):
        step = 1e-5 * torch.eye(7, dtype=torch.float64)[i]
        up, down = (holistic_value(losses.detach() + s, 0.2, 0.1, order) for s in (step, -step))
        assert float(slope[i]) == pytest.approx(float(up - down) / 2e-5, abs=2e-3)


@pytest.mark.parametrize("order", ["HD", "HR"])
def test_shares_give_the_value(order):
    losses = torch.rand(9, generator=torch.Generator().manual_seed(3))
    hook = HolisticRobust(alpha=0.1, radius=0.1, order=order)
    run = TrainingRun(torch.nn.Identity(), torch.nn.ModuleDict(), Dice.of(9), 1)
    share = hook.share(run, Batch(losses, torch.zeros(9), torch.arange(9)), losses)
    assert float(share.mean()) == pytest.approx(1, abs=1e-6)
    value = holistic_value(losses, 0.1, 0.1, order)
    assert float((share * losses).mean()) == pytest.approx(float(value), abs=1e-6)
