"""How far two samples lie apart as distributions; rows of problems first.

Distances for `attacks.goals.Moves` where a generator draws anew at every call: `mmd2`, the
Gaussian `gaussian_kl`, and `two_sample_p`, the p-value of no move at all.
"""

from __future__ import annotations

import torch
from torch import Tensor

CLOSE = 100.0  # half squared lengths, in widths: up to here exponents may come from products


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """`(B, n, m)`, from differences: exact zeros stay zeros."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def bandwidth(a: Tensor) -> Tensor:
    """`(B,)`: median distance between two different points of each sample `(B, n, D)`."""
    first, second = torch.triu_indices(a.shape[1], a.shape[1], 1, device=a.device)
    far = _distances(a, a)[:, first, second]
    return far.median(1).values.clamp(min=torch.finfo(a.dtype).tiny)


def _close(a: Tensor, b: Tensor, width: Tensor) -> tuple[Tensor, Tensor] | None:
    """Both samples in units of the width, around the mean of `a`; None if any point is far off."""
    centre = a.mean(1, keepdim=True)
    near, other = ((each - centre) / width for each in (a, b))
    half = torch.cat([near, other], 1).square().sum(2) / 2
    return (near, other) if bool((half <= CLOSE).all()) else None


def _by_products(a: Tensor, b: Tensor) -> Tensor:
    """`(B, n, m)`: `exp(-|u - v|^2 / 2)` in one array, for points that are close to the origin.

    The exponent `uv - |u|^2 / 2 - |v|^2 / 2` is one product of matrices, wrong by at most some
    `CLOSE` roundings; far from the origin most of it would cancel.
    """
    half = [each.square().sum(2) / -2 for each in (a, b)]
    exponents = torch.baddbmm(half[0][:, :, None], a, b.mT).add_(half[1][:, None])
    return exponents.clamp_(max=0).exp_()


def _by_differences(a: Tensor, b: Tensor, width: Tensor) -> Tensor:
    """`(B, n, m)`: `exp(-|u - v|^2 / (2 width^2))`, exactly 1 for equal points at any width."""
    return torch.exp((_distances(a, b) / width).square() / -2)


def mmd2(a: Tensor, b: Tensor, *, width: Tensor | None = None) -> Tensor:
    """Unbiased squared maximum mean discrepancy with a Gaussian kernel.

    The kernel is `exp(-|u - v|^2 / (2 width^2))`. Property: zero in expectation for two samples
    of one distribution, so it may be negative.

    Args:
        a: `(B, n, D)` first samples, n at least 2.
        b: `(B, m, D)` second samples.
        width: `(B,)` of the kernel; the median distance within `a` unless given.

    Returns:
        `(B,)`.
    """
    unit = (bandwidth(a) if width is None else width)[:, None, None]
    close = _close(a, b, unit)

    def kernel(u: Tensor, v: Tensor) -> Tensor:
        return _by_products(u, v) if close else _by_differences(u, v, unit)

    first, second = close or (a, b)
    total = -2 * kernel(first, second).mean((1, 2))
    for each in (first, second):
        values, n = kernel(each, each), each.shape[1]
        itself = values.diagonal(dim1=1, dim2=2).sum(1)
        total = total + (values.sum((1, 2)) - itself) / (n * (n - 1))
    return total


def gaussian_kl(a: Tensor, b: Tensor, *, shrinkage: float = 0.1) -> Tensor:
    """Kullback-Leibler divergence from `a` to `b`, each taken as a Gaussian.

    Covariances are drawn towards a multiple of the identity, so that few samples do.

    Args:
        a: `(B, n, D)`.
        b: `(B, m, D)`.
        shrinkage: weight of the identity, in [0, 1].

    Returns:
        `(B,)` in nats.
    """
    (mean_a, cov_a), (mean_b, cov_b) = (_moments(each, shrinkage) for each in (a, b))
    factor = torch.linalg.cholesky(cov_b)
    gap = (mean_b - mean_a)[..., None]
    trace = torch.linalg.solve(cov_b, cov_a).diagonal(dim1=1, dim2=2).sum(1)
    away = torch.linalg.solve_triangular(factor, gap, upper=False).square().sum((1, 2))
    logs = torch.linalg.slogdet(cov_b)[1] - torch.linalg.slogdet(cov_a)[1]
    kl: Tensor = 0.5 * (trace + away - a.shape[2] + logs)
    return kl


def _moments(a: Tensor, shrinkage: float) -> tuple[Tensor, Tensor]:
    """Means `(B, D)` and shrunken covariances `(B, D, D)`."""
    mean = a.mean(1, keepdim=True)
    centred = a - mean
    cov = centred.transpose(1, 2) @ centred / max(a.shape[1] - 1, 1)
    size = cov.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)[:, None, None]
    eye = torch.eye(a.shape[2], dtype=a.dtype, device=a.device)
    return mean[:, 0], (1 - shrinkage) * cov + (shrinkage + 1e-9) * size * eye


def arranged_mmd2(
    a: Tensor,
    b: Tensor,
    *,
    permutations: int = 199,
    seed: int = 0,
    scales: tuple[float, ...] = (1.0,),
) -> Tensor:
    """`mmd2` of the two samples as they are, and of random arrangements of all points in two.

    The kernel is a mean of Gaussian ones, their widths multiples of the median distance between
    any two points. All arrangements share one matrix of kernel values.

    Args:
        a: `(B, n, D)`.
        b: `(B, m, D)`.
        permutations: random arrangements; the same ones for every row.
        seed: of the arrangements.
        scales: widths in units of the median distance.

    Returns:
        `(B, 1 + permutations)`, the real arrangement first.
    """
    both, n = torch.cat([a, b], 1), a.shape[1]
    count, g = both.shape[1], torch.Generator().manual_seed(seed)
    far = _distances(both, both)
    pairs = torch.triu(torch.ones(count, count, dtype=torch.bool, device=a.device), 1)
    width = far[:, pairs].median(1).values.clamp(min=torch.finfo(a.dtype).tiny)[:, None, None]
    kernel = torch.stack([torch.exp(-0.5 * (far / (s * width)) ** 2) for s in scales]).mean(0)
    orders = torch.stack(
        [torch.arange(count), *(torch.randperm(count, generator=g) for _ in range(permutations))]
    ).to(a.device)
    side = torch.zeros(len(orders), count, dtype=a.dtype, device=a.device)
    side.scatter_(1, orders[:, :n], 1.0)
    m = count - n
    mine, theirs = side @ kernel, (1 - side) @ kernel
    first, across = (mine * side).sum(2), (mine * (1 - side)).sum(2)
    second = (theirs * (1 - side)).sum(2)
    return (first - n) / (n * (n - 1)) + (second - m) / (m * (m - 1)) - 2 * across / (n * m)


def two_sample_p(a: Tensor, b: Tensor, *, permutations: int = 199, seed: int = 0) -> Tensor:
    """p-value of the hypothesis that both samples come from one distribution.

    Points change sides at random; the p-value is the share of arrangements, the real one
    included, whose discrepancy (`mmd2`) is at least the real one. Property: exact at any size,
    so under the hypothesis it is uniform on its grid.

    Args:
        a: `(B, n, D)`.
        b: `(B, m, D)`.
        permutations: random arrangements; the same ones for every row.
        seed: of the arrangements.

    Returns:
        `(B,)` in (0, 1].
    """
    value = arranged_mmd2(a, b, permutations=permutations, seed=seed)
    # A hair of room: arrangements that only swap the sides are equal but for rounding.
    return (value >= value[:, :1] - 1e-12).to(a.dtype).mean(1)
