"""What threats on the places of pixels have in common: images, read anew between their pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.errors import Unsupported
from holdfast.threats.ball import within


def extent(x: Tensor, who: str) -> tuple[int, int]:
    """Height and width of images `(B, C, H, W)`.

    Raises:
        Unsupported: for other inputs.
    """
    if x.dim() != 4:
        raise Unsupported(
            f"{who}: needs images (B, C, H, W), got {tuple(x.shape)}",
            fix="Use a norm ball such as linf:0.1 for other inputs.",
        )
    return x.shape[2], x.shape[3]


def precise(x: Tensor) -> torch.dtype:
    """The type in which pixels are interpolated: float32 or wider."""
    return x.dtype if x.dtype in (torch.float32, torch.float64) else torch.float32


def interpolated(moved: Tensor, x: Tensor, low: float, high: float) -> Tensor:
    """Pixels read anew, in the type of x, without what rounding may add to their range.

    Args:
        moved: `(B, C, H, W)` means of pixels of x.
        x: as they were.
        low: least valid value.
        high: largest valid value.
    """
    ends = x.detach().to(moved.dtype)
    return within(moved, ends.amin().clamp(max=low), ends.amax().clamp(min=high)).to(x.dtype)
