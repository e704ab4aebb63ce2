"""Worst distributions: some rows may be corrupted, and the rows are only a sample.

With n losses l and an atom more that has the largest loss M, the adversary of the mean may move a
share `alpha` of the mass to that atom, and reweigh within a Kullback-Leibler ball of radius r. In
the order HD it first corrupts the empirical measure and then reweighs, in HR the other way round.
Both have solutions that a bisection finds: inside the ball `p_i` is proportional to
`q_i / (eta - l_i)` with `eta > M`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Order = Literal["HD", "HR"]
HALVINGS, GRID, ROUNDS = 50, 33, 6


def _reweighed(mass: Tensor, losses: Tensor, radius: float) -> Tensor:
    """The worst p with KL(mass || p) <= radius, for rows of losses `(R, n)`.

    The divergence falls as eta moves away from the largest loss, so that a bisection over the
    logarithm of that distance finds where it is the radius.
    """
    top = losses.amax(-1, keepdim=True)
    span = top - losses.amin(-1, keepdim=True)
    if radius <= 0:
        return mass.expand_as(losses)
    scale = span.clamp(min=1e-30)
    low = torch.full_like(span, -60.0)
    high = torch.full_like(span, 20.0)

    def tilted(log_gap: Tensor) -> Tensor:
        weights = mass / (scale * log_gap.exp() + (top - losses))
        return weights / weights.sum(-1, keepdim=True)

    for _ in range(HALVINGS):
        middle = (low + high) / 2
        p = tilted(middle)
        ratio = torch.where(mass > 0, mass / p.clamp(min=1e-300), 1.0)
        far = (mass * ratio.log()).sum(-1, keepdim=True) > radius
        low, high = torch.where(far, middle, low), torch.where(far, high, middle)
    return torch.where(span > 0, tilted(high), mass.expand_as(losses))


def _corrupted(mass: Tensor, losses: Tensor, alpha: float) -> Tensor:
    """`(n,)` mass that is left after a share alpha was taken from the smallest losses."""
    order = losses.argsort()
    sorted_mass = mass[order]
    before = sorted_mass.cumsum(0) - sorted_mass
    left = torch.empty_like(mass)
    left[order] = sorted_mass - (alpha - before).clamp(min=0).minimum(sorted_mass)
    return left


def _clip(losses: Tensor, alpha: float, radius: float) -> Tensor:
    """The distribution before corruption in the order HR.

    Moving mass alpha from the smallest losses to M adds `min_t alpha t + sum q max(0, M - t - l)`,
    and minimum and maximum may change places, so that one convex function of t is minimised whose
    value is a worst mean over losses cut off from below at M - t.
    """
    n = len(losses)
    mass, top = torch.full_like(losses, 1 / n), losses.amax()
    low, high = torch.zeros_like(top), top - losses.amin()
    q = mass
    for _ in range(ROUNDS):
        t = low + (high - low) * torch.linspace(0, 1, GRID).to(losses)
        cut = torch.maximum(losses[None], (top - t)[:, None])
        every = _reweighed(mass, cut, radius)
        best = int((alpha * t + (every * cut).sum(1)).argmin())
        q = every[best]
        low, high = t[max(best - 1, 0)], t[min(best + 1, GRID - 1)]
    return q


def holistic_weights(losses: Tensor, alpha: float, radius: float, order: Order = "HD") -> Tensor:
    """The distribution with the largest mean loss, in float64.

    Args:
        losses: `(n,)`, finite.
        alpha: share of the rows that may be corrupted, in [0, 1].
        radius: of the Kullback-Leibler ball, in nats.
        order: corruption before reweighing (`HD`) or after it (`HR`).

    Returns:
        `(n + 1,)`: the weights of the rows, and that of the largest loss beside them; they are
        not negative and sum to 1.
    """
    wide = losses.detach().double()
    n = len(wide)
    if not n:
        return wide.new_ones(1)
    if order == "HR":
        q = _clip(wide, alpha, radius) if alpha > 0 else _reweighed(
            torch.full_like(wide, 1 / n), wide[None], radius
        )[0]  # fmt: skip
        left = _corrupted(q, wide, alpha)
        return torch.cat([left, (1 - left.sum())[None].clamp(min=0)])
    left = _corrupted(torch.full_like(wide, 1 / n), wide, alpha)
    mass = torch.cat([left, (1 - left.sum())[None].clamp(min=0)])
    return _reweighed(mass, torch.cat([wide, wide.amax()[None]])[None], radius)[0]


def holistic_value(losses: Tensor, alpha: float, radius: float, order: Order = "HD") -> Tensor:
    """The largest mean loss; its gradient is the distribution that has it.

    Args:
        losses: `(n,)`.
        alpha: share of the rows that may be corrupted.
        radius: of the ball, in nats.
        order: see `holistic_weights`.
    """
    p = holistic_weights(losses, alpha, radius, order).to(losses)
    return (p[:-1] * losses).sum() + p[-1] * losses.amax()
