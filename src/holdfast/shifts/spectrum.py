"""Images of which some frequencies are removed."""

from __future__ import annotations

from math import hypot

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops.frequency import bandpass, distance, filtered
from holdfast.shifts.published import Published, Row, on_images

REMOVED = Published(none=(0.0,), tables={32: tuple((k / 5,) for k in range(1, 6))})


@register("shift", cites="biases-vs-generalization")
def low_pass(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Removes all frequencies outside a square window of the spectrum, so that edges blur.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; the window keeps a share of `1 - severity` of each side, and of one
            that has no frequency left nothing remains.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        return bandpass(x, 1 - row[0] + 1e-9)

    return on_images(batch, severity, dice, "low-pass", REMOVED, change)


@register("shift", cites="biases-vs-generalization")
def high_pass(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Removes all frequencies inside a square window of the spectrum, the mean with them.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; the share of each side of the spectrum that is removed. What becomes
            negative without its mean is cut at 0, as published.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        return bandpass(x, 1 - row[0] - 1e-9, low=False)

    return on_images(batch, severity, dice, "high-pass", REMOVED, change)


@register("shift", cites="par-imagenet-sketch")
def radial_kernel(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Keeps only the frequencies inside a disc about the mean.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; one less the radius of the disc in that of the whole spectrum. The
            mean always stays.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        height, width = x.shape[2:]
        most = hypot(height // 2, width // 2)
        return filtered(x, distance(height, width) <= (1 - row[0]) * most)

    return on_images(batch, severity, dice, "radial-kernel", REMOVED, change)


@register("shift", cites="par-imagenet-sketch")
def random_kernel(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Removes frequencies drawn at random for each image; the mean stays.

    What is removed at one severity is removed at every higher one too.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; at 1 a tenth of the frequencies goes, as published.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        height, width = x.shape[2:]
        kept = dice.uniform((1, height, width), device=x.device) >= 0.1 * row[0]
        kept = kept | (distance(height, width) == 0).to(x.device)
        return filtered(x, kept)

    return on_images(batch, severity, dice, "random-kernel", REMOVED, change)


@register("shift", cites="par-imagenet-sketch")
def negative_colour(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Mixes each image with its negative; at 1 every value v has become 1 - v.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; the share of the negative.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        return x + row[0] * (1 - 2 * x)

    return on_images(batch, severity, dice, "negative-colour", REMOVED, change)


def sketched(x: Tensor, spread: float) -> Tensor:
    """`(B, 1, H, W)`: pencil lines on white paper: grey over the blurred negative.

    Where an image is even, grey and blur agree and the paper stays white; edges leave dark lines.

    Args:
        x: images `(B, C, H, W)`.
        spread: standard deviation of the blur in pixels.
    """
    grey = x.mean(1, keepdim=True)
    reach = max(1, round(3 * spread))
    tap = torch.exp(-(torch.arange(-reach, reach + 1).to(x) ** 2) / (2 * spread**2))
    tap = tap / tap.sum()
    padded = torch.nn.functional.pad(grey, (reach,) * 4, mode="replicate")
    blurred = torch.nn.functional.conv2d(padded, tap.view(1, 1, 1, -1))
    blurred = torch.nn.functional.conv2d(blurred, tap.view(1, 1, -1, 1))
    return ((grey + 1e-3) / (blurred + 1e-3)).clamp(0, 1)


@register("shift", cites="par-imagenet-sketch")
def sketch(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Mixes each image with a pencil sketch of itself: dark lines at its edges on white paper.

    A procedural substitute for the drawn sketches of the benchmark.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; the share of the sketch.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        lines = sketched(x, max(0.8, min(x.shape[2:]) / 28))
        return x + row[0] * (lines - x)

    return on_images(batch, severity, dice, "sketch", REMOVED, change)
