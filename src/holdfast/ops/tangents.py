"""The tangent kernel of infinitely wide ReLU nets."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_EDGE = 1e-6  # how far cosines stay from 1, where the slope of the angle is infinite


def relu_tangent_kernel(
    a: Tensor, b: Tensor, *, depth: int = 1, weight: float = 1.76, bias: float = 0.18
) -> Tensor:
    """Inner products of the gradients of an infinitely wide ReLU net, at its random start.

    With covariance S of two inputs at a layer and the angle t between them, the next layer has
    `S' = w^2 sqrt(S_aa S_bb) (sin t + (pi - t) cos t) / (2 pi) + b^2`, and the tangent kernel
    `T' = S' + T w^2 (pi - t) / (2 pi)`; both start at `w^2 a.b / d + b^2`. Differentiable;
    cosines are kept a millionth away from 1.

    Args:
        a: `(n, d)` inputs.
        b: `(m, d)` inputs.
        depth: hidden layers.
        weight: standard deviation of the weights, times the root of a layer's inputs.
        bias: standard deviation of the biases.

    Returns:
        `(n, m)` float64.
    """
    a, b = a.flatten(1).double(), b.flatten(1).double()
    w2, b2 = weight**2, bias**2
    own = [w2 * v.square().mean(1) + b2 for v in (a, b)]
    cross = w2 * (a @ b.T) / a.shape[1] + b2
    tangent = cross
    for _ in range(depth):
        scale = (own[0][:, None] * own[1]).clamp(min=1e-30).sqrt()
        angle = (cross / scale).clamp(_EDGE - 1, 1 - _EDGE).arccos()
        rest = (math.pi - angle) / (2 * math.pi)
        cross = w2 * scale * (angle.sin() / (2 * math.pi) + rest * angle.cos()) + b2
        own = [w2 * v / 2 + b2 for v in own]
        tangent = cross + tangent * w2 * rest
    return tangent


def time_weights(kernel: Tensor, times: Tensor, targets: Tensor) -> Tensor:
    """Coefficients of kernel regression after each row was followed for a time of its own.

    Gradient flow on squared errors, whose row i runs at a pace that adds up to `times[i]`, has
    `f(x) = K(x, X) c` with `c = K^-1 (I - exp(-K diag(times))) Y`: nothing at time 0, the fit
    through all targets in the limit.

    Args:
        kernel: `(n, n)` symmetric, positive definite.
        times: `(n,)`, at least 0.
        targets: `(n, K)`.

    Returns:
        `(n, K)`.

    Cost: one matrix exponential and one solution, of size n.
    """
    left = targets - torch.linalg.matrix_exp(-kernel * times) @ targets
    solved: Tensor = torch.linalg.solve(kernel, left)
    return solved
