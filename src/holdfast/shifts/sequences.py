"""ImageNet-P: short films of an image under a perturbation that grows or moves a little."""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import torch
from torch import Tensor

from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.ops.filters import smooth, zoomed
from holdfast.ops.image import smear
from holdfast.shifts.camera_path import (
    FRAMES,
    LARGE,
    SMALL,
    Steps,
    pixel,
    rotate,
    scale,
    shear,
    tilt,
    translate,
)
from holdfast.shifts.noise import counted, speckled
from holdfast.shifts.spatter import SPATTER, WATER, coloured, drops, water
from holdfast.shifts.weather import brighter
from holdfast.shifts.winter import flakes, snowed

NOISE = {  # by difficulty 1 to 3
    "gaussian-noise": (0.03, 0.05, 0.08),
    "shot-noise": (1 / 300, 1 / 120, 1 / 60),
    "speckle-noise": (0.05, 0.10, 0.15),
}
IMAGENET_P = (
    "gaussian-noise", "shot-noise", "motion-blur", "zoom-blur", "snow", "brightness", "translate",
    "rotate", "tilt", "scale",
)  # fmt: skip
IMAGENET_P_EXTRA = ("speckle-noise", "gaussian-blur", "spatter", "shear")


NEAR = 85  # pixels: the geometric middle of 32 and 224


def perturbed(x: Tensor, kind: str, *, difficulty: int = 1, dice: Dice | None = None) -> Tensor:
    """The films of images under one perturbation.

    Noise is drawn anew for each frame, the first of which is clean; all others move in steps too
    small to be seen. Lengths are scaled as shares of the shorter side. At a higher difficulty
    noise is stronger, and of the others only every second or third frame is kept.

    Unlike the paper: what enters at the border is the image mirrored (there, more of a larger
    photograph), black around a shrunk image; spatter is blended in.

    Args:
        x: images `(B, C, H, W)` in [0, 1].
        kind: one of `IMAGENET_P` or `IMAGENET_P_EXTRA`.
        difficulty: 1, 2 or 3.
        dice: one row per image.

    Returns:
        `(B, frames, C, H, W)`: 31 frames; 41 (16 for small images) of `translate`.

    Raises:
        ConfigError: for another kind or difficulty.
        Unsupported: if the inputs are not images in [0, 1].
    """
    if kind not in IMAGENET_P + IMAGENET_P_EXTRA or difficulty not in (1, 2, 3):
        raise ConfigError(
            f"perturbed: kind {kind!r} at difficulty {difficulty}",
            fix=f"Kinds are {', '.join(IMAGENET_P + IMAGENET_P_EXTRA)}; difficulties 1, 2, 3.",
        )
    if x.dim() != 4 or not x.is_floating_point() or not bool(((x >= 0) & (x <= 1)).all()):
        raise Unsupported(
            f"perturbed: needs images (B, C, H, W) in [0, 1], got {tuple(x.shape)}",
            fix="Give floating-point images (B, C, H, W); divide bytes by 255.",
        )
    own = dice_or(dice, len(x)).spawn(f"perturbed-{kind}")
    wide = x.detach().to(torch.promote_types(x.dtype, torch.float32))
    steps = SMALL if min(x.shape[2:]) < NEAR else LARGE
    if kind in NOISE:
        film = _noise(wide, kind, NOISE[kind][difficulty - 1], own)
    else:
        film = _FILMS[kind](wide, steps, own)[::difficulty]
    return torch.stack([f.clamp(0, 1) for f in film], 1).to(x.dtype)


def _noise(x: Tensor, kind: str, level: float, dice: Dice) -> list[Tensor]:
    def frame() -> Tensor:
        if kind == "gaussian-noise":
            return x + level * dice.normal(x.shape[1:], device=x.device, dtype=x.dtype)
        return (counted if kind == "shot-noise" else speckled)(x, (level,), dice)

    return [x, *(frame() for _ in range(FRAMES - 1))]


def _motion(x: Tensor, steps: Steps, dice: Dice) -> list[Tensor]:
    unit = pixel(x, steps)
    width = 2 * max(1, round(steps.radius * unit)) + 1
    turns = [steps.angle * (i - steps.middle) * pi / 180 for i in range(FRAMES)]
    return [smear(x, x.new_full((len(x),), a), steps.sigma * unit, width) for a in turns]


def _zoom(x: Tensor, steps: Steps, dice: Dice) -> list[Tensor]:
    film, total = [x], x
    for i in range(1, FRAMES):
        total = total + zoomed(x, 1 + 0.004 * i)
        film.append(total / (i + 1))
    return film


def _snow(x: Tensor, steps: Steps, dice: Dice) -> list[Tensor]:
    unit = min(x.shape[2:]) / LARGE.size
    row = (0.05, 0.3, 3 * unit, 0.5, 14 * unit, 4 * unit)
    film = []
    for i in range(FRAMES):
        still = dice.part(slice(None))  # the same flakes, falling in another direction
        angle = x.new_full((len(x),), (4 * i - 150) * pi / 180)
        film.append(snowed(x, flakes(x, row, still, angle), 0.85))
    return film


def _light(x: Tensor, steps: Steps, dice: Dice) -> list[Tensor]:
    raised = [steps.light * (i - FRAMES // 2) for i in range(FRAMES)]
    return [_lit(x, r, dice) for r in raised]


def _lit(x: Tensor, raised: float, dice: Dice) -> Tensor:
    """Brighter or, below 0, darker; the value stays at least 0."""
    if raised >= 0:
        return brighter(x, (raised,), dice)
    value = x.amax(1, keepdim=True)
    return x * ((value + raised).clamp(min=0) / value.clamp(min=1e-12))


def _blur(x: Tensor, steps: Steps, dice: Dice) -> list[Tensor]:
    unit = min(x.shape[2:]) / LARGE.size
    return [smooth(x, max((0.25 + 0.035 * i) * unit, 0.25 + 0.01 * i)) for i in range(FRAMES)]


def _spatter(x: Tensor, steps: Steps, dice: Dice) -> list[Tensor]:
    row = SPATTER.at(0.2, min(x.shape[2:]))
    wet = x + coloured(x, water(drops(x, row, dice), row), WATER)
    return [x + (wet.clamp(0, 1) - x) * i / (FRAMES - 1) for i in range(FRAMES)]


_FILMS: dict[str, Callable[[Tensor, Steps, Dice], list[Tensor]]] = {
    "motion-blur": _motion, "zoom-blur": _zoom, "snow": _snow, "brightness": _light,
    "translate": translate, "rotate": rotate, "tilt": tilt, "scale": scale,
    "gaussian-blur": _blur, "spatter": _spatter, "shear": shear,
}  # fmt: skip
