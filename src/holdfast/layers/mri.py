"""Reconstruction of images from few measured frequencies."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.ops.mri import adjoint, consistent, measured


class Scan(nn.Module):
    """What comes out of measuring an image on some frequencies: its zero-filled image.

    Args:
        mask: `(1, 1, H, W)`, 1 where a frequency is measured, the lowest in the first corner.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 1, H, W)` images to the real part of `A^H A x`."""
        return adjoint(measured(x, self.mask.to(x)), self.mask.to(x)).real


class Unrolled(nn.Module):
    """A few rounds of a learned denoiser, each brought back to what was measured.

    Starts from the zero-filled image z, whose measured frequencies are the measurements.

    Args:
        mask: as in `Scan`.
        denoiser: image to image, shared by all rounds.
        rounds: how many.
        weight: of the denoised image against the measurements, above 0.
    """

    mask: Tensor

    def __init__(
        self, mask: Tensor, denoiser: nn.Module, rounds: int = 5, weight: float = 0.1
    ) -> None:
        super().__init__()
        self.register_buffer("mask", mask)
        self.denoiser, self.rounds, self.weight = denoiser, rounds, weight

    def forward(self, z: Tensor) -> Tensor:
        """`(B, 1, H, W)` zero-filled images to images."""
        mask = self.mask.to(z)
        k = measured(z, mask)
        x = z
        for _ in range(self.rounds):
            x = consistent(self.denoiser(x), k, mask, self.weight).real
        return x


class Rescanned(nn.Module):
    """The error of a reconstruction of an image that is itself changed before it is measured.

    Changes of the image (turned, cut out) act on the object, as they do in a scanner; the
    reconstruction is compared with the changed image.

    Args:
        reconstructor: zero-filled images to images.
        scan: images to zero-filled images.
    """

    def __init__(self, reconstructor: nn.Module, scan: nn.Module) -> None:
        super().__init__()
        self.reconstructor, self.scan = reconstructor, scan

    def forward(self, x: Tensor) -> Tensor:
        """`f(A^H A x) - x`."""
        found: Tensor = self.reconstructor(self.scan(x)) - x
        return found


def cut_out(x: Tensor, row: Tensor, column: Tensor, side: int) -> Tensor:
    """Images with a square erased.

    Args:
        x: `(B, C, H, W)`.
        row: `(B,)` of the upper left corner.
        column: `(B,)` of it.
        side: of the square, in pixels.
    """
    i, j = (torch.arange(n, device=x.device) for n in x.shape[2:])
    down = (i >= row[:, None]) & (i < row[:, None] + side)
    across = (j >= column[:, None]) & (j < column[:, None] + side)
    return x * ~(down[:, :, None] & across[:, None])[:, None]
