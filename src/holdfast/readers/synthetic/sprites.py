"""One object on a ground, whose size, place, turn, ground and texture are set one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.ops.image import cloud_draws, clouds
from holdfast.readers.synthetic.control_shift import NAMES, outline
from holdfast.readers.synthetic.shape_texture import TEXTURES, texture_of

LEAST_SIDE = 16  # below, a thin ring is a disc
REACH, HALF = 15**0.5 / 4, 0.25  # of an arm, in sizes: its corners lie on the circle of the size
RANGES = {
    "size": (0.15, 0.5),
    "row": (0.0, 1.0),
    "column": (0.0, 1.0),
    "rotation": (-180.0, 180.0),
    "background": (0.0, 1.0),
    "texture": (0.0, 1.0),
}
Span = float | tuple[float, float]


def spans_of(factors: Mapping[str, Span]) -> dict[str, tuple[float, float]]:
    """The interval of each factor; a number is an interval of one value.

    Raises:
        ConfigError: for an interval that is empty, leaves the range of its factor, or lets an
            object leave the image.
    """
    spans = {}
    for name, span in factors.items():
        low, high = span if isinstance(span, tuple | list) else (span, span)
        least, most = RANGES[name]
        if not (isfinite(low) and isfinite(high) and least <= low <= high <= most):
            raise ConfigError(
                f"sprites: {name} must be a number or an interval (low, high) in "
                f"[{least:g}, {most:g}], got {span!r}",
                fix=f"Write {name}=({least:g}, {most:g}) or a part of it.",
            )
        spans[name] = (float(low), float(high))
    largest = spans["size"][1]
    for name in ("row", "column"):
        low, high = spans[name]
        if low < largest - 1e-9 or high > 1 - largest + 1e-9:
            raise ConfigError(
                f"sprites: {name} {(low, high)} lets an object of size {largest:g} leave the image",
                fix=f"Keep {name} in ({largest:g}, {1 - largest:g}), or lower size.",
            )
    return spans


def masks(y: Tensor, values: Mapping[str, Tensor], side: int) -> Tensor:
    """`(n, H, W)` in [0, 1]: how much of each pixel the object covers.

    Args:
        y: `(n,)` classes.
        values: `(n,)` each: `size`, `row` and `column` as shares of the side; `rotation` in
            degrees, anticlockwise.
        side: of the images, in pixels.
    """
    size, row, column = (side * values[k][:, None, None] for k in ("size", "row", "column"))
    line = torch.arange(side, dtype=torch.float64) + 0.5
    down, across = line[None, :, None] - row, line[None, None, :] - column
    angle = values["rotation"].deg2rad()[:, None, None]
    along = across * angle.cos() - down * angle.sin()
    beside = down * angle.cos() + across * angle.sin()
    far = outline(y, along, beside, REACH * size, HALF * size)
    return (0.5 - far).clamp(0, 1)  # an edge is a pixel wide


def grounds(hue: Tensor, dice: Dice, side: int) -> Tensor:
    """`(n, 3, H, W)` dark clouds of one full colour, so that one channel is 0 everywhere."""
    wheel = torch.tensor([0.0, 4.0, 2.0], dtype=torch.float64)
    colour = (((6 * hue[:, None] + wheel) % 6 - 3).abs() - 1).clamp(0, 1)
    sky = clouds(dice.uniform(cloud_draws(side, side), dtype=torch.float64), 1.5, side, side)
    return colour[:, :, None, None] * (0.2 + 0.3 * sky)[:, None]


@dataclass(frozen=True, eq=False)
class Sprites:
    """The truth about sprites.

    Args:
        spans: from which interval each factor was drawn.
    """

    spans: Mapping[str, tuple[float, float]]

    def rule(self, x: Tensor) -> Tensor:
        """`(B,)`: a bar is long, a ring has nothing in its middle, a cross is neither."""
        weight = (2 * x.double().amin(1)).clamp(max=1)  # the ground lacks one channel
        line = torch.arange(x.shape[-1], dtype=torch.float64)
        total = weight.sum((1, 2)).clamp(min=1e-9)

        def mean(of: Tensor) -> Tensor:
            return (weight * of).sum((1, 2)) / total

        down = line[None, :, None] - mean(line[None, :, None])[:, None, None]
        across = line[None, None, :] - mean(line[None, None, :])[:, None, None]
        tall, wide, skew = mean(down**2), mean(across**2), mean(down * across)
        spread = (tall + wide).clamp(min=1e-9)
        long = ((tall - wide) ** 2 + 4 * skew**2).sqrt() / spread > 0.5
        inner = down**2 + across**2 < 0.3 * spread[:, None, None]
        full = (weight * inner).sum((1, 2)) / inner.sum((1, 2)).clamp(min=1) > 0.5
        return torch.where(long, 2, torch.where(full, 0, 1))


@register("source", cites=("si-score", "imagenet-e"), says="Objects whose factors are set by hand.")
def sprites(
    n: int,
    dice: Dice,
    *,
    side: int = 32,
    size: Span = (0.2, 0.3),
    row: Span = (0.3, 0.7),
    column: Span = (0.3, 0.7),
    rotation: Span = (-90.0, 90.0),
    background: Span = (0.0, 1.0),
    texture: Span = (0.0, 1.0),
) -> Batches:
    """Coloured images `(n, 3, side, side)` of one grey cross, ring or bar on a dark ground.

    A factor is a number, or an interval from which each row draws its value. All factors are
    drawn anyway and each from its own number, so that changing one interval leaves every other
    value, the clouds and the labels of a row as they were: that is how training and test sets
    are made which differ in one factor. `more` holds `mask` and `background`, which shifts and
    measures of objects read, and `factor.NAME` of each row.

    Args:
        n: images.
        dice: `n` of them.
        side: of the images in pixels, 16 at least.
        size: radius of the circle around the object, as a share of the side.
        row: of its middle, as a share of the side, from above.
        column: of its middle, as a share of the side, from the left.
        rotation: in degrees, anticlockwise; a ring does not show it.
        background: hue of the ground, once around the wheel of colours.
        texture: contrast of the small squares on the object; at 0 it is plain.

    Raises:
        ConfigError: for images that are too small, and for intervals that are empty, leave the
            range of their factor or let an object leave the image.
    """
    if side < LEAST_SIDE:
        raise ConfigError(
            f"sprites: side must be at least {LEAST_SIDE} pixels, got {side}", fix="Write side=32."
        )
    given = (size, row, column, rotation, background, texture)
    spans = spans_of(dict(zip(RANGES, given, strict=True)))
    y = dice.keys % len(NAMES)  # of the row, not of its place in this draw
    draws = dice.uniform((len(spans),), dtype=torch.float64)
    values = {
        k: low + (high - low) * draws[:, i] for i, (k, (low, high)) in enumerate(spans.items())
    }
    mask = masks(y, values, side)[:, None]
    ground = grounds(values["background"], dice, side)
    checked = torch.full_like(y, TEXTURES.index("checked"))
    squares = texture_of(checked, dice.integers(4, (2,)), side)[:, None]
    fill = 0.9 - 0.35 * values["texture"][:, None, None, None] * squares
    x = mask * fill + (1 - mask) * ground
    more = {"mask": mask.float(), "background": ground.float()}
    more |= {f"factor.{name}": value.float() for name, value in values.items()}
    return Batches(x=x.float(), y=y, classes=NAMES, more=more, truth=Sprites(spans))
