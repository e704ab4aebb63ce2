"""Vector fields: every pixel is read from a place of its own, a little aside."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.core.fields import NonNegative, settings
from holdfast.core.kinds import Threat
from holdfast.ops.bilinear import displaced
from holdfast.ops.fields import levelled
from holdfast.ops.geometry import norm, project_l1, project_l2, project_linf
from holdfast.threats.ball import continuous, in_radii
from holdfast.threats.images import extent, interpolated, precise
from holdfast.threats.number import box, ends, ordered, read, shown

NORMS = {"linf": torch.inf, "l2": 2.0, "l1": 1.0}


@register(
    "threat",
    cites="spatial-certification",
    says="Every pixel is read from a place of its own, a little aside.",
)
@settings
class Flow(Threat):
    """Each pixel moves by a vector of bounded length; smoothness bounds how neighbours differ.

    A change is the displacement to the right and downwards in pixels, `(B, 2, H, W)`; values
    between pixels are interpolated bilinearly, and one displacement serves all channels. Outside
    of the image lies 0, or the end of [low, high] nearest to it.

    Without smoothness projection and steepest step are exact, pixel by pixel. With it the
    projection is the mean of the largest smooth field below the change and the least one above:
    admissible, and the change itself where that is, but not always the nearest.

    Args:
        pixels: largest length of a displacement.
        norm: of a displacement: `linf`, `l2` or `l1`.
        smooth: largest difference between the displacements of two neighbours (above, below and
            beside), in either coordinate, in pixels; None where they are free.
        low: least valid input value.
        high: largest valid input value.
    """

    pixels: NonNegative = 0.5
    norm: Literal["linf", "l2", "l1"] = "linf"
    smooth: NonNegative | None = None
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        ordered(self.low, self.high)

    @property
    def order(self) -> float:
        """p of the norm of a displacement."""
        return NORMS[self.norm]

    @property
    def fill(self) -> float:
        """Value outside of the image."""
        return min(max(0.0, self.low), self.high)

    @property
    def spec(self) -> str:
        kind = "" if self.norm == "linf" else f":{self.norm}"
        smooth = "" if self.smooth is None else f":smooth{shown(self.smooth)}"
        return f"flow:{shown(self.pixels)}{kind}{smooth}{box(self.low, self.high)}"

    @classmethod
    def parsed(cls, words: list[str], text: str) -> Flow:
        """From the words behind the name: length in pixels, norm, smoothness, range of inputs."""
        if not words:
            raise ConfigError(
                f"threat {text!r}: the length in pixels is missing",
                fix="Write flow:0.5 or flow:0.5:l2:smooth0.1.",
                code="E0140",
            )
        more: dict[str, object] = {"pixels": read(words[0], text)}
        for word in words[1:]:
            if ".." in word:
                more["low"], more["high"] = ends([word], text)
            elif word.startswith("smooth"):
                more["smooth"] = read(word.removeprefix("smooth"), text)
            else:
                more["norm"] = word
        return cls(**more)  # type: ignore[arg-type]

    def none(self, x: Tensor) -> Tensor:
        extent(x, self.spec)
        return continuous(x, self).new_zeros(len(x), 2, *x.shape[2:])

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        """Uniform displacements of the surrounding square, projected."""
        like = self.none(x)
        draw = dice.uniform(like.shape[1:], device=x.device, dtype=x.dtype)
        return self.project(x, (2 * draw - 1) * self.pixels)

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        """Each displacement moves by up to `share` of the radius, uphill where that is known."""
        draw = dice.uniform(change.shape[1:], device=x.device, dtype=change.dtype)
        move = 2 * draw - 1 if gradient is None else draw * gradient.sign()
        return self.project(x, change + share * self.pixels * move)

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        clean = torch.nan_to_num(change, nan=0.0)
        if self.smooth is not None:
            clean = clean.clamp(-self.pixels, self.pixels)
            clean = levelled(clean, self.smooth)
        pixels = _by_pixel(clean)
        radius = torch.full((len(pixels),), self.pixels, dtype=torch.float64, device=x.device)
        far = torch.full_like(pixels, torch.inf)
        ball = {torch.inf: project_linf, 2.0: project_l2, 1.0: project_l1}[self.order]
        if self.smooth is None:
            return _as_field(ball(pixels, radius, -far, far), change)
        # One factor for the whole field keeps it smooth; rounding down keeps it inside.
        if not len(pixels):
            return clean
        size = in_radii(norm(pixels, self.order), self.pixels).reshape(len(x), -1)
        most = size.amax(1).clamp(min=1).to(change.dtype)
        return clean / most[:, None, None, None]

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        kind = precise(x)
        right, down = change.to(kind).unbind(1)
        moved = displaced(x.to(kind), right, down, self.fill)
        if not x.numel():
            return x + 0 * change.sum()
        return interpolated(moved, x, self.low, self.high)

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        if not change.numel():
            return change.flatten(1).sum(1)
        length = norm(_by_pixel(change), self.order).reshape(len(change), -1).amax(1)
        size = in_radii(length, self.pixels)
        if self.smooth is None:
            return size
        steps = [change.diff(dim=axis).abs().flatten(1) for axis in (2, 3)]
        uneven = torch.cat(steps, 1).to(length.dtype)
        if not uneven.numel():
            return size
        return torch.maximum(size, in_radii(uneven.amax(1), self.smooth))

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        """One radius per pixel along the gradient's dual; smoothness is left to the projection."""
        g = torch.nan_to_num(gradient, nan=0.0)
        if self.order == torch.inf:
            return g.sign() * self.pixels
        if self.order == 2:
            wide = g.float() if g.dtype in (torch.float16, torch.bfloat16) else g
            length = wide.square().sum(1, keepdim=True).sqrt()
            return (wide / length.clamp(min=1e-30) * self.pixels).to(g.dtype)
        most = g.abs().argmax(1, keepdim=True)
        return torch.zeros_like(g).scatter(1, most, g.gather(1, most).sign() * self.pixels)

    def scaled(self, factor: float) -> Flow:
        smooth = None if self.smooth is None else self.smooth * factor
        return replace(self, pixels=self.pixels * factor, smooth=smooth)


def _by_pixel(change: Tensor) -> Tensor:
    """`(B H W, 2)`: one displacement per row."""
    return change.movedim(1, -1).reshape(-1, 2)


def _as_field(pixels: Tensor, like: Tensor) -> Tensor:
    return pixels.reshape(len(like), *like.shape[2:], 2).movedim(-1, 1)
