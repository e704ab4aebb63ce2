"""The classical edits as one table: what a magnitude in [0, 1] means for each of them."""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.ops import photometric as ops

Kind = Literal["all", "apart", "geometric"]
Edit = Callable[[Tensor, Tensor, Tensor], Tensor]  # images, magnitudes, signs -> images
TURN, SLANT, WAY, STRENGTH, BITS = pi / 6, 0.3, 0.45, 0.9, 4  # at magnitude 1


def _slanted(axis: int) -> Edit:
    def edit(x: Tensor, m: Tensor, sign: Tensor) -> Tensor:
        by, none = SLANT * m * sign, torch.zeros_like(m)
        matrix = ops.shear(*((by, none) if axis == 0 else (none, by)))
        return ops.moved(x, matrix, torch.zeros(len(x), 2).to(x))

    return edit


def _shifted(axis: int) -> Edit:
    def edit(x: Tensor, m: Tensor, sign: Tensor) -> Tensor:
        shift = torch.zeros(len(x), 2).to(x)
        shift[:, axis] = WAY * x.shape[3 - axis] * m * sign
        eye = torch.eye(2).to(x).expand(len(x), 2, 2)
        return ops.moved(x, eye, shift)

    return edit


def _turned(x: Tensor, m: Tensor, sign: Tensor) -> Tensor:
    return ops.moved(x, ops.rotation(TURN * m * sign), torch.zeros(len(x), 2).to(x))


def _enhanced(change: Callable[[Tensor, Tensor], Tensor]) -> Edit:
    return lambda x, m, sign: change(x, 1 + STRENGTH * m * sign)


EDITS: dict[str, Edit] = {
    "identity": lambda x, m, sign: x,
    "rotate": _turned,
    "shear-x": _slanted(0),
    "shear-y": _slanted(1),
    "translate-x": _shifted(0),
    "translate-y": _shifted(1),
    "autocontrast": lambda x, m, sign: ops.autocontrast(x),
    "equalize": lambda x, m, sign: ops.equalized(x),
    "posterize": lambda x, m, sign: ops.posterized(x, 8 - (BITS * m).floor()),
    "solarize": lambda x, m, sign: ops.solarized(x, 1 - m),
    "colour": _enhanced(ops.colour),
    "contrast": _enhanced(ops.contrast),
    "brightness": _enhanced(ops.brightness),
    "sharpness": _enhanced(ops.sharpness),
}
_NAMES = tuple(EDITS)
# "apart" leaves out what common corruptions do too, so that these stay a test.
MENUS: dict[str, tuple[str, ...]] = {
    "all": _NAMES, "apart": _NAMES[1:10], "geometric": _NAMES[:6],
}  # fmt: skip


def edited(
    x: Tensor, magnitude: Tensor, menu: tuple[str, ...], dice: Dice, width: int = 1
) -> Tensor:
    """Each image after one edit drawn from a menu, cut to [0, 1].

    Args:
        x: `(B width, C, H, W)` in [0, 1]; the copies of an image stand together.
        magnitude: `(B width,)` in [0, 1].
        menu: names of edits.
        dice: one row per image; draws which edit and its sign.
        width: copies of each image, edited independently.

    Cost: each edit once, on the images that drew it.
    """
    which = dice.integers(len(menu), (width,), device=x.device).flatten()
    sign = 2.0 * dice.integers(2, (width,), device=x.device).flatten().to(x) - 1
    out = x.clone()
    for number, name in enumerate(menu):
        rows = (which == number).nonzero()[:, 0]
        if len(rows):
            out[rows] = EDITS[name](x[rows], magnitude[rows].to(x), sign[rows]).clamp(0, 1)
    return out
