"""Verified bounds of eigenvalues and spectral norms: from the safe side, whatever was rounded.

Power iteration and library routines give numbers near the truth, on either side of it. What is
returned here was proved by a Cholesky factorisation: where it runs to its end in floats, the
matrix is positive definite up to an error that is known beforehand.
"""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.ops.interval import TINY, UNIT, gamma

SLACKS = tuple(10.0**-k for k in range(14, -1, -2))


def least_eigenvalue(h: Tensor) -> Tensor:
    """`(...)`: numbers below the least eigenvalue of symmetric matrices; -inf where unknown.

    A guess is lowered until `h - guess I` has a Cholesky factor R. Then `R^T R = h - guess I + D`
    with `|D| <= gamma |R^T| |R|` elementwise, in any order of summation, so that the least
    eigenvalue of `h - guess I` is at least minus `gamma / (1 - gamma)` times its trace. Twice the
    number of terms is counted, so that reciprocal pivots are covered too.

    Args:
        h: `(..., n, n)` float64; the lower triangle is read.

    Cost: the eigenvalues once and a factorisation, `O(n^3)`.
    """
    n = h.shape[-1]
    if n == 0:
        return torch.full(h.shape[:-2], torch.inf, dtype=h.dtype, device=h.device)
    known = h.isfinite().all(-1).all(-1)
    eye = torch.eye(n, dtype=h.dtype, device=h.device)
    matrix = torch.where(known[..., None, None], h, eye)
    size = torch.linalg.matrix_norm(matrix)  # at least the spectral norm of either triangle
    matrix = torch.tril(matrix)
    matrix = matrix + torch.tril(matrix, -1).mT
    size = torch.maximum(size, torch.linalg.matrix_norm(matrix))
    guess = torch.linalg.eigvalsh(matrix)[..., 0]
    found = torch.full_like(guess, -torch.inf)
    loss = gamma(2 * n + 8)
    for slack in SLACKS:
        low = guess - slack * n * size - TINY
        shifted = matrix - low[..., None, None] * eye
        _, info = torch.linalg.cholesky_ex(shifted)
        diagonal = shifted.diagonal(dim1=-2, dim2=-1)
        lost = loss / (1 - loss) * diagonal.sum(-1) + 4 * UNIT * (diagonal.abs().amax(-1) + size)
        found = torch.where((info == 0) & (found == -torch.inf), low - 2 * lost - TINY, found)
        if bool((found > -torch.inf).all()):
            break
    return torch.where(known & found.isfinite(), found, -torch.inf)


def spectral_norm_above(a: Tensor) -> Tensor:
    """`(...)`: numbers above the largest singular value of matrices; infinite where unknown.

    The Gram matrix over the shorter side is computed, whose rounding is at most gamma times the
    squared Frobenius norm, and its largest eigenvalue is bounded from above. Tight to about
    `n u` of the squared norm, or the square root of that for a matrix of tiny norm and rank.

    Args:
        a: `(..., m, n)` float64, or complex128.
    """
    if a.is_complex():
        top = torch.cat([a.real, -a.imag], -1)
        return spectral_norm_above(torch.cat([top, torch.cat([a.imag, a.real], -1)], -2))
    short = a if a.shape[-2] <= a.shape[-1] else a.mT
    if short.shape[-2] == 0:
        return torch.zeros(a.shape[:-2], dtype=a.dtype, device=a.device)
    peak = short.abs().flatten(-2).amax(-1)
    known = peak.isfinite()
    scale = torch.where(known & (peak > 0), peak, torch.ones_like(peak))
    unit = torch.where(known[..., None, None], short / scale[..., None, None], 1.0)
    size = torch.linalg.matrix_norm(unit) * (1 + gamma(unit[..., 0].numel() + unit.shape[-1] + 8))
    square = -least_eigenvalue(-(unit @ unit.mT))
    square = square + 2 * gamma(short.shape[-1] + 8) * size.square() + TINY
    bound = torch.minimum(square.clamp(min=0).sqrt(), size) * (1 + 16 * UNIT)
    # Dividing by the peak moved the matrix by at most a rounding of each entry.
    found = (bound + 4 * UNIT * size) * scale * (1 + 4 * UNIT) + TINY
    return torch.where(known & found.isfinite(), found, torch.inf)
