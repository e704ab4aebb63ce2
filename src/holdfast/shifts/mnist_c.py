"""MNIST-C: corruptions of the common kind as they were released for digits of 28 pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.kinds import Shift
from holdfast.ops.bilinear import displaced
from holdfast.ops.edges import canny
from holdfast.ops.strokes import SIDE, dotted, grid, zigzag
from holdfast.ops.warp import pixels
from holdfast.shifts.blur import GLASS, MOTION, shattered, smeared
from holdfast.shifts.noise import IMPULSE, SHOT, counted, peppered
from holdfast.shifts.published import Published, Row, on_images
from holdfast.shifts.spatter import DROPS, MUD, coloured, drops, mud
from holdfast.shifts.weather import FOG, brighter, misty

Change = Callable[[Tensor, Row, Dice], Tensor]
# The strengths are those of large images; lengths are pixels of an image of 28.
SHOTS = Published(none=(0.0,), tables={SIDE: SHOT.tables[224]})
IMPULSES = Published(none=(0.0,), tables={SIDE: IMPULSE.tables[224]})
PANES = Published(
    none=GLASS.none, tables={SIDE: GLASS.tables[224]}, lengths=GLASS.lengths, shrinks=False,
    whole=True,
)  # fmt: skip
MOTIONS = Published(none=MOTION.none, tables={SIDE: MOTION.tables[224]}, lengths=MOTION.lengths)
MISTS = Published(none=FOG.none, tables={SIDE: FOG.tables[224]})
SPATTERS = Published(
    none=(None,) * 6, tables={SIDE: DROPS}, shrinks=False, whole=True,
    lengths=(False, False, True, False, True, False),
)  # fmt: skip
FIFTHS = Published(none=(0.0,), tables={SIDE: ((0.2,), (0.4,), (0.6,), (0.8,), (1.0,))})
TENTHS = Published(none=(0.0,), tables={SIDE: ((0.1,), (0.2,), (0.3,), (0.4,), (0.5,))})
STEPS = Published(
    none=(0.0,), tables={SIDE: ((1,), (2,), (3,), (4,), (5,))}, lengths=(True,), whole=True
)
SKY = 256  # pixels that clouds span, of which an image of 28 shows a corner


def placed(x: Tensor, turn: Tensor) -> Tensor:
    """Images read at `turn` times the place from their middle, bilinearly, black outside.

    Args:
        x: `(B, C, H, W)`.
        turn: `(B, 2, 2)`, of (column, row).
    """
    column, row = pixels(x)
    u, v = column - (x.shape[3] - 1) / 2, row - (x.shape[2] - 1) / 2
    a = (turn - torch.eye(2).to(turn)).to(x)[:, :, :, None, None]
    return displaced(x, a[:, 0, 0] * u + a[:, 0, 1] * v, a[:, 1, 0] * u + a[:, 1, 1] * v)


def shattered_half(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Half of the pixels trade places with neighbours, between two blurs."""
    return shattered(x, row, dice, still=0.5, swap=True)


def signs(x: Tensor, dice: Dice) -> Tensor:
    """`(B,)`: -1 or 1."""
    return 2 * dice.integers(2, device=x.device).to(x.dtype) - 1


def sheared(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Read at columns moved by the sine of an angle times the row."""
    c = row[0] * signs(x, dice)
    one = torch.ones_like(c)
    return placed(x, torch.stack([one, -c.sin(), 0 * one, c.cos()], 1).view(-1, 2, 2))


def shrunk(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Smaller by the share `row[0]`, around the middle."""
    return placed(x, (torch.eye(2).to(x) / (1 - row[0])).expand(len(x), 2, 2))


def rotated(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Turned by `row[0]` radians, in either direction."""
    c = row[0] * signs(x, dice)
    return placed(x, torch.stack([c.cos(), -c.sin(), c.sin(), c.cos()], 1).view(-1, 2, 2))


def moved(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Moved by whole pixels, along both axes, in directions of their own."""
    far = max(1, round(row[0]))
    right, down = (far * signs(x, dice)[:, None, None].expand(-1, *x.shape[2:]) for _ in range(2))
    return displaced(x, right, down)


def striped(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """The first and last quarter of the columns inverted, by the share `row[0]`."""
    column, _ = grid(x)
    outer = (column < SIDE / 4) | (column >= SIDE - SIDE / 4)
    return torch.where(outer[:, None], x + row[0] * (1 - 2 * x), x)


def misted(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Fog whose clouds are much larger than the image."""
    return misty(x, row, dice, SKY)


def muddy(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Spattered, with mud at every level."""
    cover = mud(drops(x, row, dice), row)
    return x * (1 - cover.to(x.dtype)) + coloured(x, cover, (MUD[0],) * x.shape[1])


def dashed(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """A dotted line from the left to the right."""
    rows = dice.integers(SIDE - 1, (2,), device=x.device).double()
    return x + row[0] * dotted(x, rows)[:, None].to(x.dtype)


def zigzagged(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """A zigzag from the left to the right, rising or falling a little."""
    start = dice.integers(SIDE - 1, device=x.device).double()
    rise = dice.integers(10, device=x.device).double() - 5
    return x + row[0] * zigzag(x, start, rise)[:, None].to(x.dtype)


def outlined(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Edges in place of the image; slopes are per 28th of its side."""
    unit = min(x.shape[2:]) / SIDE
    edges = canny(x.reshape(-1, 1, *x.shape[2:]), unit, 0.1 / unit, 0.2 / unit).view(x.shape)
    return x + row[0] * (edges.to(x.dtype) - x)


def digit_shift(name: str, table: Published, change: Change, says: str) -> Shift:
    """Registers a corruption of MNIST-C under `mnist-` and its name.

    Args:
        name: as released, with dashes.
        table: its strengths.
        change: what it does.
        says: the same in a sentence.
    """

    def shift(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
        return on_images(batch, severity, dice, f"mnist-{name}", table, change)

    shift.__name__ = shift.__qualname__ = "mnist_" + name.replace("-", "_")
    shift.__doc__ = f"""{says}

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1]; k / 5 is level k of the released program, and `RELEASED` holds the
            one of the released digits; what has no levels there is blended in by the severity.
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
    """
    return register("shift", cites="mnist-c", name=f"mnist-{name}")(shift)


mnist_shot_noise = digit_shift("shot-noise", SHOTS, counted, "Counts the light of each value.")
mnist_impulse_noise = digit_shift(
    "impulse-noise", IMPULSES, peppered, "Turns a share of all values black or white."
)
mnist_glass_blur = digit_shift(
    "glass-blur", PANES, shattered_half, "Exchanges half of the pixels with neighbours, and blurs."
)
mnist_motion_blur = digit_shift("motion-blur", MOTIONS, smeared, "Smears along a line.")
mnist_shear = digit_shift("shear", FIFTHS, sheared, "Slants to the left or the right.")
mnist_scale = digit_shift("scale", TENTHS, shrunk, "Shrinks around the middle.")
mnist_rotate = digit_shift("rotate", FIFTHS, rotated, "Turns to the left or the right.")
mnist_brightness = digit_shift("brightness", TENTHS, brighter, "Raises the value of all pixels.")
mnist_translate = digit_shift("translate", STEPS, moved, "Moves by whole pixels along both axes.")
mnist_stripe = digit_shift("stripe", FIFTHS, striped, "Inverts the left and the right quarter.")
mnist_fog = digit_shift("fog", MISTS, misted, "Blends in clouds much larger than the image.")
mnist_spatter = digit_shift("spatter", SPATTERS, muddy, "Spatters with grey drops.")
mnist_dotted_line = digit_shift("dotted-line", FIFTHS, dashed, "Draws a dotted line across.")
mnist_zigzag = digit_shift("zigzag", FIFTHS, zigzagged, "Draws a zigzag across.")
mnist_canny_edges = digit_shift("canny-edges", FIFTHS, outlined, "Leaves nothing but edges.")

# What the released digits were made with; the released program names levels 1 to 5.
RELEASED: dict[str, float] = {
    "mnist-shot-noise": 1.0, "mnist-impulse-noise": 0.8, "mnist-glass-blur": 0.2,
    "mnist-motion-blur": 0.2, "mnist-shear": 0.4, "mnist-scale": 0.6, "mnist-rotate": 0.4,
    "mnist-brightness": 1.0, "mnist-translate": 0.6, "mnist-stripe": 1.0, "mnist-fog": 1.0,
    "mnist-spatter": 0.8, "mnist-dotted-line": 1.0, "mnist-zigzag": 1.0,
    "mnist-canny-edges": 1.0,
}  # fmt: skip
