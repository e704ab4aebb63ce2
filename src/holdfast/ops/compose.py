"""Objects and their surroundings: found, taken out, and put back elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def object_mask(x: Tensor) -> Tensor:
    """`(B, 1, H, W)` of 0 and 1: where an image differs from its border, cut by Otsu's rule.

    The distance of each pixel's colour to the mean colour of the border is split at the value
    that separates two groups best. Right for an object on a quiet ground, a guess elsewhere;
    an image of one colour has no object.

    Args:
        x: `(B, C, H, W)`.
    """
    inside = torch.zeros_like(x[:1, :1])
    inside[:, :, 1:-1, 1:-1] = 1
    border = 1 - inside
    ground = (x * border).sum((2, 3), keepdim=True) / border.sum().clamp(min=1)
    far = (x - ground).square().sum(1).sqrt().flatten(1)
    ordered = far.double().sort(1).values
    n = ordered.shape[1]
    below = torch.arange(1, n + 1, device=x.device, dtype=torch.float64)
    total = ordered.cumsum(1)
    low, high = total / below, (total[:, -1:] - total) / (n - below).clamp(min=1)
    between = below * (n - below) * (high - low).square()
    cut = ordered.gather(1, between.argmax(1, keepdim=True)).to(far)
    return (far > cut * (1 + 1e-6)).to(x).reshape(len(x), 1, *x.shape[2:])


def filled(x: Tensor, hole: Tensor) -> Tensor:
    """Images without their object: what is hidden is filled in from around it.

    Known pixels are averaged on coarser and coarser grids; a hole takes the value of the finest
    grid on which something is known, smoothly blended. Known pixels stay bit for bit.

    Args:
        x: `(B, C, H, W)`.
        hole: `(B, 1, H, W)` in [0, 1], 1 where nothing is known.
    """
    values, known = [x * (1 - hole)], [1 - hole]
    while max(values[-1].shape[2:]) > 1:
        values.append(F.avg_pool2d(values[-1], 2, ceil_mode=True))
        known.append(F.avg_pool2d(known[-1], 2, ceil_mode=True))
    mean = x.mean((2, 3), keepdim=True)  # where all is hidden
    guess = torch.where(known[-1] > 0, values[-1] / known[-1].clamp(min=1e-12), mean)
    for value, share in zip(values[-2::-1], known[-2::-1], strict=True):
        size = (int(value.shape[2]), int(value.shape[3]))
        coarse = F.interpolate(guess, size, mode="bilinear", align_corners=False)
        own = torch.where(share > 0, value / share.clamp(min=1e-12), coarse)
        guess = share * own + (1 - share) * coarse
    return torch.where(hole > 0, guess, x)


def boxes(mask: Tensor) -> Tensor:
    """`(B, 4)`: middle (row, column) and sides of the box around each object, in pixels.

    Args:
        mask: `(B, 1, H, W)`; what is above 1/2 belongs. Without any pixel: the whole image.
    """
    found = (mask > 0.5)[:, 0]
    ends = []
    for other in (2, 1):
        line = found.any(other)
        line = line | ~line.any(1, keepdim=True)
        first = line.to(torch.uint8).argmax(1)
        last = line.shape[1] - line.flip(1).to(torch.uint8).argmax(1)
        ends.append((first, last))
    middle = [(a + b) / 2 for a, b in ends]
    return torch.stack([*middle, *(b - a for a, b in ends)], 1).double()


def placed(
    foreground: Tensor, mask: Tensor, background: Tensor, scale: Tensor, angle: Tensor, at: Tensor
) -> tuple[Tensor, Tensor]:
    """Objects laid on backgrounds, scaled, turned and moved.

    Args:
        foreground: `(B, C, h, w)` images with objects.
        mask: `(B, 1, h, w)` in [0, 1].
        background: `(B, C, H, W)`.
        scale: `(B,)` factors of the sides.
        angle: `(B,)` in radians, anticlockwise.
        at: `(B, 2)` row and column, in pixels, where the middle of the object's box comes to lie.

    Returns:
        Images `(B, C, H, W)`, and the masks of the laid objects `(B, 1, H, W)`.
    """
    h, w = foreground.shape[2:]
    rows, columns = (
        torch.arange(n, device=mask.device, dtype=torch.float64) + 0.5 for n in background.shape[2:]
    )
    box, at = boxes(mask).to(mask.device), at.double()
    down = (rows - at[:, :1])[:, :, None]
    across = (columns - at[:, 1:])[:, None, :]
    c, s = (f(angle.double())[:, None, None] / scale.double()[:, None, None]
            for f in (torch.cos, torch.sin))  # fmt: skip
    i = box[:, :1, None] + c * down + s * across
    j = box[:, 1:2, None] - s * down + c * across
    grid = torch.stack([2 * j / w - 1, 2 * i / h - 1], -1).to(foreground)
    both = torch.cat([foreground * mask, mask.to(foreground)], 1)
    laid = F.grid_sample(both, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    over = laid[:, -1:].clamp(0, 1)
    return laid[:, :-1] + (1 - over) * background, over


def edited(
    x: Tensor, mask: Tensor, ground: Tensor, side: Tensor, angle: Tensor, at: Tensor
) -> Tensor:
    """Images whose object is scaled, turned and moved, over ground that takes its old place.

    An object that stays as it is leaves every pixel of it as it is.

    Args:
        x: `(B, C, H, W)`.
        mask: `(B, 1, H, W)` of the object, in [0, 1].
        ground: `(B, C, H, W)` what is seen where the object is not.
        side: `(B,)` factors of the sides.
        angle: `(B,)` in radians.
        at: `(B, 2)` how far the object moves, as shares of the sides.
    """
    sides = torch.tensor(x.shape[2:], device=x.device, dtype=torch.float64)
    where = boxes(mask)[:, :2].to(x.device) + at.double() * sides
    return placed(x, mask, ground, side, angle, where)[0]


def shrunk(mask: Tensor, smallest: float, amount: float = 1.0) -> Tensor:
    """`(B,)`: factor of the sides that brings an object to a share of the image's area.

    An object that is smaller already stays as it is.

    Args:
        mask: `(B, 1, H, W)`.
        smallest: the share at amount 1.
        amount: how much of the area that is to go does go.
    """
    own = mask.sum((1, 2, 3)) / mask[0].numel()
    return (1 - amount + amount * (smallest / own.clamp(min=1e-12)).clamp(max=1)).sqrt()


def free_move(mask: Tensor, side: Tensor, draws: Tensor) -> Tensor:
    """`(B, 2)`: moves, as shares of the sides, to a uniform place with the box inside.

    Args:
        mask: `(B, 1, H, W)`.
        side: `(B,)` factors of the sides of the object.
        draws: `(B, 2)` uniform in [0, 1).
    """
    box, sides = boxes(mask).to(draws), torch.tensor(mask.shape[2:]).to(draws)
    half = (box[:, 2:] * side[:, None].to(draws) / 2).minimum(sides / 2)
    return (half + draws * (sides - 2 * half) - box[:, :2]) / sides


def entropy_of_textures(x: Tensor, levels: int = 16) -> Tensor:
    """`(B,)`: complexity of each image, the entropy of its grey-level co-occurrence matrix.

    Grey values are rounded to levels; pairs of neighbours to the right, below and on both
    diagonals are counted; the entropy of the counted shares is averaged over the four, in nats.

    Args:
        x: `(B, C, H, W)` in [0, 1].
        levels: of grey.
    """
    grey = (x.mean(1) * levels).long().clamp(0, levels - 1)
    h, w = grey.shape[1:]
    total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
        first = grey[:, : h - down, max(-across, 0) : w - max(across, 0)]
        second = grey[:, down:, max(across, 0) : w + min(across, 0)]
        pairs = (first * levels + second).flatten(1)
        counts = torch.zeros(len(x), levels**2, dtype=torch.float64, device=x.device)
        counts.scatter_add_(1, pairs, torch.ones_like(pairs, dtype=torch.float64))
        share = counts / counts.sum(1, keepdim=True).clamp(min=1)
        total -= torch.special.xlogy(share, share).sum(1)
    return total / 4


def drawn_boxes(area: Tensor, middle: Tensor, sides: Sequence[int]) -> Tensor:
    """`(B, *sides)`: true inside a box that is cut off at the borders.

    Args:
        area: `(B,)` share of all pixels, before it is cut off.
        middle: `(B, D)` uniform in [0, 1), its place along each axis.
        sides: length of each of D axes.
    """
    inside = torch.ones(len(area), *(1 for _ in sides), dtype=torch.bool, device=area.device)
    for axis, n in enumerate(sides):
        long = (n * area ** (1 / len(sides)) + 1e-9).long()
        low = (middle[:, axis] * n).long() - long // 2
        at = torch.arange(n, device=area.device)
        along = (at >= low[:, None]) & (at < (low + long)[:, None])
        inside = inside & along.view(-1, *(n if a == axis else 1 for a in range(len(sides))))
    return inside
