"""Images with a cue that goes along with the class, but is not what makes it."""

from __future__ import annotations

from colorsys import hsv_to_rgb
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import ConfigError, Unsupported

Spurious = Literal["colour", "corner"]
SHARE = 6  # a marked corner has one sixth of the shorter side


@dataclass(frozen=True, eq=False)
class Cued:
    """The truth about cues.

    Args:
        cue: `(n,)` the class that the cue of each row speaks for.
        agree: chance that it is the row's own.
    """

    cue: Tensor
    agree: float


def cued(
    batches: Batches, agree: float, dice: Dice | None = None, *, cue: Spurious = "colour"
) -> Batches:
    """Each image with the cue of its class, or else of another class, drawn evenly.

    A colour tints the whole image in the hue of a class, hues being evenly apart; images become
    red, green and blue. A corner is a white square whose place along the rim is that of a class.
    At `agree = 1 / K` the cue tells nothing of the label. Groups are 1 where the cue agrees and
    0 where it misleads; which rows agree is nested in the share.

    Args:
        batches: images `(B, C, H, W)` in [0, 1] with labels 0 to K - 1.
        agree: chance that the cue is that of the label, in [0, 1].
        dice: one row per image; None draws from seed 0.
        cue: what goes along with the class.

    Raises:
        ConfigError: for a chance outside [0, 1], or an unknown cue.
        Unsupported: unless the rows are images with one class each, of two or more.
    """
    if cue not in get_args(Spurious) or not 0 <= agree <= 1:
        raise ConfigError(
            f"cued: agree {agree}, cue {cue!r}",
            fix=f"A chance lies in [0, 1]; cues are {', '.join(get_args(Spurious))}.",
        )
    x, y = batches.x, batches.y
    if not isinstance(x, Tensor) or x.dim() != 4 or y.dim() != 1 or not x.is_floating_point():
        raise Unsupported(
            "cued: needs images (B, C, H, W) with one class each",
            fix="Give images (B, C, H, W) and y (B,).",
        )
    count = max(len(batches.classes), int(y.max()) + 1 if len(y) else 0)
    if count < 2 or bool((y < 0).any()):
        raise Unsupported(
            f"cued: needs a label for every image and two classes, found {count}",
            fix="Leave out rows without a label, and give two classes.",
        )
    keyed = dice_or(dice, len(y)).spawn(f"cue-{cue}")
    own = keyed.uniform(dtype=torch.float64) < agree
    shown = torch.where(own, y, (y + 1 + keyed.integers(count - 1)) % count)
    changed = _tinted(x, shown, count) if cue == "colour" else _marked(x, shown, count)
    return replace(batches, x=changed, group=own.long(), truth=Cued(shown, agree))


def _tinted(x: Tensor, shown: Tensor, count: int) -> Tensor:
    """The mean of the channels in the colour of a class."""
    hues = torch.tensor([hsv_to_rgb(k / count, 1.0, 1.0) for k in range(count)])
    return x.mean(1, keepdim=True) * hues.to(x)[shown][:, :, None, None]


def _marked(x: Tensor, shown: Tensor, count: int) -> Tensor:
    """A white square whose middle lies on the rim, a share `k / K` of the way round."""
    height, width = x.shape[2:]
    side = max(1, min(height, width) // SHARE)
    down, right = height - side, width - side
    way = shown.double() / count * (2 * (down + right))
    corner = [
        (way - start).clamp(0, length) for start, length in
        ((0, right), (right, down), (right + down, right), (2 * right + down, down))
    ]  # fmt: skip
    left, top = (corner[0] - corner[2]).round(), (corner[1] - corner[3]).round()
    row, column = (torch.arange(n, device=x.device) for n in (height, width))
    inside = [
        (place >= at[:, None]) & (place < at[:, None] + side)
        for place, at in ((row, top), (column, left))
    ]
    return x.masked_fill((inside[0][:, :, None] & inside[1][:, None])[:, None], 1.0)
