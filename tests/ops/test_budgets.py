"""Projections onto simplices and budgets against a solver of quadratic programs."""

import numpy as np
import torch
from scipy.optimize import minimize

from holdfast.ops.budgets import onto_budget, onto_simplex

G = torch.Generator().manual_seed(0)


def test_onto_simplex_is_feasible_and_nearest() -> None:
    z = 3 * torch.randn(50, 4, 6, generator=G, dtype=torch.float64)
    mass = torch.rand(50, 4, generator=G, dtype=torch.float64) + 0.1
    u = onto_simplex(z, mass)
    assert (u >= 0).all() and torch.allclose(u.sum(-1), mass)
    # Optimal: what is left of z behind u is one number where u > 0, and larger elsewhere.
    rest = u - z
    level = torch.where(u > 0, rest, -torch.inf).amax(-1, keepdim=True)
    assert torch.allclose(rest[u > 0], level.expand_as(u)[u > 0])
    assert (rest >= level - 1e-9).all()


def test_onto_budget_equals_a_quadratic_program() -> None:
    for trial in range(4):
        z = torch.randn(1, 2, 3, generator=G, dtype=torch.float64)
        x = torch.eye(3, dtype=torch.float64)[torch.randint(3, (2,), generator=G)]
        cost = torch.rand(2, 3, generator=G, dtype=torch.float64) * (1 - x) * 4
        budget = torch.tensor([0.5 if trial else 0.0], dtype=torch.float64)
        ours = onto_budget(z, torch.ones(1, 2).double(), cost[None], budget)[0].flatten().numpy()
        c, goal = cost.flatten().numpy(), z.flatten().numpy()
        solved = minimize(
            lambda u, goal=goal: ((u - goal) ** 2).sum(), x.flatten().numpy(), method="SLSQP",
            bounds=[(0, 1)] * 6, options={"ftol": 1e-14, "maxiter": 500},
            constraints=[
                {"type": "eq", "fun": lambda u: u[:3].sum() - 1},
                {"type": "eq", "fun": lambda u: u[3:].sum() - 1},
                {"type": "ineq", "fun": lambda u, c=c, b=float(budget): b - c @ u},
            ],
        )  # fmt: skip
        assert np.allclose(ours, solved.x, atol=1e-5)


def test_onto_budget_is_feasible_and_bars_infinite_costs() -> None:
    z = torch.randn(64, 5, 4, generator=G)
    x = torch.eye(4)[torch.randint(4, (64, 5), generator=G)]
    cost = (torch.rand(64, 5, 4, generator=G) * 3 * (1 - x)).masked_fill(
        (torch.rand(64, 5, 4, generator=G) < 0.3) & (x == 0), torch.inf
    )
    u = onto_budget(z, torch.ones(64, 5), cost, torch.full((64,), 1.0))
    assert (u >= 0).all() and torch.allclose(u.sum(-1), torch.ones(64, 5), atol=1e-6)
    assert (u[cost.isinf()] == 0).all()
    spent = (cost.masked_fill(cost.isinf(), 0.0) * u).flatten(1).sum(1)
    assert (spent <= 1 + 1e-6).all() and (spent > 0.9).any()
    free = onto_budget(x + 0.0, torch.ones(64, 5), cost, torch.zeros(64))
    assert torch.allclose(free, x, atol=1e-6)
