"""Do answers stay the same when the view moves by a pixel?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError
from holdfast.core.fields import Count
from holdfast.core.goal import logits
from holdfast.core.inputs import images, some_rows
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.run.reading import average, proportion

Move = Literal["window", "cyclic", "zoom"]


@dataclass(frozen=True, eq=False)
class Translated:
    """Answers to every view of each image.

    Args:
        answers: `(B, V)` predicted classes, -1 where the outputs are not finite; the first view
            is the one that is not moved.
        y: `(B,)` labels.
        name: prefix of the readings.
        alpha: of the intervals.
    """

    answers: Tensor
    y: Tensor
    name: str
    alpha: float

    @property
    def consistency(self) -> Tensor:
        """`(B,)`: share of the moved views that are answered as the first one."""
        same = self.answers[:, 1:] == self.answers[:, :1]
        return (same & (self.answers[:, 1:] >= 0)).double().mean(1)

    @property
    def fooled(self) -> Tensor:
        """`(B,)` bool: rows on which some view is answered otherwise."""
        return self.consistency < 1

    @property
    def robust(self) -> Tensor:
        """`(B,)` bool: rows on which every view is answered rightly."""
        return (self.answers == self.y[:, None]).all(1)

    def readings(self) -> tuple[Reading, ...]:
        """Mean consistency, share of fooled rows, share of rows that stay right."""
        n = len(self.y)
        return (
            average(f"{self.name}.consistency", self.consistency, alpha=self.alpha),
            proportion(f"{self.name}.fooled", int(self.fooled.sum()), n, better="lower",
                       alpha=self.alpha),
            proportion(f"{self.name}.robust", int(self.robust.sum()), n, alpha=self.alpha),
        )  # fmt: skip


def views(x: Tensor, pixels: int, move: Move) -> list[Tensor]:
    """All views of images, the one that is not moved first, in the size of the images.

    Args:
        x: `(B, C, H, W)`.
        pixels: largest move.
        move: `window` cuts a border of that width and moves what is left within it, so that new
            content enters; `cyclic` moves around the edge; `zoom` cuts borders of 0 to `pixels`.
            What was cut is enlarged again after the move, as preprocessing does.
    """
    height, width = int(x.shape[2]), int(x.shape[3])
    offsets = [(i, j) for i in range(-pixels, pixels + 1) for j in range(-pixels, pixels + 1)]
    offsets.sort(key=lambda o: o != (0, 0))
    if move == "cyclic":
        return [x.roll(offset, dims=(2, 3)) for offset in offsets]
    if 2 * pixels >= min(height, width):
        raise ShapeError(
            f"images of {height} x {width} pixels cannot be cut by {pixels} a side",
            fix=f"Give pixels={max((min(height, width) - 1) // 2, 0)} or fewer, or larger images.",
        )
    if move == "zoom":
        cut = [x[:, :, b : height - b, b : width - b] for b in range(pixels + 1)]
    else:
        h, w = height - 2 * pixels, width - 2 * pixels
        cut = [x[:, :, pixels + i : pixels + i + h, pixels + j : pixels + j + w]
               for i, j in offsets]  # fmt: skip
    size = (height, width)
    return [F.interpolate(c, size=size, mode="bilinear", align_corners=False) for c in cut]


@register("measure", cites="rics")
def translation_consistency(
    vision: Model,
    batches: Batches,
    *,
    pixels: Count = 1,
    move: Move = "window",
    alpha: float = 0.05,
    name: str = "translation",
) -> Translated:
    """Asks the model about every view of each image that a small move can give: no search.

    Realistic moves take a window of a larger image, so that content enters on one side and
    leaves on the other; cyclic moves are the benign relatives of which robustness is often
    shown. Both are enumerated, so `fooled` and `robust` are exact for each row.

    Args:
        vision: a model of images.
        batches: labelled images `(B, C, H, W)`.
        pixels: largest move along each side.
        move: `window`, `cyclic` or `zoom` (see `views`).
        alpha: intervals over the rows cover with probability about 1 - alpha.
        name: prefix of the readings.

    Raises:
        Unsupported: if the inputs are not images.
        ShapeError: without rows, or if the images are too small.
        ConfigError: for less than one pixel.

    Cost: `(2 pixels + 1)^2` forward passes per row; for `zoom`, `pixels + 1`.
    """
    inside("[1, inf]", name, pixels=pixels)
    images(batches.x, name)
    some_rows(batches, name)
    found = []
    with quiet(vision), torch.no_grad():
        for batch in batches:
            x: Tensor = batch.x  # type: ignore[assignment]
            outputs = [logits(vision(view)) for view in views(x, pixels, move)]
            known = [z.argmax(1).masked_fill(~z.isfinite().all(1), -1) for z in outputs]
            found.append(torch.stack(known, 1).cpu())
    return Translated(torch.cat(found), batches.y.cpu(), name, alpha)
