"""The border of an image, changed at will."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Natural, settings
from holdfast.core.kinds import Threat
from holdfast.ops.geometry import room
from holdfast.threats.ball import continuous, within
from holdfast.threats.number import box, ends, ordered


@register("threat", name="frame", cites="sparse-rs", says="A frame of pixels takes any values.")
@settings
class Frame(Threat):
    """The pixels along the border take other values, any that the box allows.

    A change has the form of the input and is zero inside of the frame. Ends of signals count as
    their frame. The set is a box, so projection, steepest step and sampling are exact.

    Args:
        width: of the frame in pixels; one that is wide enough is the whole image.
        low: least valid input value.
        high: largest valid input value.
    """

    width: Natural = 1
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        ordered(self.low, self.high)

    @property
    def spec(self) -> str:
        return f"frame:{self.width}{box(self.low, self.high)}"

    @classmethod
    def parsed(cls, words: list[str], text: str) -> Frame:
        """From the words behind the name: the width, then the range of inputs."""
        if not words or not words[0].isdigit() or len(words) > 2:
            raise ConfigError(
                f"threat {text!r}: a frame needs its width in whole pixels",
                fix="Write frame:2.",
                code="E0140",
            )
        low, high = ends(words[1:], text)
        return cls(width=int(words[0]), low=low, high=high)

    def inside(self, x: Tensor) -> Tensor:
        """Bool, in the form of one channel of an input: the pixels of the frame.

        Raises:
            Unsupported: for flat rows, which have no border.
        """
        if x.dim() < 3:
            raise Unsupported(
                f"{self.spec}: needs images or signals, got {tuple(x.shape)}",
                fix="Use a threat such as l0:5 for other inputs.",
            )
        kept = torch.ones(x.shape[2:], dtype=torch.bool, device=x.device)
        for axis, side in enumerate(x.shape[2:]):
            place = torch.arange(side, device=x.device)
            middle = (place >= self.width) & (place < side - self.width)
            kept &= middle.reshape([-1 if a == axis else 1 for a in range(x.dim() - 2)])
        return ~kept

    def none(self, x: Tensor) -> Tensor:
        self.inside(x)
        return torch.zeros_like(continuous(x, self))

    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        """Uniform values of the box on the frame."""
        down, up = room(x, self.low, self.high)
        draw = dice.uniform(x.shape[1:], device=x.device, dtype=x.dtype)
        return self.project(x, down + draw * (up - down))

    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        """Draws a share of the frame's pixels, at least one, anew at a corner of the box."""
        lots = dice.uniform(x.shape[2:], device=x.device).masked_fill(~self.inside(x), torch.inf)
        least = lots.flatten(1).amin(1).clamp(min=share).reshape(-1, *[1] * (lots.dim() - 1))
        taken = ((lots <= least) & lots.isfinite())[:, None]
        channels = dice.integers(2, x.shape[1:], device=x.device)
        upward = channels > 0 if gradient is None else gradient > 0
        down, up = room(x, self.low, self.high)
        return torch.where(taken, torch.where(upward, up, down), change)

    def project(self, x: Tensor, change: Tensor) -> Tensor:
        down, up = room(x, self.low, self.high)
        clean = torch.nan_to_num(change, nan=0.0).clamp(down, up)
        return torch.where(self.inside(x), clean, 0.0)

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        """Half of the box per coordinate of the frame: the change is a box with these sides."""
        return torch.where(self.inside(x), gradient.sign() * (self.high - self.low) / 2, 0.0)

    def size(self, x: Tensor, change: Tensor) -> Tensor:
        """1 for a change, 0 for none; infinite where it leaves frame or box."""
        down, up = room(x, self.low, self.high)
        slack = max(1e-6, 4 * torch.finfo(x.dtype).eps)
        outside = (change < down - slack) | (change > up + slack)
        outside |= (change != 0) & ~self.inside(x)
        some = (change != 0).flatten(1).any(1).to(change.dtype)
        return some.masked_fill(outside.flatten(1).any(1), torch.inf)

    def scaled(self, factor: float) -> Frame:
        return replace(self, width=round(self.width * factor))

    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        return within(x + change, x.clamp(max=self.low), x.clamp(min=self.high))
