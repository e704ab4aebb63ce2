"""Rotations and translations of images: differentiable resampling under one affine map."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from math import pi
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError
from holdfast.core.fields import NonNegative, settings
from holdfast.threats.images import extent, interpolated, precise
from holdfast.threats.interval import Parameters
from holdfast.threats.number import box, ends, ordered, read, shown

A = TypeVar("A", bound="Affine")
Padding = Literal["zeros", "border", "reflection"]


class Affine(Parameters):
    """A change of where each pixel is read from; images `(B, C, H, W)` only."""

    padding: Padding

    def __post_init__(self) -> None:
        ordered(self.low, self.high)

    @abstractmethod
    def inverse(self, x: Tensor, change: Tensor) -> Tensor:
        """`(B, 3, 3)`: maps output to input coordinates, both from -1 to 1 over the image."""

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        return warp(x, self.inverse(x, change), self.padding, self.low, self.high)

    def _spec(self, name: str, value: float) -> str:
        padding = "" if self.padding == "zeros" else f":{self.padding}"
        return f"{name}:{shown(value)}{padding}{box(self.low, self.high)}"


def warp(x: Tensor, inverse: Tensor, padding: str, low: float, high: float) -> Tensor:
    """Images read through an affine map by bilinear interpolation, corners not aligned.

    Interpolation never leaves the range of the pixels, so the result stays in [low, high].
    With `zeros`, what comes from outside is 0, or the end of [low, high] nearest to it.

    Args:
        x: `(B, C, H, W)`.
        inverse: `(B, 3, 3)` from output to input coordinates.
        padding: `zeros`, `border` or `reflection`.
        low: least valid value.
        high: largest valid value.
    """
    kind = precise(x)
    fill = min(max(0.0, low), high) if padding == "zeros" else 0.0
    if x.numel() == 0:
        return x + 0 * inverse.sum().to(x)
    grid = F.affine_grid(inverse[:, :2].to(kind), list(x.shape), align_corners=False)
    moved = F.grid_sample(
        x.to(kind) - fill, grid, mode="bilinear", padding_mode=padding, align_corners=False
    )
    return interpolated(moved + fill, x, low, high)


def _matrix(rows: list[list[Tensor]]) -> Tensor:
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def read_affine(cls: type[A], field: str, words: list[str], text: str) -> A:
    """An affine threat from the words behind its name: number, padding, range of inputs."""
    more: dict[str, object] = {}
    for word in words[1:]:
        if ".." in word:
            more["low"], more["high"] = ends([word], text)
        else:
            more["padding"] = word
    if not words:
        raise ConfigError(
            f"threat {text!r}: {field} is missing",
            fix="Write rotation:30 (degrees) or translation:0.1 (share of the width).",
            code="E0140",
        )
    return cls(**{field: read(words[0], text)}, **more)


@register("threat", name="rotation", cites="exploring-spatial-robustness")
@settings
class Rotation(Affine):
    """Turns each image about its centre by an angle of at most so many degrees.

    A change is the angle in radii, `(B, 1)`; positive turns anticlockwise.

    Args:
        degrees: largest angle.
        padding: what lies outside of the image: `zeros`, `border` or `reflection`.
        low: least valid input value.
        high: largest valid input value.
    """

    degrees: NonNegative = 30.0
    padding: Padding = "zeros"
    low: float = 0.0
    high: float = 1.0

    @property
    def spec(self) -> str:
        return self._spec("rotation", self.degrees)

    @classmethod
    def parsed(cls, words: list[str], text: str) -> Rotation:
        """From the words behind the name."""
        return read_affine(cls, "degrees", words, text)

    def scaled(self, factor: float) -> Rotation:
        return replace(self, degrees=self.degrees * factor)

    def inverse(self, x: Tensor, change: Tensor) -> Tensor:
        height, width = extent(x, "rotation")
        angle = change[:, 0] * (self.degrees * pi / 180)
        c, s, o = angle.cos(), angle.sin(), torch.zeros_like(angle)
        # Coordinates run from -1 to 1 on both axes, downwards on the second: the ratio of the
        # sides keeps the turn rigid where the image is not square.
        rows = [[c, -s * (height / width), o], [s * (width / height), c, o], [o, o, o + 1]]
        return _matrix(rows)


@register("threat", name="translation", cites="exploring-spatial-robustness")
@settings
class Translation(Affine):
    """Moves each image by at most a share of its width and of its height.

    A change is the shift to the right and downwards in radii, `(B, 2)`.

    Args:
        share: largest shift as a share of the side along which it goes.
        padding: what lies outside of the image: `zeros`, `border` or `reflection`.
        low: least valid input value.
        high: largest valid input value.
    """

    share: NonNegative = 0.1
    padding: Padding = "zeros"
    low: float = 0.0
    high: float = 1.0

    @property
    def spec(self) -> str:
        return self._spec("translation", self.share)

    @classmethod
    def parsed(cls, words: list[str], text: str) -> Translation:
        """From the words behind the name."""
        return read_affine(cls, "share", words, text)

    def count(self, x: Tensor) -> int:
        return 2

    def scaled(self, factor: float) -> Translation:
        return replace(self, share=self.share * factor)

    def inverse(self, x: Tensor, change: Tensor) -> Tensor:
        extent(x, "translation")
        right, down = (-2 * self.share * change).unbind(1)
        o = torch.zeros_like(right)
        return _matrix([[o + 1, o, right], [o, o + 1, down], [o, o, o + 1]])
