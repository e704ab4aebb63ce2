"""Clouds of points: which points count, and clouds without some of them or with some moved."""

from __future__ import annotations

import torch
from torch import Tensor


def point_saliency(slope: Tensor) -> Tensor:
    """`(B, N)`: share of each point in the slope of the loss, of sum 1; all alike where it is 0.

    Args:
        slope: `(B, N, d)` gradient in the points.
    """
    length = slope.norm(dim=2)
    total = length.sum(1, keepdim=True)
    return torch.where(total > 0, length / total.clamp(min=1e-30), 1 / length.shape[1])


def chosen_points(weight: Tensor, count: int, uniform: Tensor) -> Tensor:
    """`(B, count)`: points drawn without replacement, each next one in proportion to its weight.

    The smallest of exponential times over the weights, which is drawing one after the other.

    Args:
        weight: `(B, N)`, at least 0; points of weight 0 come last.
        count: of points.
        uniform: `(B, N)` draws in [0, 1).
    """
    times = -torch.log1p(-uniform.double()) / weight.double().clamp(min=1e-12)
    return times.argsort(1)[:, :count]


def without(points: Tensor, gone: Tensor) -> Tensor:
    """`(B, N - k, d)`: clouds without k of their points, the others in their order.

    Args:
        points: `(B, N, d)`.
        gone: `(B, k)` different places.
    """
    kept = torch.ones(points.shape[:2], dtype=torch.bool, device=points.device)
    kept.scatter_(1, gone.to(points.device), False)
    return points[kept].view(len(points), -1, points.shape[2])
