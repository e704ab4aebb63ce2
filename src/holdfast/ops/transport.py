"""Optimal transport between two clouds of as many points, and the clouds on the way."""

from __future__ import annotations

import torch
from torch import Tensor


def matching(a: Tensor, b: Tensor) -> Tensor:
    """`(n,)`: for each point of `a` its partner in `b`, at the least sum of squared distances.

    With equal weights an optimal plan is a permutation; fewer points in `b` serve several times,
    as often as each other up to one.

    Args:
        a: `(n, ...)`.
        b: `(m, ...)`, at least one point.
    """
    from scipy.optimize import linear_sum_assignment

    copies = -(-len(a) // len(b))
    cost = torch.cdist(a.detach().flatten(1).double(), b.detach().flatten(1).double()).square()
    _, partner = linear_sum_assignment(cost.repeat(1, copies).cpu().numpy())
    return torch.as_tensor(partner, device=a.device) % len(b)


def between(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Points at a share `t` of the way from each of `a` to its partner in `b`.

    With partners of an optimal plan these clouds are the shortest way between the two in the
    Wasserstein distance (McCann's interpolation), at distances in proportion to t.

    Args:
        a: `(n, ...)`.
        b: like a, already in the order of the plan.
        t: in [0, 1].
    """
    return (1 - t) * a + t * b


def gaussian_map(mean: tuple[Tensor, Tensor], cov: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """`(A, c)` of the optimal map `x -> A x + c` between two normal distributions.

    `A = S0^-1/2 (S0^1/2 S1 S0^1/2)^1/2 S0^-1/2`.

    Args:
        mean: `(d,)` each.
        cov: `(d, d)` each, positive definite.
    """

    def power(s: Tensor, p: float) -> Tensor:
        values, vectors = torch.linalg.eigh(s)
        found: Tensor = (vectors * values.clamp(min=0) ** p) @ vectors.T
        return found

    half, back = power(cov[0], 0.5), power(cov[0], -0.5)
    a = back @ power(half @ cov[1] @ half, 0.5) @ back
    return a, mean[1] - a @ mean[0]
