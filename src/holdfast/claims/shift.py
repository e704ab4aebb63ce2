"""Every corruption does at each of its five levels what was published for it, shift by shift."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.core.catalog import find
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops.image import cloud_draws, clouds

SIDE, LEVELS = 32, range(5)
# Parameters for images of 32 pixels, as published with the corruptions.
STD = (0.04, 0.06, 0.08, 0.09, 0.10)
COUNTS = (500, 250, 100, 75, 50)
BROKEN = (0.01, 0.02, 0.03, 0.05, 0.07)
MOTION = ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))
FOG = ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))
CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)
VALUE = (0.05, 0.1, 0.15, 0.2, 0.3)
SHRINK = (0.95, 0.9, 0.85, 0.75, 0.65)
QUALITY = (80, 65, 58, 50, 40)

Seen = Callable[[Tensor, int], Tensor]  # images and level -> the shifted images
Check = Callable[[Seen, int, Tensor], float]  # error in units of what is tolerated


def _gaussian(seen: Seen, level: int, x: Tensor) -> float:
    grey = torch.full((16, 3, SIDE, SIDE), 0.5, dtype=torch.float64)
    change = seen(grey, level) - grey
    spread = float(change.std()) / STD[level] - 1
    return abs(spread) / 0.03 + abs(float(change.mean())) / 0.005


def _shot(seen: Seen, level: int, x: Tensor) -> float:
    grey = torch.full((16, 3, SIDE, SIDE), 0.4, dtype=torch.float64)
    out = seen(grey, level)
    spread = float(out.var()) * COUNTS[level] / 0.4 - 1
    return abs(spread) / 0.06 + abs(float(out.mean()) - 0.4) / 0.005


def _impulse(seen: Seen, level: int, x: Tensor) -> float:
    grey = torch.full((16, 3, SIDE, SIDE), 0.5, dtype=torch.float64)
    out = seen(grey, level)
    hit = float((out != 0.5).double().mean())
    sigma = math.sqrt(BROKEN[level] * (1 - BROKEN[level]) / grey.numel())
    white = float((out == 1).sum() / (out != 0.5).sum().clamp(min=1))
    return abs(hit - BROKEN[level]) / (4 * sigma) + abs(white - 0.5) / 0.2


def _motion(seen: Seen, level: int, x: Tensor) -> float:
    """A dot becomes a line of Gaussian taps at one of the angles within 45 degrees."""
    dot = torch.zeros(6, 1, SIDE, SIDE, dtype=torch.float64)
    dot[:, :, 16, 16] = 1
    radius, sigma = MOTION[level]
    tap = torch.arange(min(2 * radius + 1, 16)).double()
    height = torch.exp(-(tap**2) / (2 * sigma**2))
    angle = torch.linspace(-torch.pi / 4, torch.pi / 4, 2001, dtype=torch.float64)[:, None]
    right, down = ((tap * f(angle) - 0.5).ceil().long() for f in (torch.cos, torch.sin))
    place = (16 - down) * SIDE + 16 - right
    lines = torch.zeros(len(angle), SIDE**2, dtype=torch.float64)
    lines.scatter_add_(1, place, (height / height.sum()).expand(len(angle), -1))
    off = torch.cdist(seen(dot, level).flatten(1), lines, p=torch.inf)
    return float(off.amin(1).max()) / 1e-4


def _fog(seen: Seen, level: int, x: Tensor) -> float:
    """Solved for the clouds, the published formula gives clouds again: they span [0, 1]."""
    amount, decay = FOG[level]
    top = x.amax((1, 2, 3), keepdim=True)
    sky = (seen(x, level) * (top + amount) / top - x) / amount
    off = max(float(sky.min().abs()), float((sky.amax() - 1).clamp(min=0)))
    rough = (sky[..., 1:] - sky[..., :-1]).abs().mean()
    g = torch.Generator().manual_seed(0)
    draws = torch.rand(64, *cloud_draws(SIDE, SIDE), generator=g, dtype=torch.float64)
    own = clouds(draws, decay, SIDE, SIDE)
    usual = (own[..., 1:] - own[..., :-1]).abs().mean()
    return off / 1e-9 + abs(float(rough / usual) - 1) / 0.5


def _contrast(seen: Seen, level: int, x: Tensor) -> float:
    mean = x.mean((2, 3), keepdim=True)
    return float((seen(x, level) - (mean + CONTRAST[level] * (x - mean))).abs().max()) / 1e-9


def _brightness(seen: Seen, level: int, x: Tensor) -> float:
    import colorsys

    out, off = seen(x[:1, :, :6, :6], level), 0.0
    for i in range(36):
        hue, share, value = colorsys.rgb_to_hsv(*x[0, :, i // 6, i % 6].tolist())
        want = colorsys.hsv_to_rgb(hue, share, min(value + VALUE[level], 1.0))
        off = max(off, float((out[0, :, i // 6, i % 6] - torch.tensor(want)).abs().max()))
    return off / 1e-6


def _pixelate(seen: Seen, level: int, x: Tensor) -> float:
    from PIL import Image

    out, off, small = seen(x, level), 0.0, int(SIDE * SHRINK[level])
    for row, got in zip(x, out, strict=True):
        image = Image.fromarray(_pixels(row))
        box = image.resize((small, small), Image.Resampling.BOX)
        want = np.asarray(box.resize((SIDE, SIDE), Image.Resampling.NEAREST)).astype(float)
        off = max(off, float(np.abs(_pixels(got).astype(float) - want).max()))
    return off / 1.5


def _jpeg(seen: Seen, level: int, x: Tensor) -> float:
    """Distance to Pillow's result over that to the nearest of Pillow's at the other levels."""
    from PIL import Image

    out, far = seen(x, level), []
    for quality in QUALITY:
        off = 0.0
        for row, got in zip(x, out, strict=True):
            file = io.BytesIO()
            Image.fromarray(_pixels(row)).save(file, "JPEG", quality=quality)
            want = np.asarray(Image.open(file)).astype(float)
            off += float(np.abs(_pixels(got).astype(float) - want).mean())
        far.append(off)
    own, other = far.pop(level), min(far)
    return own / other if other else float("inf")  # it is another level's


def _pixels(image: Tensor) -> np.ndarray:
    """An image as bytes, channels last."""
    whole: np.ndarray = (image * 255).round().byte().permute(1, 2, 0).numpy()
    return whole


CHECKS: dict[str, Check] = {
    "gaussian-noise": _gaussian, "shot-noise": _shot, "impulse-noise": _impulse,
    "motion-blur": _motion, "fog": _fog, "contrast": _contrast, "brightness": _brightness,
    "pixelate": _pixelate, "jpeg": _jpeg,
}  # fmt: skip


def trial(seed: int, mutant: str = "") -> Trial:
    """The largest error of nine corruptions at five levels; a mutant uses the next lower level."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(3, 3, 7, 7, generator=g, dtype=torch.float64)
    fine = 0.05 * torch.randn(3, 3, SIDE, SIDE, generator=g, dtype=torch.float64)
    x = F.interpolate(coarse, (SIDE, SIDE), mode="bicubic") * 0.6 + 0.2 + fine
    x = (x.clamp(0, 1) * 255).round() / 255
    worst = 0.0
    for name, check in CHECKS.items():
        late = int(mutant == f"{name}-one-level-late")
        shift = find(f"shift:{name}").thing

        def seen(x: Tensor, level: int, shift: object = shift, late: int = late) -> Tensor:
            batch = Batch(x, torch.zeros(len(x), dtype=torch.long), torch.arange(len(x)))
            dice = Dice.of(len(x), seed)
            moved: Tensor = shift(batch, (level + 1 - late) / 5, dice).x  # type: ignore[operator]
            return moved

        worst = max(worst, *(check(seen, level, x) for level in LEVELS))
    return Trial(worst, 1.0, worst <= 1.0)


CLAIM = Claim(
    paper="shift",
    methods=tuple(f"shift:{name}" for name in CHECKS),
    says="At 32 pixels all five levels of nine corruptions are what their published parameters "
    "say: by formula, by moments, or as Pillow does it.",
    left="largest error, in units of what is tolerated for that corruption",
    right="1",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=tuple(f"{name}-one-level-late" for name in CHECKS),
    seconds=5,
)
