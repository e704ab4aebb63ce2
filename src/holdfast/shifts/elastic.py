"""Pictures on rubber: stretched as a whole, and displaced from place to place."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops.filters import smooth
from holdfast.ops.warp import pixels, sampled, through_points
from holdfast.shifts.published import Published, Row, on_images

# Published as shares of the side; those for 224 pixels were multiplied by 244, and are kept so.
_SHARES = {
    (32, 32): ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05),
               (0.1, 0.03, 0.03)),
    (64, 64): ((0, 0, 0.08), (0.05, 0.3, 0.06), (0.1, 0.08, 0.06), (0.1, 0.03, 0.03),
               (0.16, 0.03, 0.02)),
    (224, 244): ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02),
                 (0.12, 0.01, 0.02)),
}  # fmt: skip
ELASTIC = Published(
    none=(0.0, None, 0.0),  # height and width of the displacements, jitter of three points
    tables={
        size: tuple(tuple(unit * v for v in row) for row in rows)
        for (size, unit), rows in _SHARES.items()
    },
    lengths=(True, True, True),
    whole=True,
)


def stretched(x: Tensor, jitter: float, dice: Dice) -> Tensor:
    """An affine map: three points around the middle go up to `jitter` pixels away, each alone."""
    height, width = x.shape[2:]
    middle = torch.tensor([width // 2, height // 2], dtype=torch.float64)
    s = min(height, width) // 3
    corners = torch.tensor([[s, s], [s, -s], [-s, -s]], dtype=torch.float64)
    points = (middle + corners).to(x.device).expand(len(x), 3, 2)
    u = dice.uniform((3, 2), device=x.device, dtype=torch.float64)
    back = through_points(points + jitter * (2 * u - 1), points).to(x.dtype)
    column, row = pixels(x)
    right, down = (back[:, i, :, None, None] for i in (0, 1))
    return sampled(
        x,
        right[:, 0] * column + right[:, 1] * row + right[:, 2],
        down[:, 0] * column + down[:, 1] * row + down[:, 2],
        "mirror",
    )


def rubber(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Stretched, then displaced by `row[0]` times smooth noise of width `row[1]`."""
    height, sigma, jitter = row
    x = stretched(x, jitter, dice)
    noise = dice.uniform((2, *x.shape[2:]), device=x.device, dtype=x.dtype).mul_(2).sub_(1)
    right, down = smooth(noise, sigma, truncate=3.0, border="reflect").mul_(height).unbind(1)
    columns, rows = pixels(x)
    return sampled(x, columns + right, rows + down, "reflect")


@register("shift", cites="imagenet-c")
def elastic_transform(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Stretches each image as a whole, then displaces it by smooth noise from place to place.

    The published levels are no scale: at 224 pixels the first two bend large regions, the others
    small ones, and the change of an image is not larger at a higher level.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k, and so is what lies below it.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
    """
    return on_images(batch, severity, dice, "elastic-transform", ELASTIC, rubber)
