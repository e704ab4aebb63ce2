"""Published strengths of the common corruptions, and how a shift is applied to a batch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, log

import torch
from torch import Tensor

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.ranges import inside

Row = tuple[float, ...]
LEVELS = 5
EPS = 1e-9  # severities are fifths that were rounded
ROUNDED = 1e-6  # so far beyond [0, 1] values are taken for rounding, and clipped
IMAGENET_C = (
    "gaussian-noise", "shot-noise", "impulse-noise", "defocus-blur", "glass-blur", "motion-blur",
    "zoom-blur", "snow", "frost", "fog", "brightness", "contrast", "elastic-transform", "pixelate",
    "jpeg",
)  # fmt: skip
IMAGENET_C_EXTRA = ("speckle-noise", "gaussian-blur", "spatter", "saturate")  # for validation


@dataclass(frozen=True, kw_only=True)
class Published:
    """Parameters of one corruption for five levels and three sizes of images.

    Between levels and, on a logarithmic scale, between sizes the parameters are interpolated;
    outside the published sizes those of the nearest one are used. Lengths are scaled as shares
    of the shorter side, so a blur looks the same on a small and a large image.

    Levels that are no scale (counts, flags, or stronger and weaker by turns) are taken whole:
    the next level up, and of the published sizes the nearest one.

    Args:
        none: parameters at which nothing changes; None stands for that of level 1.
        tables: rows of levels 1 to 5 by size in pixels.
        lengths: for each parameter, whether it is a length in pixels.
        shrinks: whether lengths go below those of the smallest published size; a kernel of few
            pixels cannot.
        whole: whether levels are taken as they are, never one between two.
    """

    none: tuple[float | None, ...]
    tables: Mapping[int, tuple[Row, ...]]
    lengths: tuple[bool, ...] = ()
    shrinks: bool = True
    whole: bool = False

    def at(self, severity: float, size: int) -> Row:
        """The parameters for a severity in [0, 1] and a shorter side of `size` pixels."""
        sizes = sorted(self.tables)
        if self.whole:
            near = min(sizes, key=lambda s: abs(log(size) - log(s)))
            return self._level(ceil(severity * LEVELS - EPS) / LEVELS, near, size)
        if size <= sizes[0] or size >= sizes[-1]:
            return self._level(severity, sizes[0] if size <= sizes[0] else sizes[-1], size)
        upper = bisect_right(sizes, size)
        below, above = sizes[upper - 1], sizes[upper]
        share = (log(size) - log(below)) / (log(above) - log(below))
        return _between(
            self._level(severity, below, size), self._level(severity, above, size), share
        )

    def _level(self, severity: float, published: int, size: int) -> Row:
        """Between two levels of the table of one published size, lengths in pixels of `size`."""
        levels = self.tables[published]
        start = tuple(a if n is None else n for n, a in zip(self.none, levels[0], strict=True))
        lower = min(int(severity * LEVELS + EPS), LEVELS - 1)
        row = _between((start, *levels)[lower], levels[lower], severity * LEVELS - lower)
        lengths = self.lengths or (False,) * len(row)
        own = size if self.shrinks else max(size, min(self.tables))
        return tuple(
            v * own / published if scaled else v for v, scaled in zip(row, lengths, strict=True)
        )


def _between(a: Row, b: Row, share: float) -> Row:
    return tuple(u + share * (v - u) for u, v in zip(a, b, strict=True))


def on_images(
    batch: Batch,
    severity: float,
    dice: Dice | None,
    name: str,
    table: Published,
    change: Callable[[Tensor, Row, Dice], Tensor],
) -> Batch:
    """The batch with its images changed; labels, positions and groups stay as they are.

    Args:
        batch: images `(B, C, H, W)` in [0, 1], of any floating type.
        severity: in [0, 1]; at 0 the very same images come back.
        dice: one row per image; None draws from seed 0 and the positions of the rows.
        name: of the shift; each one has a stream of draws of its own.
        table: its published parameters.
        change: (images, parameters, dice) -> images, in float32 or float64.

    Raises:
        ConfigError: for a severity outside [0, 1].
        Unsupported: if the inputs are not images, or have values outside [0, 1].
        ShapeError: if the dice have another number of rows.
    """
    x = batch.x
    inside("[0, 1]", name, severity=severity)
    if not isinstance(x, Tensor) or x.dim() != 4 or not x.is_floating_point():
        raise Unsupported(
            f"{name} changes images (B, C, H, W) in [0, 1], got {_form(x)}",
            fix="Leave out image corruptions for this kind of data.",
        )
    keyed = Dice(0, batch.index) if dice is None else dice
    if len(keyed) != len(x):
        raise ShapeError(
            f"{name}: {len(x)} images but dice for {len(keyed)} rows",
            fix="Give Dice(seed, batch.index) of the same batch, or none.",
        )
    if severity == 0 or x.numel() == 0:
        return batch
    wide = x.detach().to(torch.promote_types(x.dtype, torch.float32))
    low, high = (float(v) for v in wide.aminmax())
    if not (low >= -ROUNDED and high <= 1 + ROUNDED):  # not: true of NaN too
        raise Unsupported(
            f"{name} changes images with values in [0, 1], found {low:g} to {high:g}",
            fix="Scale the images to [0, 1] and normalise inside the model.",
        )
    wide = wide.clamp(0, 1) if low < 0 or high > 1 else wide
    row = table.at(severity, min(x.shape[2:]))
    changed = change(wide, row, keyed.spawn(name))
    # In place, unless the change handed back (a part of) the images themselves.
    own = changed.untyped_storage().data_ptr() != x.untyped_storage().data_ptr()
    kept = changed.clamp_(0, 1) if own and changed.is_contiguous() else changed.clamp(0, 1)
    return batch._replace(x=kept.to(x.dtype))


def _form(x: object) -> str:
    return f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
