"""What happens to medical pictures: stains, bubbles, dark corners, burnt-in text, gamma."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops.text_marks import written
from holdfast.shifts.published import Published, Row, on_images

SIZE = 224
STAINS = Published(
    none=(0.0, 3.0), tables={SIZE: tuple((float(k), max(3.0, k)) for k in range(1, 6))}
)
BUBBLES = Published(
    none=(None, 0.0), tables={SIZE: ((7, 15), (10, 15), (12, 15), (15, 20), (17, 25))}, whole=True
)
CORNERS = Published(none=(sqrt(2),), tables={SIZE: ((1.1,), (1.05,), (1.0,), (0.95,), (0.9,))})
TEXT = Published(
    none=(0.0, None, None),
    tables={SIZE: ((1, 6, 0.14), (2, 7, 0.15), (3, 8, 0.16), (4, 9, 0.17), (6, 10, 0.18))},
    whole=True,
)
GAMMA = Published(none=(1.0,), tables={SIZE: ((1.1,), (1.2,), (1.3,), (1.4,), (1.6,))})


def _distance(x: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """`(B, 1, H, W)`: distance of each pixel from one point per image, in pixels."""
    i, j = (torch.arange(n, device=x.device, dtype=x.dtype) for n in x.shape[2:])
    down, across = i[:, None] - row[:, None, None], j - column[:, None, None]
    return (down.square() + across.square()).sqrt()[:, None]


def stained(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """One to `row[0]` dark, soft spots, larger with `row[1]`."""
    most, size = max(1, round(row[0])), row[1]
    scale = min(x.shape[2:]) / SIZE
    u = dice.uniform((5, 6), device=x.device, dtype=x.dtype)
    count = 1 + (dice.uniform(device=x.device, dtype=x.dtype) * most).floor()
    edge = [min(10 * scale, (n - 1) / 2) for n in x.shape[2:]]
    channel = torch.linspace(0, 1, x.shape[1]).to(x)[:, None, None]
    for k in range(most):
        own = u[:, k]
        place = [e + own[:, d] * (n - 1 - 2 * e)
                 for d, (e, n) in enumerate(zip(edge, x.shape[2:], strict=True))]  # fmt: skip
        radius = (2 + size) * (1 + own[:, 2]) * scale
        far = _distance(x, *place) / radius.clamp(min=0.5)[:, None, None, None]
        opacity = torch.where(k < count, 0.6 + 0.3 * own[:, 3], 0)[:, None, None, None]
        tint = 1 - 0.3 * own[:, 4:5, None, None] * channel
        x = x * (1 - min(row[0], 1) * opacity * tint * torch.exp(-(far**4)))
    return x


def bubbled(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Seven to `row[1]` white discs of at most `row[0]` pixels, with brighter rims."""
    scale = min(x.shape[2:]) / SIZE
    largest, most = round(row[0]), round(row[1])
    u = dice.uniform((25, 3), device=x.device, dtype=x.dtype)
    count = 7 + (dice.uniform(device=x.device, dtype=x.dtype) * max(most - 6, 1)).floor()
    alpha = torch.zeros_like(x[:, :1])
    for k in range(most):
        own = u[:, k]
        radius = (3 + (own[:, 2] * (largest - 2)).floor()) * scale
        far = _distance(x, own[:, 0] * (x.shape[2] - 1), own[:, 1] * (x.shape[3] - 1))
        radius = radius[:, None, None, None]
        disc = torch.where(far <= radius - 2 * scale, 100 / 255, 130 / 255).to(x)
        # Discs of few pixels cover them in part; at the published size they do or do not.
        there = (radius - far + 0.5).clamp(0, 1) if scale < 1 else (far <= radius).to(x)
        alpha = torch.lerp(alpha, disc, there * (k < count)[:, None, None, None])
    return x + alpha * (1 - x)


def cornered(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Black outside of the middle circle, whose radius is `row[0]` halves of the shorter side."""
    middle = [torch.full_like(x[:, 0, 0, 0], (n - 1) / 2) for n in x.shape[2:]]
    return x * (_distance(x, *middle) <= row[0] * min(x.shape[2:]) / 2)


def lettered(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """One to `row[0]` words of three to `row[1]` letters, `22 row[2]` pixels high at 224."""
    words, letters = round(row[0]), round(row[1])
    dot = max(1.0, 22 * row[2] / 7 * min(x.shape[2:]) / SIZE)
    count = 1 + (dice.uniform(device=x.device, dtype=x.dtype) * words).floor()
    kinds = dice.integers(26, (6, 10), device=x.device)
    u = dice.uniform((6, 6), device=x.device, dtype=x.dtype)
    for k in range(words):
        own = u[:, k]
        length = 3 + (own[:, 0] * (letters - 2)).floor()
        length = torch.where(k < count, length, 0)
        ink = written(kinds[:, k], length, own[:, 1:3], dot, (int(x.shape[2]), int(x.shape[3])))
        colour = own[:, 3:6] if x.shape[1] == 3 else own[:, 3:4].expand(len(x), x.shape[1])
        x = torch.where(ink, colour[:, :, None, None], x)
    return x


def bent(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Every value to the power of `row[0]`."""
    return x ** row[0]


@register("shift", cites="medmnist-c", says="Dark soft spots, as of stain left on a slide.")
def stain_deposit(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Darkens one or more soft spots at random places, as stain left on a slide does.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; at k / 5 there are one to k spots.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.

    Unlike the paper: spots are computed, its photographed ink masks come with a licence.
    """
    return on_images(batch, severity, dice, "stain-deposit", STAINS, stained)


@register("shift", cites="medmnist-c", says="White bubbles of air.")
def bubble(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Lays half-transparent white discs with brighter rims at random places: bubbles of air.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k, and so is what lies below it.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
    """
    return on_images(batch, severity, dice, "bubble", BUBBLES, bubbled)


@register("shift", cites="medmnist-c", says="Black outside of a circle.")
def black_corner(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Blackens what lies outside of the circle that an instrument sees.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; at 0.2, 0.4 ... 1 the circle's diameter is 1.1, 1.05, 1, 0.95 and
            0.9 of the shorter side.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.

    Unlike the paper: there the last two levels are exchanged; `medmnist_c` keeps its order.
    """
    return on_images(batch, severity, dice, "black-corner", CORNERS, cornered)


@register("shift", cites="medmnist-c", says="Letters burnt into the picture.")
def characters(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Writes random words of lower-case letters, of random colours, at random places.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is the published level k, and so is what lies below it.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.

    Unlike the paper: letters of 5 by 7 dots, each at least a pixel.
    """
    return on_images(batch, severity, dice, "characters", TEXT, lettered)


@register("shift", cites="medmnist-c", says="Every value to a power: darker middle tones.")
def gamma(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Raises every value to a power above 1: middle tones darken, black and white stay.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; powers grow to 1.6.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
    """
    return on_images(batch, severity, dice, "gamma", GAMMA, bent)
