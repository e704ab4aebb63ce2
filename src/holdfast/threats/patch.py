"""A rectangle whose content and place are free."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Natural, settings
from holdfast.core.kinds import Threat
from holdfast.threats.ball import within
from holdfast.threats.number import box, ordered, read


def _cover(place: Tensor, pixels: int, length: int) -> Tensor:
    """`(B, pixels, length)`: share of patch line a that falls on pixel i for a patch at `place`.

    It is the hat function of i - place - a: a single 1 per line at a whole place, and shared by
    two neighbours, differentiably, between two of them.
    """
    i = torch.arange(pixels, device=place.device, dtype=place.dtype)[None, :, None]
    a = torch.arange(length, device=place.device, dtype=place.dtype)[None, None, :]
    return (1 - (i - a - place[:, None, None]).abs()).clamp(min=0)


@register("threat", name="patch", cites="location-optimized-patches")
@settings
class Patch(Threat):
    """Covers one rectangle of each image with free content at a free place.

    A change holds, side by side (`slices`): the content `C x height x width` as shares of the
    way from low to high, the row and the column of the corner as shares of the possible way,
    and how opaque the patch is; all lie in [0, 1], and opacity 0 is no change. The patch lies on
    whole pixels, so exactly height x width pixels change; the gradient with respect to the
    place is that of a patch moved by fractions of a pixel.

    Unlike the paper the place is found by gradient and random moves together, not by trying
    the four neighbours.

    Args:
        height: of the rectangle in pixels; larger ones cover the whole side.
        width: of the rectangle in pixels.
        low: least valid input value.
        high: largest valid input value.
    """

    height: Natural = 5
    width: Natural = 5
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        ordered(self.low, self.high)

    @property
    def spec(self) -> str:
        return f"patch:{self.height}x{self.width}{box(self.low, self.high)}"

    @classmethod
    def parsed(cls, words: list[str], text: str) -> Patch:
        """From the words behind the name: height x width, then the range of inputs."""
        sides = words[0].lower().split("x") if words else []
        if len(sides) != 2 or not all(s.isdigit() for s in sides) or len(words) > 2:
            raise ConfigError(
                f"threat {text!r}: a patch needs its height and width in whole pixels",
                fix="Write patch:5x5.",
                code="E0140",
            )
        ends = words[1].split("..") if len(words) == 2 else ["0", "1"]
        low, high = (read(end, text) for end in ends)
        return cls(height=int(sides[0]), width=int(sides[1]), low=low, high=high)

    def _sides(self, x: Tensor) -> tuple[int, int, int]:
        """Channels, height and width of the content."""
        if x.dim() != 4:
            raise Unsupported(
                f"{self.spec}: needs images (B, C, H, W), got {tuple(x.shape)}",
                fix="Use a norm ball such as linf:0.1 for other inputs.",
            )
        return x.shape[1], min(self.height, x.shape[2]), min(self.width, x.shape[3])

    def slices(self, x: Tensor) -> dict[str, slice]:
        """Where content, place and opacity stand in a change."""
        channels, height, width = self._sides(x)
        n = channels * height * width
        return {"content": slice(0, n), "place": slice(n, n + 2), "opacity": slice(n + 2, n + 3)}

    def none(self, x: Tensor) -> Tensor:
        """Content and place in the middle, opacity 0."""
        count = self.slices(x)["opacity"].stop
        change = x.new_full((len(x), count), 0.5)
        change[:, -1] = 0
        return change

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        """An opaque patch of uniform noise at a uniform place."""
        count = self.slices(x)["opacity"].stop
        change = dice.uniform((count,), device=x.device, dtype=torch.float64).to(x.dtype)
        change[:, -1] = 1
        return self.project(x, change)

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        """Draws a share of the content anew at 0 or 1 and moves the place by up to that share."""
        parts = self.slices(x)
        draw = dice.uniform(change.shape[1:], device=x.device, dtype=torch.float64)
        flip = dice.integers(2, change.shape[1:], device=x.device).to(change.dtype)
        corner = flip if gradient is None else (gradient > 0).to(change.dtype)
        moved = torch.where(draw < share, corner, change)
        place = change[:, parts["place"]] + share * (2 * draw[:, parts["place"]] - 1)
        moved[:, parts["place"]] = place.to(change.dtype)
        moved[:, -1] = 1
        return self.project(x, moved)

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        return torch.nan_to_num(change, nan=0.5).clamp(0, 1)

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        """The opacity; infinite where content or place leave their range."""
        slack = 4 * torch.finfo(change.dtype).eps
        outside = ((change < -slack) | (change > 1 + slack)).any(1)
        lost = self.height * self.width == 0
        return torch.where(outside, torch.inf, 0.0 if lost else change[:, -1])

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        """Half a side of the box per coordinate: the change is a box whose sides are 1."""
        return gradient.sign() / 2

    def scaled(self, factor: float) -> Patch:
        return replace(self, height=round(self.height * factor), width=round(self.width * factor))

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        channels, height, width = self._sides(x)
        if not height or not width:
            return x + 0 * change.sum(1).reshape(-1, 1, 1, 1)
        parts = self.slices(x)
        shares = change[:, parts["content"]].reshape(-1, channels, height, width)
        content = self.low + (self.high - self.low) * shares
        ways = change.new_tensor([x.shape[2] - height, x.shape[3] - width])
        place, opacity = change[:, parts["place"]] * ways, change[:, -1].reshape(-1, 1, 1, 1)
        y = self._laid(x, content, place.detach().round(), opacity)
        if place.requires_grad:
            soft = self._laid(x.detach(), content.detach(), place, opacity.detach())
            y = y + (soft - soft.detach())
        lowest, highest = x.detach().clamp(max=self.low), x.detach().clamp(min=self.high)
        return within(y, lowest, highest)

    @staticmethod
    def _laid(x: Tensor, content: Tensor, place: Tensor, opacity: Tensor) -> Tensor:
        """The image with the patch laid on it."""
        rows = _cover(place[:, 0], x.shape[2], content.shape[2])[:, None]
        columns = _cover(place[:, 1], x.shape[3], content.shape[3])[:, None]
        spread = rows @ content @ columns.transpose(2, 3)
        mask = rows.sum(3, keepdim=True) * columns.sum(3, keepdim=True).transpose(2, 3)
        return x + opacity * (spread - mask * x)
