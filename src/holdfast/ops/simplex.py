"""Random shares: Beta and Dirichlet numbers by inverting uniform draws."""

from __future__ import annotations

import torch
from torch import Tensor


def beta(u: Tensor, a: float) -> Tensor:
    """Numbers of the symmetric Beta(a, a) distribution that belong to uniform draws.

    Args:
        u: uniform in [0, 1).
        a: above 0; 1 gives the draws themselves, a small one shares near 0 and 1.
    """
    if a == 1:
        return u
    from scipy.special import betaincinv

    found = betaincinv(a, a, u.double().cpu().numpy())
    return torch.as_tensor(found).to(u)


def dirichlet(u: Tensor, a: float) -> Tensor:
    """Shares of the symmetric Dirichlet distribution that belong to uniform draws.

    Independent Gamma(a) numbers over their sum.

    Args:
        u: `(..., k)` uniform in [0, 1).
        a: above 0; a large one gives k equal shares, a small one a single share of 1.

    Returns:
        `(..., k)`, of sum 1 along the last axis.
    """
    from scipy.special import gammaincinv

    inside = (u.double() + 2.0**-54).cpu().numpy()  # never 0, whose quantile is 0
    parts = torch.as_tensor(gammaincinv(a, inside)).clamp(min=1e-300)
    return (parts / parts.sum(-1, keepdim=True)).to(u)
