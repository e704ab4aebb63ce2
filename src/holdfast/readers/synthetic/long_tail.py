"""Data sets whose classes are unevenly frequent, cut out of even ones."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from holdfast.core.data import Batches
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import ConfigError, Unsupported

Tail = Literal["falling", "step"]


def long_tailed(
    batches: Batches, ratio: float, dice: Dice | None = None, *, shape: Tail = "falling"
) -> Batches:
    """Fewer rows of the later classes; the others stay, in their order and with their positions.

    Class k of K keeps the share `ratio ** (-k / (K - 1))` of its rows, at least one (`falling`),
    or the later half of the classes keeps the share `1 / ratio` (`step`). Rows go in an order
    drawn for each of them, so what a larger ratio keeps, a smaller one keeps too.

    Args:
        batches: rows with one class each; those without a label are left out.
        ratio: rows of the most frequent class over those of the rarest, if all had as many.
        dice: one row per row; None draws from seed 0.
        shape: how frequencies fall.

    Raises:
        ConfigError: for a ratio below 1, or an unknown shape.
        Unsupported: unless there is one label per row.
    """
    if shape not in get_args(Tail) or not ratio >= 1:
        raise ConfigError(
            f"long_tailed: ratio {ratio}, shape {shape!r}",
            fix=f"A ratio is at least 1; shapes are {', '.join(get_args(Tail))}.",
        )
    y = batches.y
    if y.dim() != 1 or y.is_floating_point():
        raise Unsupported("long_tailed: needs one class per row", fix="Give whole numbers y (B,).")
    order = dice_or(dice, len(y)).spawn("long-tail").uniform(dtype=torch.float64)
    kept = torch.zeros(len(y), dtype=torch.bool)
    labels = y[y >= 0].unique().tolist()
    for place, label in enumerate(labels):
        rows = (y == label).nonzero()[:, 0]
        fall = place / max(len(labels) - 1, 1)
        exponent = fall if shape == "falling" else float(2 * place >= len(labels))
        count = max(1, round(len(rows) * ratio**-exponent))
        kept[rows[order[rows].argsort()[:count]]] = True
    return batches.take(kept.nonzero()[:, 0])
