"""Images passed through a small net of random weights, fresh for every image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.shifts.published import Published, Row, on_images

# Published is a strength drawn between 0.375 and 0.75 per batch; here the severity says it.
STRENGTH = Published(none=(0.0,), tables={32: tuple((0.15 * k,) for k in range(1, 6))})
BLOCKS, PLANES = 4, 8


def residual_noise(x: Tensor, strength: float, dice: Dice) -> Tensor:
    """Images after residual blocks whose weights are drawn for each image; not clipped.

    Args:
        x: `(B, C, H, W)`.
        strength: of each block; at 0 nothing changes.
        dice: one row per image.
    """
    b, c, height, width = x.shape
    for _ in range(BLOCKS):
        # Kernels of 3 by 3 or of one pixel; grouped, so that no image sees another's weights.
        wide = (dice.uniform(device=x.device) < 0.5).to(x)[:, None, None, None]
        ring = torch.ones(3, 3, device=x.device, dtype=x.dtype)
        ring[1, 1] = 0
        first = dice.normal((PLANES, c, 3, 3), device=x.device, dtype=x.dtype)
        first = (
            first
            * (1 - ring + ring * wide[..., None])
            * (2 / (c * (1 + 8 * wide))).sqrt()[..., None]
        )
        second = dice.normal((c, PLANES, 1, 1), device=x.device, dtype=x.dtype) / PLANES**0.5
        seen = (x - 0.5).reshape(1, b * c, height, width)
        hidden = F.gelu(F.conv2d(seen, first.reshape(b * PLANES, c, 3, 3), padding=1, groups=b))
        made = F.conv2d(hidden, second.reshape(b * c, PLANES, 1, 1), groups=b)
        x = x + strength * made.view(b, c, height, width)
    return x


@register("shift", cites="imagenet-r-deepaugment", name="noise2net")
def noise2net(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Passes each image through four residual blocks of a random net of its own.

    Texture, local contrast and colours change together while large forms stay. As an
    augmentation: `hook:augment` with this shift.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; the strength of the blocks is 3/4 of it, as published at most.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.

    Unlike the paper, weights are drawn per image and not per batch of grouped ones, with 8
    hidden planes instead of 16 and without multi-scale splits.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        return residual_noise(x, row[0], dice)

    return on_images(batch, severity, dice, "noise2net", STRENGTH, change)
