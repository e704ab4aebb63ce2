"""What a scanner measures: the Fourier transform of an image, on some of its frequencies."""

from __future__ import annotations

import torch
from torch import Tensor


def space(x: Tensor) -> tuple[int, ...]:
    """The axes of an image or volume: all behind rows and channels."""
    return tuple(range(2, x.dim()))


def measured(x: Tensor, mask: Tensor, coils: Tensor | None = None) -> Tensor:
    """`A x`: the orthonormal Fourier transform, each coil by itself, where the mask is 1.

    Args:
        x: `(B, 1, H, W)`, real or complex.
        mask: broadcasts to `(B, 1, H, W)`, 1 where a frequency is measured, the lowest first.
        coils: `(1 or B, S, H, W)` complex sensitivities; None for one coil that sees all alike.

    Returns:
        `(B, S, H, W)` complex.
    """
    seen = x if coils is None else x * coils
    found: Tensor = torch.fft.fftn(seen, dim=space(x), norm="ortho") * mask
    return found


def adjoint(k: Tensor, mask: Tensor, coils: Tensor | None = None) -> Tensor:
    """`A^H k`, `(B, 1, H, W)` complex: the zero-filled image.

    Args:
        k: `(B, S, H, W)` complex.
        mask: as in `measured`.
        coils: as in `measured`.
    """
    seen: Tensor = torch.fft.ifftn(k * mask, dim=space(k), norm="ortho")
    return seen if coils is None else (seen * coils.conj()).sum(1, keepdim=True)


def lines(height: int, width: int, every: int, centre: float, generator: torch.Generator) -> Tensor:
    """`(1, 1, H, W)` of 0 and 1: whole rows of frequencies, the lowest and random others.

    Args:
        height: of the image, along which rows are left out.
        width: of the image.
        every: one row in so many is measured.
        centre: share of the rows around the lowest frequency that are always measured.
        generator: which others.
    """
    wanted = max(1, round(height / every))
    near = torch.fft.fftfreq(height).abs()
    kept = near <= near.sort().values[max(0, min(height, round(centre * height)) - 1)]
    order = torch.rand(height, generator=generator) - kept.double()
    mask = torch.zeros(height)
    mask[order.argsort()[: max(wanted, int(kept.sum()))]] = 1
    return mask[None, None, :, None].expand(1, 1, height, width).clone()


def normalised_error(found: Tensor, truth: Tensor) -> Tensor:
    """`(B,)`: squared error over the squared length of the truth (NMSE)."""
    off = (found - truth).abs().square().flatten(1).sum(1)
    return off / truth.abs().square().flatten(1).sum(1).clamp(min=1e-12)


def consistent(x: Tensor, k: Tensor, mask: Tensor, weight: float) -> Tensor:
    """The image nearest to x and to the measurements of one coil, in closed form.

    Minimises `||A z - k||^2 + weight ||z - x||^2`: measured frequencies become the weighted mean
    of both, the others stay those of x.

    Args:
        x: `(B, 1, H, W)`.
        k: `(B, 1, H, W)` complex.
        mask: as in `measured`.
        weight: of x, above 0.
    """
    own = torch.fft.fftn(x, dim=space(x), norm="ortho")
    both = torch.where(mask.bool(), (k + weight * own) / (1 + weight), own)
    found: Tensor = torch.fft.ifftn(both, dim=space(x), norm="ortho")
    return found
