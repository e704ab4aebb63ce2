"""Downsampling that keeps the low frequencies and nothing else."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.core.errors import ShapeError


class LowPassPool2d(nn.Module):
    """Halves both sides of images by cutting the upper half of their frequencies off.

    The central part of the spectrum is kept and transformed back on the smaller grid. So nothing
    is folded: a wave below the cut-off is sampled at every second pixel, one above it is gone, a
    constant stays. (Pooling by maximum or mean, and strides, let high frequencies through as low
    ones, which attacks use.)

    Raises:
        ShapeError: for odd sides, or inputs that are no images.

    Cost: a Fourier transform of the input and one of the output.
    """

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, H, W)` to `(B, C, H / 2, W / 2)`."""
        if x.dim() != 4 or x.shape[2] % 2 or x.shape[3] % 2:
            raise ShapeError(
                f"LowPassPool2d: needs images of even sides, got {tuple(x.shape)}",
                fix="Pad the images by a pixel.",
            )
        height, width = x.shape[2] // 2, x.shape[3] // 2
        spectrum = torch.fft.fftshift(torch.fft.fft2(x, norm="forward"), dim=(2, 3))
        top, left = x.shape[2] // 2 - height // 2, x.shape[3] // 2 - width // 2
        low = spectrum[:, :, top : top + height, left : left + width]
        small: Tensor = torch.fft.ifft2(torch.fft.ifftshift(low, dim=(2, 3)), norm="forward").real
        return small
