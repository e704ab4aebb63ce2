"""Mathematics of pictures: smeared lines, clouds, coarse pixels."""

from __future__ import annotations

from math import ceil, log2

import torch
from torch import Tensor

from holdfast.ops.filters import quick_length

NOTHING = 1e-9  # a weight that cannot be seen
BAND = 32  # columns of coarse pixels at a time


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
    # Of both axes an image is continued at one end, the one its line goes to: at the other end
    # of a circle.
    height, width = x.shape[2:]
    high, wide = (quick_length(n + len(tap) - 1) for n in (height, width))
    ahead, below = (side[:, -1, None, None, None] >= 0 for side in (right, down))
    big = x.new_empty(*x.shape[:2], high, wide)
    big[:, :, :height, :width] = x
    big[:, :, :height, width:] = torch.where(ahead, x[..., -1:], x[..., :1])
    big[:, :, height:] = torch.where(below, big[:, :, height - 1 : height], big[:, :, :1])
    line = torch.zeros(len(x), high * wide, dtype=x.dtype, device=x.device)
    line.scatter_add_(1, (-down % high) * wide + -right % wide, weight.expand(len(x), -1))
    wave = torch.fft.rfft2(big).mul_(torch.fft.rfft2(line.view(-1, 1, high, wide)))
    out: Tensor = torch.fft.irfft2(wave, s=(high, wide))
    return out[:, :, :height, :width].contiguous()


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
    noise, used = draws.mul(2).sub_(1), 0
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
    low, high = (end[..., None] for end in sky.flatten(1).aminmax(dim=1, keepdim=True))
    return (sky[:, :height, :width] - low).div_((high - low).clamp_(min=1e-12))


def coarse(x: Tensor, share: float) -> Tensor:
    """Fewer, larger pixels: box means on a grid of `share` of each side, then enlarged again.

    Args:
        x: images `(B, C, H, W)`.
        share: of each side that is kept, in (0, 1].

    Cost: some six times reading and writing the images.
    """
    (high, tall, down), (left, wide, across) = (_boxes(n, share) for n in x.shape[2:])
    small = _across(_down(x, high, tall), left, wide)
    places = across.to(x.device).expand(*small.shape[:3], -1)
    return small.gather(3, places).index_select(2, down.to(x.device))


def _boxes(n: int, share: float) -> tuple[Tensor, Tensor, Tensor]:
    """`(m,)` first pixels and numbers of pixels of boxes; `(n,)` what each pixel shows later."""
    m = max(1, int(n * share + 1e-9))
    scale = n / m
    centre = (torch.arange(m, dtype=torch.float64) + 0.5) * scale
    low = (centre - scale / 2 + 0.5).long().clamp(min=0)
    high = (centre + scale / 2 + 0.5).long().clamp(max=n)
    nearest = ((torch.arange(n, dtype=torch.float64) + 0.5) / scale).long().clamp(max=m - 1)
    return low, high - low, nearest


def _down(x: Tensor, low: Tensor, count: Tensor) -> Tensor:
    """Means of boxes of rows: the first rows of all boxes, then the second ones, and so on."""
    total = torch.zeros(*x.shape[:2], len(low), x.shape[3], dtype=x.dtype, device=x.device)
    for k in range(int(count.max())):
        place = (low + k).clamp(max=x.shape[2] - 1).to(x.device)
        weight = ((count > k) / count.double())[:, None].to(x)
        total.addcmul_(x.index_select(2, place), weight)
    return total


def _across(x: Tensor, low: Tensor, count: Tensor) -> Tensor:
    """Means of boxes of columns: a product with a matrix, but for most of its zeros."""
    high, column = low + count, torch.arange(x.shape[3])
    inside = (column >= low[:, None]) & (column < high[:, None])
    matrix = (inside / count[:, None].double()).to(x)
    out = x.new_empty(*x.shape[:3], len(low))
    for start in range(0, len(low), BAND):
        stop = min(start + BAND, len(low))
        near = slice(int(low[start]), int(high[stop - 1]))
        out[..., start:stop] = x[..., near] @ matrix[start:stop, near].T
    return out
