"""Gradients from values alone: what can be learned of a function that only answers questions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Values = Callable[[Tensor], Tensor]


def coordinate_gradient(values: Values, z: Tensor, step: float) -> Tensor:
    """Central differences along every coordinate; exact for quadratic functions.

    Args:
        values: `(n, d)` -> `(n,)`, row by row.
        z: `(B, d)` where the gradient is wanted.
        step: half the distance between the two points of a difference.

    Returns:
        `(B, d)`. Cost: `2 d` values per row.
    """
    moves = step * torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    points = z[:, None] + torch.cat([moves, -moves])
    up, down = values(points.flatten(0, 1)).view(len(z), 2, -1).unbind(1)
    return (up - down) / (2 * step)


def direction_gradient(values: Values, z: Tensor, step: float, directions: Tensor) -> Tensor:
    """Forward differences along directions of length 1, averaged.

    For directions drawn evenly from the sphere `d (f(z + step u) - f(z)) / step u` has the
    gradient as its mean, up to the step; its spread grows with d and falls with their number.

    Args:
        values: `(n, d)` -> `(n,)`, row by row.
        z: `(B, d)` where the gradient is wanted.
        step: length of a move.
        directions: `(B, q, d)` of length 1.

    Returns:
        `(B, d)`. Cost: `q + 1` values per row.
    """
    here = values(z)
    there = values((z[:, None] + step * directions).flatten(0, 1)).unflatten(0, (len(z), -1))
    slopes = (there - here[:, None]) / step
    found: Tensor = z.shape[1] * (slopes[..., None] * directions).mean(1)
    return found
