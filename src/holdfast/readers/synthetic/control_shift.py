"""Images from a renderer whose latent numbers come from a region of known mass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Inner, Share
from holdfast.ops.supports import Slab

SIDE, LATENTS = 16, 6
NAMES = ("cross", "ring", "bar")
BANK = 3000  # renderings per class that the rule compares with
Kind = Literal["overlap", "extend", "truncate"]


def render(y: Tensor, z: Tensor) -> Tensor:
    """Images `(B, 1, 16, 16)` of crosses, rings and bars from normal latent numbers.

    Args:
        y: `(B,)` classes.
        z: `(B, 6)` place (two), size, turn, thickness and brightness, each a standard normal
            number that is brought to its range by the normal distribution function.
    """
    u = torch.special.ndtr(z.double())
    across, down, size, turn, thick, bright = (c[:, None, None] for c in u.unbind(1))
    line = torch.arange(SIDE, dtype=torch.float64)
    column = line[None, None, :] - (4.5 + 6 * across)
    row = line[None, :, None] - (4.5 + 6 * down)
    angle = torch.pi / 2 * (turn - 0.5)
    a = column * angle.cos() + row * angle.sin()
    b = row * angle.cos() - column * angle.sin()
    reach, half = 3 + 1.5 * size, 0.6 + 0.6 * thick
    far = outline(y, a, b, reach, half)
    edge = (0.5 - far).clamp(0, 1)  # a pixel wide
    x: Tensor = (0.4 + 0.6 * bright) * edge
    return x[:, None].float()


def outline(y: Tensor, a: Tensor, b: Tensor, reach: Tensor, half: Tensor) -> Tensor:
    """`(B, H, W)` distances from the edge of crosses, rings and bars, negative inside.

    Args:
        y: `(B,)` classes.
        a: `(B, H, W)` place along the object, from its middle.
        b: `(B, H, W)` place across it.
        reach: `(B, 1, 1)` from the middle to the end.
        half: `(B, 1, 1)` half of the thickness.
    """
    bar = torch.maximum(b.abs() - half, a.abs() - reach)
    other = torch.maximum(a.abs() - half, b.abs() - reach)
    ring = ((a**2 + b**2).sqrt() - (reach - half)).abs() - half
    return torch.where(_is(y, 0), torch.minimum(bar, other), torch.where(_is(y, 1), ring, bar))


def _is(y: Tensor, label: int) -> Tensor:
    return (y == label)[:, None, None]


@dataclass(frozen=True, eq=False)
class ControlShift:
    """The truth about images of a region of latent numbers.

    Args:
        z: `(n, 6)` latent numbers of each image.
        train: region of the training set.
        test: region these images come from.
    """

    z: Tensor
    train: Slab
    test: Slab

    @property
    def intensity(self) -> float:
        """Share of the test region's mass that lies outside of the training region."""
        return 1 - self.train.common(self.test) / self.test.mass

    def rule(self, x: Tensor) -> Tensor:
        """`(B,)`: the class of the most similar of many renderings, with equal brightness."""
        images, labels = _bank()
        flat = x.double().flatten(1)
        flat = flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-9)
        return labels[(flat @ images.T).argmax(1)]


@lru_cache(maxsize=1)
def _bank() -> tuple[Tensor, Tensor]:
    y = torch.arange(3 * BANK) % 3
    z = Dice.of(len(y), 0, "control-shift-bank").normal((LATENTS,), dtype=torch.float64)
    flat = render(y, z).double().flatten(1)
    return flat / flat.norm(dim=1, keepdim=True), y


def regions(kind: Kind, intensity: float, mass: float, direction: Tensor) -> tuple[Slab, Slab]:
    """The training region, and one whose mass lies outside of it to a given share.

    Args:
        kind: `overlap` slides a region of equal mass aside; `extend` tests on a larger one that
            holds it; `truncate` on a part of it, so that no new latent numbers come and the
            intensity is 0 whatever it is asked to be: the control.
        intensity: share of the test region outside of the training region.
        mass: of the training region.
        direction: along which regions are cut.

    Raises:
        ConfigError: if the regions would need more mass than there is.
    """
    train = Slab(direction, 0.0, mass)
    if kind == "truncate":
        return train, Slab(direction, mass * intensity / 2, mass)
    if kind == "overlap":
        test = Slab(direction, intensity * mass, (1 + intensity) * mass)
    else:
        test = Slab(direction, 0.0, mass / (1 - intensity) if intensity < 1 else 2.0)
    if test.high > 1 + 1e-12:
        raise ConfigError(
            f"control shift: {kind} by {intensity} needs a mass of {test.high:.3g}, more than 1",
            fix="Lower mass: at most 1/2 for overlap, 1 - intensity for extend.",
        )
    return train, test


def shifted(
    decoder: Callable[[Tensor, Tensor], Tensor], z: Tensor, y: Tensor, region: Slab
) -> tuple[Tensor, Tensor]:
    """Images and latent numbers of a region, from any decoder of normal latent numbers.

    Args:
        decoder: (classes, latent numbers) -> images.
        z: `(n, d)` standard normal numbers.
        y: `(n,)` classes.
        region: into which they are brought.
    """
    moved = region.inside(z)
    return decoder(y, moved), moved


@register("source", cites="control-shift", says="Drawn shapes whose latent numbers shift to order.")
def control_shift(
    n: int,
    dice: Dice,
    *,
    intensity: Share = 0.0,
    mass: Inner = 0.5,
    kind: Kind = "overlap",
) -> Batches:
    """Crosses, rings and bars; place and turn come from a region that shifts as far as is asked.

    All images come from one renderer, so that every one looks as those of the training set do;
    what shifts is the region of latent numbers, and by how much is known exactly: at intensity
    0 it is that of the training set, at 1 it is disjoint. Regions are slabs across the diagonal
    of place and turn, whose mass under the normal distribution is a difference of quantiles.

    Args:
        n: images.
        dice: `n` of them.
        intensity: share of the region's mass that the training region does not hold.
        mass: of the training region.
        kind: `overlap`, `extend` or `truncate`; see `regions`.

    Raises:
        ConfigError: if the regions would need more mass than there is.
    """
    direction = torch.tensor([1.0, 1.0, 0.0, 1.0, 0.0, 0.0], dtype=torch.float64) / 3**0.5
    train, test = regions(kind, intensity, mass, direction)
    y = torch.arange(n) % len(NAMES)
    z = dice.normal((LATENTS,), dtype=torch.float64)
    x, moved = shifted(render, z, y, test)
    return Batches(x=x, y=y, classes=NAMES, truth=ControlShift(moved, train, test))
