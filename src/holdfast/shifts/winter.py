"""Winter: falling snow, and frost on the glass."""

from __future__ import annotations

from math import pi
from pathlib import Path

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.ops.filters import zoomed
from holdfast.ops.image import cloud_draws, clouds, smear
from holdfast.shifts.published import Published, Row, on_images

# Mean and spread of the flakes' noise, its zoom, threshold, radius and width of the fall, mix.
SNOW = Published(
    none=(None, None, None, None, None, None, 1.0),
    tables={
        32: ((0.1, 0.2, 1, 0.6, 8, 3, 0.95), (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
             (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9), (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
             (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8)),
        64: ((0.1, 0.2, 1, 0.6, 8, 3, 0.8), (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
             (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7), (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
             (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6)),
        224: ((0.1, 0.3, 3, 0.5, 10, 4, 0.8), (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
              (0.55, 0.3, 4, 0.9, 12, 8, 0.7), (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
              (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55)),
    },
    lengths=(False, False, True, False, True, True, False),
    whole=True,
)  # fmt: skip
FROST = Published(
    none=(1.0, 0.0),  # share of the image, share of the frost
    tables={
        32: ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
        64: ((1, 0.3), (0.9, 0.4), (0.8, 0.45), (0.75, 0.5), (0.7, 0.55)),
        224: ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    },
)
GREY = (0.299, 0.587, 0.114)
TINT = (0.80, 0.88, 1.0)  # ice is a little blue
ROUGH = 1.5  # decay of the clouds whose ridges are the crystals


def grey(x: Tensor) -> Tensor:
    """`(B, 1, H, W)`: brightness as the eye sees it; of other than three channels the mean."""
    weight = torch.tensor(GREY if x.shape[1] == len(GREY) else (1 / x.shape[1],) * x.shape[1])
    return (weight.to(x) @ x.flatten(2)).view(-1, 1, *x.shape[2:])


def flakes(x: Tensor, row: Row, dice: Dice, angle: Tensor) -> Tensor:
    """`(B, 1, H, W)`: thresholded noise, enlarged, smeared along `angle` (in radians)."""
    mean, spread, zoom, least, radius, sigma = row[:6]
    shape = (1, *x.shape[2:])
    noise = dice.normal(shape, device=x.device, dtype=x.dtype).mul_(spread).add_(mean)
    layer = zoomed(noise, max(1.0, zoom))
    layer = (layer * (layer >= least)).clamp_(0, 1)
    return smear(layer, angle, sigma, 2 * max(1, round(radius)) + 1)


def snowed(x: Tensor, layer: Tensor, mix: float) -> Tensor:
    """An image paler by `1 - mix`; the flakes over it as they are, and again upside down."""
    white = torch.maximum(x, grey(x).mul_(1.5).add_(0.5))
    pale = white.mul_(1 - mix).add_(x, alpha=mix)
    return pale.add_(layer + layer.flip(2, 3)).clamp_(0, 1)


def crystals(x: Tensor, dice: Dice) -> Tensor:
    """`(B, C, H, W)`: a texture in place of photographs of frost: ridges of fractal clouds.

    Its brightness is spread over [0, 1] like that of a window that is partly frozen; three
    channels get a tint of blue.
    """
    height, width = x.shape[2:]
    shape = cloud_draws(height, width)
    ridge, veil = (
        clouds(dice.uniform(shape, device=x.device, dtype=x.dtype), decay, height, width)
        for decay in (ROUGH, 2.0)
    )
    ice = ridge.mul_(2).sub_(1).abs_().neg_().add_(1).square_().mul_(veil.mul_(0.6).add_(0.4))
    colour = TINT if x.shape[1] == len(TINT) else (1.0,) * x.shape[1]
    return ice[:, None] * torch.tensor(colour).to(x)[:, None, None]


def _photos(folder: str, x: Tensor, dice: Dice) -> Tensor:
    """A random crop, for each image, of one of the photographs in a folder."""
    import numpy as np
    from PIL import Image

    height, width = x.shape[2:]
    files = sorted(f for f in Path(folder).glob("*") if f.suffix.lower() in (".png", ".jpg"))
    sides = [Image.open(f).size for f in files]
    if not files or any(w < width or h < height for w, h in sides):
        raise ConfigError(
            f"frost: no pictures of at least {width} x {height} pixels in {folder!r}",
            fix="Give a folder of .png or .jpg files, or none for a drawn texture.",
        )
    which = dice.integers(len(files)).tolist()
    place = dice.uniform((2,)).tolist()
    out = []
    for file, (u, v) in zip(which, place, strict=True):  # files differ in size
        w, h = sides[file]
        left, top = int(u * (w - width + 1)), int(v * (h - height + 1))
        crop = Image.open(files[file]).convert("RGB").crop((left, top, left + width, top + height))
        out.append(torch.from_numpy(np.asarray(crop).copy()).permute(2, 0, 1))
    colour = torch.stack(out).to(x) / 255
    return colour if x.shape[1] == len(GREY) else grey(colour).expand_as(x)


@register("shift", cites="imagenet-c")
def snow(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Pales each image and lets flakes fall over it: thresholded noise, smeared downwards.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k, and so is what lies below it.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        angle = -(dice.uniform(device=x.device, dtype=x.dtype) + 0.5) * pi / 2
        return snowed(x, flakes(x, row, dice, angle), row[6])

    return on_images(batch, severity, dice, "snow", SNOW, change)


@register("shift", cites="imagenet-c")
def frost(batch: Batch, severity: float, dice: Dice | None = None, *, photos: str = "") -> Batch:
    """Lays frost over each image, which fades behind it.

    Unlike the paper: its photographs of frost cannot be passed on, so the frost is a drawn
    texture (ridges of fractal clouds) unless a folder of photographs is given.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k.
        dice: one row per image.
        photos: a folder of .png or .jpg files at least as large as the images; a random crop of
            a random one is laid over each image.

    Raises:
        Unsupported: if the inputs are not images.
        ConfigError: if the folder holds no picture, or one that is too small.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        ice = _photos(photos, x, dice) if photos else crystals(x, dice)
        return x.mul(row[0]).add_(ice, alpha=row[1])

    return on_images(batch, severity, dice, "frost", FROST, change)
