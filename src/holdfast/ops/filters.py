"""Filters of pictures: blurs by a matrix per axis, any kernel by Fourier transforms, zooms.

A border says what lies outside of the image: "nearest" repeats the last pixel, "reflect" mirrors
with the last pixel twice (d c b a | a b c d), "mirror" with it once (d c b | a b c d).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Border = Literal["nearest", "reflect", "mirror"]
BAND = 32  # rows of a banded matrix at a time
PIECE = 1 << 19  # bytes of planes blurred at a time: between the two products they stay in a cache
FEW = 16  # weights that are quicker one by one
SMALL = 8  # disks up to this radius are drawn on a square of this reach


def beyond(n: int, before: int, after: int, border: Border) -> Tensor:
    """`(before + n + after,)`: the pixel that stands for each place of a padded axis."""
    place = torch.arange(-before, n + after)
    if border == "nearest" or n == 1:
        return place.clamp(0, n - 1)
    period = 2 * n if border == "reflect" else 2 * n - 2
    place = place % period
    return torch.minimum(place, period - place - int(border == "reflect"))


def padded(x: Tensor, before: int, after: int, border: Border) -> Tensor:
    """Images `(..., H, W)` with both axes continued by `before` and `after` pixels."""
    mode = _mode(border, max(before, after), min(x.shape[-2:]))
    if mode and x.is_floating_point():
        sides = (before, after, before, after)
        big = F.pad(x.reshape(-1, 1, *x.shape[-2:]), sides, mode=mode)
        return big.view(*x.shape[:-2], *big.shape[-2:])
    for dim in (-2, -1):
        place = beyond(x.shape[dim], before, after, border)
        x = x.index_select(dim, place.to(x.device))
    return x


def _mode(border: Border, most: int, n: int) -> str | None:
    """The name that torch has for continuing axes of at least n pixels by at most so many."""
    if border == "nearest" or (border == "reflect" and most <= 1):
        return "replicate"
    return "reflect" if border == "mirror" and most < n else None


def gaussian_taps(sigma: float, radius: int) -> Tensor:
    """`(2 radius + 1,)` weights of a Gaussian, float64, of sum 1."""
    i = torch.arange(-radius, radius + 1, dtype=torch.float64)
    k = torch.exp(-(i**2) / (2 * max(sigma, 1e-9) ** 2))
    return k / k.sum()


def _blur_axis(n: int, sigma: float, truncate: float, border: Border) -> Tensor:
    """`(n, n)`: what a Gaussian blur does to one axis, its border included."""
    radius = int(truncate * sigma + 0.5)
    taps = gaussian_taps(sigma, radius)
    place = beyond(n, radius, radius, border).unfold(0, n, 1)  # row k: where tap k reads
    matrix = torch.zeros(n, n, dtype=torch.float64)
    return matrix.scatter_add(1, place.T, taps.expand(n, -1).contiguous())


def smooth(x: Tensor, sigma: float, truncate: float = 4.0, border: Border = "nearest") -> Tensor:
    """A Gaussian blur, cut off at `truncate` sigmas (rounded to whole pixels).

    Args:
        x: images `(..., H, W)`.
        sigma: in pixels; below `0.5 / truncate` nothing is left of the kernel but its middle.
        truncate: reach of the kernel.
        border: what lies outside.

    Cost: two products with matrices whose bands are `8 sigma` wide.
    """
    if int(truncate * sigma + 0.5) == 0:
        return x
    reach = int(truncate * sigma + 0.5)
    down = _blur_axis(x.shape[-2], sigma, truncate, border).to(x)
    across = _blur_axis(x.shape[-1], sigma, truncate, border).to(x)
    if x.requires_grad:
        return down @ x @ across.T
    planes = x.reshape(-1, *x.shape[-2:])
    blurred = torch.empty_like(planes, memory_format=torch.contiguous_format)
    few = max(1, PIECE // max(1, planes[:1].nbytes))
    first = torch.empty_like(blurred[:few])
    for part, second in zip(planes.split(few), blurred.split(few), strict=True):
        half, count = first[: len(part)], len(part)
        for out, near in _bands(len(across), reach):
            rows, to = part[..., near].flatten(0, 1), half[..., out].flatten(0, 1)
            torch.mm(rows, across[out, near].T, out=to)
        for out, near in _bands(len(down), reach):
            torch.bmm(down[out, near].expand(count, -1, -1), half[:, near], out=second[:, out])
    return blurred.view(x.shape)


def _bands(n: int, reach: int) -> Iterator[tuple[slice, slice]]:
    """Parts of an axis, each with what lies within its reach: the rest of its matrix is zero."""
    for start in range(0, n, BAND):
        stop = min(start + BAND, n)
        yield slice(start, stop), slice(max(0, start - reach), min(n, stop + reach))


def correlate(x: Tensor, kernel: Tensor, border: Border) -> Tensor:
    """Each channel correlated with one odd-sided square kernel.

    A kernel of few weights is a sum of shifted images, any other goes by Fourier transforms.

    Args:
        x: images `(..., H, W)`.
        kernel: `(k, k)`, its middle on the pixel.
        border: what lies outside.
    """
    half = len(kernel) // 2
    big = padded(x, half, half, border)
    if int(kernel.count_nonzero()) <= FEW:
        total = torch.zeros_like(x)
        for down, right in kernel.nonzero().tolist():
            part = big[..., down : down + x.shape[-2], right : right + x.shape[-1]]
            total.add_(part, alpha=float(kernel[down, right]))
        return total
    size = [quick_length(n) for n in big.shape[-2:]]
    wave = torch.fft.rfft2(big, s=size).mul_(torch.fft.rfft2(kernel.flip(0, 1).to(x), s=size))
    out: Tensor = torch.fft.irfft2(wave, s=size)
    height, width = x.shape[-2:]
    return out[..., 2 * half : 2 * half + height, 2 * half : 2 * half + width].contiguous()


def quick_length(n: int) -> int:
    """The least number from n on with no prime factor above 5: Fourier transforms are fast."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def disk(radius: float, alias: float) -> Tensor:
    """The kernel of a lens out of focus: a disk of whole pixels, blurred a little against stairs.

    Args:
        radius: in pixels; below 1 the disk is one pixel.
        alias: sigma of that blur, over 3 x 3 pixels, or 5 x 5 for a radius above 8.

    Returns:
        `(k, k)` float64.
    """
    small = radius <= SMALL
    side = SMALL if small else ceil(radius)
    i = torch.arange(-side, side + 1, dtype=torch.float64)
    kernel = (i**2 + i[:, None] ** 2 <= radius**2 + 1e-9).double()
    reach = 1 if small else 2
    taps = gaussian_taps(alias, reach)
    big = padded(kernel / kernel.sum(), reach, reach, "mirror")
    square = taps[:, None] * taps
    kernel = F.conv2d(big[None, None], square[None, None])[0, 0]
    idle = max(0, side - int(radius) - 1)  # nothing but zeros
    return kernel[idle : len(kernel) - idle, idle : len(kernel) - idle]


def zoomed(x: Tensor, factor: float) -> Tensor:
    """The middle of each image, enlarged linearly to the size of the image.

    The crop has `ceil(side / factor)` pixels; corners stay on corners, and what is too large by
    rounding is cut at both ends.

    Args:
        x: images `(B, C, H, W)`.
        factor: at least 1.
    """
    height, width = x.shape[2:]
    crop = [ceil(n / factor) for n in (height, width)]
    top, left = (height - crop[0]) // 2, (width - crop[1]) // 2
    part = x[:, :, top : top + crop[0], left : left + crop[1]]
    size = [max(n, round(c * factor)) for n, c in zip((height, width), crop, strict=True)]
    big = F.interpolate(part, size=size, mode="bilinear", align_corners=True)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return big[:, :, top : top + height, left : left + width]
