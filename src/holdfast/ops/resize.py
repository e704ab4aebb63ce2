"""Images at another resolution."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def resized(x: Tensor, share: float) -> Tensor:
    """Images of another size, bicubic: a share of each side, above 1 an enlargement.

    Args:
        x: images `(B, C, H, W)`.
        share: of each side, above 0; at least one pixel is kept.
    """
    size = [max(1, round(int(n) * share)) for n in x.shape[2:]]
    if size == list(x.shape[2:]):
        return x
    shrinks = share < 1
    return F.interpolate(x, size, mode="bicubic", align_corners=False, antialias=shrinks)


def at_resolution(x: Tensor, share: float, *, antialias: bool = True) -> Tensor:
    """Images shrunk to a share of each side and enlarged again, both bicubic.

    Args:
        x: images `(B, C, H, W)`.
        share: of each side, in (0, 1]; at least one pixel is kept.
        antialias: whether shrinking averages over what a new pixel covers. Libraries differ
            here, and accuracy at 16 pixels with them by several points.

    Returns:
        Images of the same size; at a share that keeps every pixel the very same.
    """
    height, width = int(x.shape[2]), int(x.shape[3])
    size = max(1, round(height * share)), max(1, round(width * share))
    if size == (height, width):
        return x
    small = F.interpolate(x, size, mode="bicubic", align_corners=False, antialias=antialias)
    return F.interpolate(small.clamp(0, 1), (height, width), mode="bicubic", align_corners=False)
