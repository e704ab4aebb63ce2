"""How alike two images are, as loss and as judge: batched and differentiable."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.errors import ShapeError
from holdfast.core.inputs import some_rows

C1, C2 = 0.01**2, 0.03**2  # of images in [0, 1]
Net = Callable[[Tensor], Sequence[Tensor]]


def _same(x: Tensor, ref: Tensor) -> None:
    if x.shape != ref.shape or x.dim() != 4:
        raise ShapeError(
            f"images {tuple(x.shape)} and {tuple(ref.shape)} must both be (B, C, H, W)",
            fix="Give two sets of as many images of one size, channels before height.",
        )


def ssim(x: Tensor, ref: Tensor, window: int = 11, sigma: float = 1.5) -> Tensor:
    """`(B,)` structural similarity in Gaussian windows, 1 for equal images.

    Images smaller than the window get the largest odd window that fits.

    Args:
        x: `(B, C, H, W)` in [0, 1].
        ref: the same shape.
        window: width of the window.
        sigma: of the Gaussian, in pixels.
    """
    _same(x, ref)
    least = min(window, *x.shape[-2:])
    least -= (least + 1) % 2
    place = torch.arange(least, dtype=x.dtype, device=x.device) - least // 2
    line = torch.exp(-0.5 * (place / sigma) ** 2)
    line = line / line.sum()
    channels = x.shape[1]

    def mean(image: Tensor) -> Tensor:
        rows = F.conv2d(image, line.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
        return F.conv2d(rows, line.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)

    a, b = mean(x), mean(ref)
    vx, vr, both = mean(x * x) - a * a, mean(ref * ref) - b * b, mean(x * ref) - a * b
    top = (2 * a * b + C1) * (2 * both + C2)
    return (top / ((a * a + b * b + C1) * (vx + vr + C2))).mean((1, 2, 3))


def edge_distance(x: Tensor, ref: Tensor) -> Tensor:
    """`(B,)` mean absolute difference of the gradients between neighbouring pixels.

    Args:
        x: images `(B, C, H, W)`.
        ref: the images they are compared with, of the same shape.

    Raises:
        ShapeError: unless both are images of one shape.
    """
    _same(x, ref)
    down = (x.diff(dim=-2) - ref.diff(dim=-2)).abs().flatten(1)
    across = (x.diff(dim=-1) - ref.diff(dim=-1)).abs().flatten(1)
    return torch.cat([down, across], 1).mean(1)


def feature_distance(x: Tensor, ref: Tensor, net: Net) -> Tensor:
    """`(B,)` squared distance of features, scaled to length one at each place (as LPIPS).

    Args:
        x: `(B, C, H, W)`.
        ref: the same shape.
        net: images -> feature maps `(B, D, h, w)` of its layers.
    """
    _same(x, ref)
    total = x.new_zeros(len(x))
    for a, b in zip(net(x), net(ref), strict=True):
        gap = F.normalize(a, dim=1, eps=1e-8) - F.normalize(b, dim=1, eps=1e-8)
        total = total + gap.square().sum(1).mean((1, 2))
    return total


def texture_distance(x: Tensor, ref: Tensor, net: Net) -> Tensor:
    """`(B,)` one minus the mean likeness of means and of covariances of feature maps (as DISTS).

    Args:
        x: `(B, C, H, W)`.
        ref: the same shape.
        net: images -> feature maps `(B, D, h, w)` of its layers.
    """
    _same(x, ref)
    found = []
    for a, b in zip(net(x), net(ref), strict=True):
        ma, mb = a.mean((2, 3)), b.mean((2, 3))
        ca, cb = a - ma[..., None, None], b - mb[..., None, None]
        va, vb, both = ca.square().mean((2, 3)), cb.square().mean((2, 3)), (ca * cb).mean((2, 3))
        texture = (2 * ma * mb + C1) / (ma * ma + mb * mb + C1)
        structure = (2 * both + C1) / (va + vb + C1)
        found.append((texture + structure).mean(1) / 2)
    return 1 - torch.stack(found).mean(0)


def frechet(a: Tensor, b: Tensor) -> float:
    """Frechet distance of two sets of features taken as Gaussians.

    The squared distance of the means, and the trace of S1 + S2 - 2 (S1 S2)^(1/2), whose root has
    the eigenvalues of the root of S1^(1/2) S2 S1^(1/2).

    Args:
        a: `(n, d)`.
        b: `(m, d)`.

    Raises:
        ShapeError: for fewer than two rows.
    """
    some_rows(a, "frechet", 2)
    some_rows(b, "frechet", 2)
    a, b = a.double(), b.double()
    first, second = (torch.atleast_2d(t.T.cov()) for t in (a, b))
    values, vectors = torch.linalg.eigh(first)
    half = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(half @ second @ half).clamp(min=0).sqrt().sum()
    found = (a.mean(0) - b.mean(0)).square().sum() + first.trace() + second.trace() - 2 * cross
    return float(found.clamp(min=0))
