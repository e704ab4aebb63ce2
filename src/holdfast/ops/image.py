"""Mathematics of pictures: smeared lines, clouds, coarse pixels."""

from __future__ import annotations

from math import ceil, log2

import torch
from torch import Tensor

from holdfast.ops.filters import padded

NOTHING = 1e-9  # a weight that cannot be seen


def smear(x: Tensor, angle: Tensor, sigma: float, width: int) -> Tensor:
    """Averages each image along a line, with one-sided Gaussian weights.

    Tap i has the weight exp(-i^2 / (2 sigma^2)) and lies i pixels away in the direction of the
    row's angle, rounded to whole pixels; beyond the border the nearest pixel counts.

    Args:
        x: images `(B, C, H, W)`.
        angle: `(B,)` in radians.
        sigma: of the weights, in pixels, above 0.
        width: number of taps.

    Cost: one Fourier transform per channel and one per image, whatever the width is.
    """
    tap = torch.arange(width, dtype=torch.float64)
    weight = torch.exp(-(tap**2) / (2 * sigma**2))
    tap, weight = (v[weight >= NOTHING].to(x) for v in (tap, weight))
    weight = weight / weight.sum()
    right = (tap * angle.cos()[:, None] - 0.5).ceil().long()
    down = (tap * angle.sin()[:, None] - 0.5).ceil().long()
    reach = len(tap) - 1
    big = padded(x, reach, reach, "nearest")
    high, wide = (_smooth_number(n) for n in big.shape[2:])
    line = torch.zeros(len(x), high * wide, dtype=x.dtype, device=x.device)
    line.scatter_add_(1, (-down % high) * wide + -right % wide, weight.expand(len(x), -1))
    wave = torch.fft.rfft2(line.view(-1, 1, high, wide)) * torch.fft.rfft2(big, s=(high, wide))
    out: Tensor = torch.fft.irfft2(wave, s=(high, wide))
    return out[:, :, reach : reach + x.shape[2], reach : reach + x.shape[3]].contiguous()


def _smooth_number(n: int) -> int:
    """The least number from n on with no prime factor above 5: Fourier transforms are fast."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def cloud_draws(height: int, width: int) -> tuple[int]:
    """The shape of the uniform draws that `clouds` needs for each row."""
    return (_side(height, width) ** 2 - 1,)


def _side(height: int, width: int) -> int:
    return int(2 ** max(1, ceil(log2(max(height, width)))))


def clouds(draws: Tensor, decay: float, height: int, width: int) -> Tensor:
    """Fractal clouds by midpoint displacement on a square that closes on itself.

    Level by level the middle of each square, then of each edge, becomes the mean of its four
    neighbours plus a random height; heights shrink by `decay` squared per level. A smaller
    decay gives a rougher cloud.

    Args:
        draws: `(B, side^2 - 1)` uniform in [0, 1), the shape from `cloud_draws`: level by level
            those of the middles, of the upper edges, of the left edges.
        decay: above 1.
        height: rows of the crop.
        width: columns of the crop.

    Returns:
        `(B, height, width)` in [0, 1], each image spanning the whole range before the crop.
    """
    b, side = len(draws), int((draws.shape[1] + 1) ** 0.5 + 0.5)
    noise, used = draws * 2 - 1, 0
    sky = noise.new_zeros(b, side, side)
    step, amplitude = side, 1.0
    while step >= 2:
        half, n = step // 2, side // step
        corner = sky[:, ::step, ::step]
        around = corner + corner.roll(-1, 1)
        around = around + around.roll(-1, 2)
        wild = amplitude * noise[:, used : used + 3 * n * n].reshape(b, 3, n, n)
        middle = around / 4 + wild[:, 0]
        sky[:, half::step, half::step] = middle
        across = middle + middle.roll(1, 1) + corner + corner.roll(-1, 2)
        sky[:, ::step, half::step] = across / 4 + wild[:, 1]
        along = middle + middle.roll(1, 2) + corner + corner.roll(-1, 1)
        sky[:, half::step, ::step] = along / 4 + wild[:, 2]
        step, amplitude, used = half, amplitude / decay**2, used + 3 * n * n
    sky = sky - sky.amin((1, 2), keepdim=True)
    sky = sky / sky.amax((1, 2), keepdim=True).clamp(min=1e-12)
    return sky[:, :height, :width]


def coarse(x: Tensor, share: float) -> Tensor:
    """Fewer, larger pixels: box means on a grid of `share` of each side, then enlarged again.

    Args:
        x: images `(B, C, H, W)`.
        share: of each side that is kept, in (0, 1].
    """
    (down, high), (across, wide) = (_coarse_axis(n, share) for n in x.shape[2:])
    small = down.to(x) @ x @ across.to(x).T
    return small.index_select(3, wide.to(x.device)).index_select(2, high.to(x.device))


def _coarse_axis(n: int, share: float) -> tuple[Tensor, Tensor]:
    """`(m, n)` means of boxes, and `(n,)` the box that each pixel shows afterwards."""
    m = max(1, int(n * share + 1e-9))
    scale = n / m
    shrink = torch.zeros(m, n, dtype=torch.float64)
    for i in range(m):
        centre = (i + 0.5) * scale
        low = max(int(centre - scale / 2 + 0.5), 0)
        high = min(int(centre + scale / 2 + 0.5), n)
        shrink[i, low:high] = 1 / (high - low)
    nearest = ((torch.arange(n, dtype=torch.float64) + 0.5) / scale).long().clamp(max=m - 1)
    return shrink, nearest
