"""Calibration errors without bins, from confidences and whether the answers were right."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.measures.outputs.gaps import bandwidth
from holdfast.ops.batch import chunks

ROWS = 1024


def kolmogorov(confidence: Tensor, hit: Tensor) -> float:
    """Largest gap between the cumulated confidence and the cumulated accuracy, over all rows.

    Rows are cumulated by rising confidence, equal ones at once. If all answers are too sure, it
    is the error of a single bin.

    Args:
        confidence: `(N,)`.
        hit: `(N,)` 1 where right, else 0.
    """
    _, group = confidence.unique(return_inverse=True)
    zero = confidence.new_zeros(int(group.max()) + 1)
    return float(zero.index_add(0, group, hit - confidence).cumsum(0).abs().max() / len(hit))


def kernel_mean(
    confidence: Tensor, hit: Tensor, *, width: float = 0.4, balanced: bool = False
) -> float:
    """Maximum mean calibration error: length of the mean residual in the space of a kernel.

    The kernel is Laplacian, exp(-|a - b| / width). Zero in the limit if and only if confidence
    is accuracy.

    Args:
        confidence: `(N,)`.
        hit: `(N,)` 1 where right, else 0.
        width: of the kernel.
        balanced: right and wrong answers count alike, however many there are of each.
    """
    wrong = hit == 0
    count = torch.where(wrong, wrong.sum(), (~wrong).sum()) if balanced else len(hit)
    residual = (hit - confidence) / count
    total = residual.new_zeros(())
    for part in chunks(len(hit), ROWS):
        kernel = (-(confidence[part, None] - confidence).abs() / width).exp()
        total = total + residual[part] @ kernel @ residual
    return float(total.clamp(min=0).sqrt())


def kernel_density(confidence: Tensor, hit: Tensor, points: int = 512) -> float:
    """Expected calibration error with kernel densities in place of bins.

    With the density of the confidences p(z) and the accuracy r(z) at each, it is the integral of
    `|z - r(z)| p(z)`, both estimated with one Gaussian kernel of Silverman's width whose mass
    outside [0, 1] is reflected. Unlike the paper, right answers have no width of their own: then
    numerator and denominator of r(z) agree, and r(z) stays in [0, 1].

    Args:
        confidence: `(N,)`.
        hit: `(N,)` 1 where right, else 0.
        points: of the integral.
    """
    wide = max(bandwidth(confidence) if len(confidence) > 1 else 0.0, 1e-3)
    z = torch.linspace(0, 1, points, dtype=confidence.dtype, device=confidence.device)
    gap = torch.zeros_like(z)
    for part in chunks(len(hit), ROWS):
        near = confidence[part, None]
        mirrored = torch.stack([near, -near, 2 - near])
        kernel = torch.exp(-0.5 * ((z - mirrored) / wide) ** 2).sum(0)
        gap += ((z - hit[part, None]) * kernel).sum(0)
    height = gap.abs() / (len(hit) * wide * (2 * torch.pi) ** 0.5)
    return float(torch.trapezoid(height, z))
