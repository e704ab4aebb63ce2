"""What JPEG does to a picture: blocks, cosine transform, rounding to a table; no entropy coding."""

from __future__ import annotations

from functools import cache
from math import cos, pi, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor

# Tables K.1 and K.2 of the standard (ITU-T T.81), row by row.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
_TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136286, -0.714136286), (1.0, 1.772, 0.0))


@cache
def _cosines() -> Tensor:
    """The orthonormal cosine transform of eight points."""
    rows = [[sqrt((1 if k == 0 else 2) / 8) * cos(pi * (2 * n + 1) * k / 16) for n in range(8)]
            for k in range(8)]  # fmt: skip
    return torch.tensor(rows, dtype=torch.float64)


def steps(quality: float) -> tuple[Tensor, Tensor]:
    """`(8, 8)` step sizes of luma and chroma, scaled as the reference implementation does.

    Args:
        quality: in (0, 100].
    """
    scale = int(5000 / quality) if quality < 50 else 200 - 2 * quality  # in percent
    luma, chroma = (
        ((torch.tensor(base, dtype=torch.float64) * scale + 50) / 100).floor().clamp(1, 255)
        for base in (_LUMA, _CHROMA)
    )
    return luma, chroma


def _rounded(plane: Tensor, table: Tensor) -> Tensor:
    """A plane `(B, H, W)` in [0, 255], sides multiples of 8, with its coefficients rounded."""
    b, h, w = plane.shape
    both = torch.kron(_cosines(), _cosines()).to(plane)  # the transform of a block as one vector
    steps = table.to(plane).flatten()
    blocks = (plane - 128).view(b, h // 8, 8, w // 8, 8).transpose(2, 3).reshape(-1, 64)
    kept = (blocks @ both.T).div_(steps).round_().mul_(steps)
    back = (kept @ both).view(b, h // 8, w // 8, 8, 8).transpose(2, 3).reshape(b, h, w)
    return back.add_(128).round_().clamp_(0, 255)


def _padded(x: Tensor, unit: int) -> Tensor:
    """Sides filled up to multiples of `unit` by repeating the last pixel."""
    h, w = x.shape[-2:]
    if h % unit == w % unit == 0:
        return x
    return F.pad(x, (0, -w % unit, 0, -h % unit), mode="replicate")


def jpeg(x: Tensor, quality: float) -> Tensor:
    """Images as they come back from JPEG at a quality.

    Colour (three channels) goes through YCbCr with chroma at half the resolution, averaged on
    the way in and interpolated on the way out; any other number of channels is coded plane by
    plane as grey.

    Args:
        x: images `(B, C, H, W)` in [0, 1].
        quality: in (0, 100], 100 is nearly lossless.

    Returns:
        Images of the same shape on the 256 levels of eight bits.
    """
    h, w = x.shape[-2:]
    pixels = (x * 255).round()
    luma, chroma = steps(quality)
    if x.shape[1] != 3:
        planes = _padded(pixels, 8)
        coded = _rounded(planes.flatten(0, 1), luma).reshape(planes.shape)
        return coded[..., :h, :w] / 255
    ycc = torch.einsum("oc,bchw->bohw", torch.tensor(_TO_YCC).to(x), _padded(pixels, 16))
    ycc = (ycc + torch.tensor([0.0, 128.0, 128.0]).to(x)[:, None, None]).round_()
    bright = _rounded(ycc[:, 0], luma)[:, None]
    half = F.avg_pool2d(ycc[:, 1:], 2).round_()
    colour = _rounded(half.flatten(0, 1), chroma).reshape(half.shape)
    colour = colour[..., : (h + 1) // 2, : (w + 1) // 2]
    full = F.interpolate(colour, scale_factor=2, mode="bilinear", align_corners=False)
    both = torch.cat([bright[..., :h, :w], full[..., :h, :w] - 128], 1)
    rgb = torch.einsum("oc,bchw->bohw", torch.tensor(_TO_RGB).to(x), both)
    return rgb.round_().clamp_(0, 255).div_(255)
