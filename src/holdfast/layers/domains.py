"""What a picture looks like in other domains: edges, waves, levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.ops.edges import slopes
from holdfast.ops.filters import correlate, smooth

Domain = Literal["raw", "grey", "sobel", "laplace", "low-pass", "sharp", "emboss", "wavelet"]
_LAPLACE = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
_EMBOSS = torch.tensor([[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])


class InDomain(nn.Module):
    """Pictures `(B, C, H, W)` through a fixed filter; nothing is learned.

    `sobel` is the length of the slopes of the grey picture, `sharp` the picture with what blurring
    takes from it added once more, `wavelet` the three detail bands of one level of Haar waves,
    each as large as the picture. Each throws something else away, so nets behind them do not
    fail together.

    Args:
        domain: which filter.
        sigma: of the blur, in pixels.
    """

    def __init__(self, domain: Domain, sigma: float = 1.0) -> None:
        super().__init__()
        self.domain, self.sigma = domain, sigma

    def forward(self, x: Tensor) -> Tensor:
        """The picture in its domain; of one channel for grey and Sobel, else as many as it has."""
        return _SEEN[self.domain](x, self.sigma)


def _details(x: Tensor) -> Tensor:
    """`(B, 3 C, H, W)`: differences across, down and along the diagonal of blocks of four."""
    size = x.shape[-2:]
    even = F.pad(x, (0, size[1] % 2, 0, size[0] % 2), mode="replicate")
    a, b = even[..., ::2, ::2], even[..., ::2, 1::2]
    c, d = even[..., 1::2, ::2], even[..., 1::2, 1::2]
    bands = torch.cat([a - b + c - d, a + b - c - d, a - b - c + d], 1) / 2
    return F.interpolate(bands, scale_factor=2.0, mode="nearest")[..., : size[0], : size[1]]


def _edges(x: Tensor) -> Tensor:
    down, right = slopes(x.mean(1, keepdim=True))
    return (down.square() + right.square() + 1e-12).sqrt()


_SEEN: dict[str, Callable[[Tensor, float], Tensor]] = {
    "raw": lambda x, sigma: x,
    "grey": lambda x, sigma: x.mean(1, keepdim=True),
    "sobel": lambda x, sigma: _edges(x),
    "laplace": lambda x, sigma: correlate(x, _LAPLACE, "reflect"),
    "emboss": lambda x, sigma: correlate(x, _EMBOSS, "reflect"),
    "low-pass": smooth,
    "sharp": lambda x, sigma: 2 * x - smooth(x, sigma),
    "wavelet": lambda x, sigma: _details(x),
}
