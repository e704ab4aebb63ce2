"""Classifies the part of an image that its own content selects, wherever it lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Share
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.ranges import inside

LEVELS = 255  # grey levels that scores tell apart
LARGEST = 64  # absolute value of the kernels


@lru_cache(maxsize=16)
def _kernels(channels: int, height: int, width: int, seed: int) -> Tensor:
    """`(2, C, h, w)` whole numbers whose mean over each channel is near 0."""
    g = torch.Generator().manual_seed(seed)
    drawn = torch.randint(-LARGEST, LARGEST + 1, (2, channels, height, width), generator=g)
    return drawn.double()


@dataclass(frozen=True, eq=False)
class CropSelected:
    """The model, shown the window of each image that has the highest score, enlarged again.

    Scores are whole numbers, made from rounded grey levels and whole kernels in float64, so that
    a window has exactly the same score wherever it lies. A tie is decided by a second kernel;
    windows that tie in both hold the same pixels for all that is known.

    Args:
        base: the model that answers.
        share: of each side that is cut away.
        cyclic: whether windows run over the edge of the image and in again.
        seed: of the kernels.
    """

    base: Model
    share: float
    cyclic: bool
    seed: int

    def place(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`(B,)` first row and column of the window of each image `(B, C, H, W)`."""
        height, width = self.window(x)
        levels = torch.round(x.detach().double().clamp(0, 1) * LEVELS)
        if self.cyclic:
            levels = F.pad(levels, (0, width - 1, 0, height - 1), mode="circular")
        kernels = _kernels(x.shape[1], height, width, self.seed).to(x.device)
        first, second = F.conv2d(levels, kernels).round().unbind(1)
        columns = first.shape[2]
        top = first.flatten(1) == first.flatten(1).amax(1, keepdim=True)
        best = second.flatten(1).masked_fill(~top, -torch.inf).argmax(1)
        return best // columns, best % columns

    def window(self, x: Tensor) -> tuple[int, int]:
        """Height and width of the windows."""
        height, width = (max(1, n - round(self.share * n)) for n in x.shape[2:])
        return height, width

    def crop(self, x: Tensor) -> Tensor:
        """`(B, C, h, w)`: the selected windows."""
        height, width = self.window(x)
        top, left = self.place(x)
        rows = (top[:, None] + torch.arange(height, device=x.device)) % x.shape[2]
        columns = (left[:, None] + torch.arange(width, device=x.device)) % x.shape[3]
        each = torch.arange(len(x), device=x.device)[:, None, None]
        found = x.movedim(1, -1)[each, rows[:, :, None], columns[:, None, :]]
        return found.movedim(-1, 1)

    def __call__(self, x: Tensor) -> Tensor:
        """Logits `(B, K)` of the base on the windows, enlarged to the size of the images."""
        if not isinstance(x, Tensor) or x.dim() not in (2, 4) or not x.is_floating_point():
            raise Unsupported(
                "crop selection needs images (B, C, H, W) or signals (B, n), got "
                f"{tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__}",
                fix="Give one floating-point tensor of two or four axes.",
            )
        images = x if x.dim() == 4 else x[:, None, None]
        if self.share == 0 or not len(x):
            return logits(self.base(x))
        size = (int(images.shape[2]), int(images.shape[3]))
        large = F.interpolate(self.crop(images), size=size, mode="bilinear", align_corners=False)
        return logits(self.base(large.reshape(x.shape).to(x.dtype)))


@register(
    "defence",
    cites="rics",
    says="Answers about the window of an image that its content selects, wherever it lies.",
)
def crop_selection(
    model: Model, *, share: Share = 0.25, cyclic: bool = False, seed: int = 0
) -> CropSelected:
    """Chooses a sub-window by its content, not by its place, and classifies it alone.

    When the view moves by a few pixels, windows that stay inside keep their score; the answer
    changes only if the winner leaves the view or a window that enters beats it. If the winner is
    equally likely anywhere, that has a probability of at most 1 - ((w - D) / (w + D))^2 for a
    move of D pixels along both axes, with w windows along each. Cyclic moves permute the
    windows: then the answer cannot change at all.

    Args:
        model: the model that answers; fine-tune it on random windows of that size.
        share: of each side that is cut away, below 1; 0 is the model itself.
        cyclic: whether windows run over the edge and in again, for cyclic moves.
        seed: of the kernels that score windows.

    Raises:
        ConfigError: for a share outside [0, 1).

    Cost: one convolution with a kernel of the window's size, and one forward pass.

    Unlike the paper: scores are exact whole numbers from two random kernels, and the bound on
    changed windows is our derivation.
    """
    inside("[0, 1)", "crop_selection", share=share)
    return CropSelected(model, share, cyclic, seed)


def kept_probability(windows: int, pixels: int) -> float:
    """Lower bound of the probability that a move along one axis keeps the selected window.

    The windows of both views together are `windows + pixels` many; if each is equally likely to
    win, the winner of both is the same one if it lies in both views, which `windows - pixels`
    of the union do. (The union is one window longer per pixel, and each view misses as many.)

    Args:
        windows: positions along the axis.
        pixels: length of the move.
    """
    return max(0, windows - pixels) / (windows + pixels)
