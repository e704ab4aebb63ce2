"""Images from label maps: normalisation whose scale and offset a map gives, place by place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.core.dice import Dice
from holdfast.core.ranges import inside


class SpatialNorm(nn.Module):
    """`gamma(map) * norm(h) + beta(map)`: a plain normalisation washes the map out, this does not.

    Args:
        channels: of the features.
        classes: of the label map.
        hidden: channels in between.
    """

    def __init__(self, channels: int, classes: int, hidden: int = 16) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)
        self.shared = nn.Sequential(nn.Conv2d(classes, hidden, 3, padding=1), nn.ReLU())
        self.gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, h: Tensor, hot: Tensor) -> Tensor:
        """Features `(B, C, H, W)` under a one-hot map of any size."""
        seen = self.shared(F.interpolate(hot, size=h.shape[2:]))
        out: Tensor = (1 + self.gamma(seen)) * self.norm(h) + self.beta(seen)
        return out


class LabelToImage(nn.Module):
    """A coarse generator at half size, and a fine one that sees its image and the map.

    Args:
        classes: of the label map.
        style: size of the noise that makes images of one map differ.
        channels: of an image.
        width: of the features.
    """

    def __init__(self, classes: int, *, style: int = 4, channels: int = 1, width: int = 16) -> None:
        super().__init__()
        inside(
            "[1, inf]", "LabelToImage", classes=classes, style=style, channels=channels, width=width
        )
        self.classes, self.style = classes, style
        self.start = nn.Conv2d(classes + style, width, 3, padding=1)
        self.coarse_norm = SpatialNorm(width, classes, width)
        self.coarse = nn.Conv2d(width, channels, 3, padding=1)
        self.again = nn.Conv2d(classes + channels, width, 3, padding=1)
        self.fine_norm = SpatialNorm(width, classes, width)
        self.fine = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, labels: Tensor, noise: Tensor) -> Tensor:
        """Images `(B, C, H, W)` in [0, 1] of maps `(B, H, W)` and noise `(B, style)`."""
        hot = F.one_hot(labels.clamp(min=0), self.classes).permute(0, 3, 1, 2).to(noise)
        half = F.avg_pool2d(hot, 2, ceil_mode=True)
        spread = noise[:, :, None, None].expand(-1, -1, *half.shape[2:])
        h = torch.relu(self.coarse_norm(self.start(torch.cat([half, spread], 1)), half))
        rough = F.interpolate(self.coarse(h), size=hot.shape[2:], mode="bilinear")
        h = torch.relu(self.fine_norm(self.again(torch.cat([hot, rough], 1)), hot))
        return torch.sigmoid(rough + self.fine(h))

    def drawn(self, labels: Tensor, dice: Dice) -> Tensor:
        """Images of maps, with noise drawn for each row."""
        p = next(self.parameters())
        noise = dice.normal((self.style,), device=p.device, dtype=p.dtype)
        with torch.no_grad():
            made: Tensor = self(labels.to(p.device), noise)
        return made
