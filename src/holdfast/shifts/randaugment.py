"""Augmentations made of drawn classical edits: RandAugment, TrivialAugment, AugMix."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, Natural, Positive
from holdfast.ops.batch import fit, pick
from holdfast.ops.simplex import beta, dirichlet
from holdfast.shifts.edits import MENUS, Kind, edited
from holdfast.shifts.published import Published, Row, on_images

LINEAR = Published(none=(0.0,), tables={32: tuple((k / 5,) for k in range(1, 6))})
LONGEST = 3


@register("shift", cites="randaugment", says="A few classical edits of one strength, drawn anew.")
def randaugment(
    batch: Batch,
    severity: float,
    dice: Dice | None = None,
    *,
    count: Natural = 2,
    menu: Kind = "all",
) -> Batch:
    """Applies `count` edits to each image, drawn from a menu of 14, all of one magnitude.

    Edits are turns, slants, moves, stretched or equal tones, few bits, inverted highlights,
    colour, contrast, brightness and sharpness; the severity is their common magnitude, and signs
    are drawn. So two numbers are all there is to be chosen. As an augmentation:
    `hook:augment` with this shift. Solarized or posterized digits may not keep their label: take
    the geometric menu there.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1], a tenth of the published magnitude M; at 1 turns are of 30 degrees,
            slants of 0.3, moves of 0.45 of the side, factors 1 +- 0.9, four bits are left.
        dice: one row per image.
        count: edits per image, the published N.
        menu: `all`, `apart` (without what common corruptions do too) or `geometric`.

    Raises:
        Unsupported: if the inputs are not images.

    Unlike the paper, pixels are read bilinearly, signs are drawn for every edit that has two
    directions, and tones of small images are equalized too.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        magnitude = torch.full((len(x),), row[0]).to(x)
        for _ in range(count):
            x = edited(x, magnitude, MENUS[menu], dice)
        return x

    return on_images(batch, severity, dice, "randaugment", LINEAR, change)


@register("shift", cites="randaugment", says="One classical edit of a drawn strength.")
def trivialaugment(
    batch: Batch, severity: float, dice: Dice | None = None, *, menu: Kind = "all"
) -> Batch:
    """Applies a single edit to each image, of a magnitude drawn between 0 and the severity.

    Nothing is left to be chosen: RandAugment with one edit and a magnitude per image.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1], the largest magnitude; see `shift:randaugment`.
        dice: one row per image.
        menu: `all`, `apart` or `geometric`.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        magnitude = row[0] * dice.uniform(device=x.device).to(x)
        return edited(x, magnitude, MENUS[menu], dice)

    return on_images(batch, severity, dice, "trivialaugment", LINEAR, change)


@register("shift", cites="augmix", says="A mixture of the image and chains of classical edits.")
def augmix(
    batch: Batch,
    severity: float,
    dice: Dice | None = None,
    *,
    width: Count = 3,
    depth: Natural = 0,
    alpha: Positive = 1.0,
    menu: Kind = "apart",
) -> Batch:
    """Mixes each image with several chains of edits of itself, all in drawn shares.

    Each chain starts from the image and edits it one to three times. Chains are added in
    Dirichlet shares, and their sum is mixed with the image in a Beta share, so that
    the result stays among what the chains have made and near to the image: varied, without the
    artefacts of long chains. With `objective:consistent` the answers to two of them are drawn
    together.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1], a tenth of the published one; the magnitude of each edit is drawn
            between 0.01 and the severity.
        dice: one row per image.
        width: chains.
        depth: edits per chain; 0 draws one to three.
        alpha: of the Dirichlet and the Beta distribution.
        menu: `all`, `apart` (without what common corruptions do too) or `geometric`.

    Raises:
        Unsupported: if the inputs are not images.

    Unlike the paper, one table says what a magnitude means here and in RandAugment: moves reach
    0.45 of the side instead of 0.33, and posterizing leaves eight to four bits, not four to none.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        uniform = dice.uniform((width + 1,), dtype=torch.float64, device=x.device)
        shares, kept = dirichlet(uniform[:, :width], alpha), beta(uniform[:, width], alpha)
        steps = depth or LONGEST
        long = 1 + dice.integers(steps, (width,), device=x.device).flatten()
        made, least = x.repeat_interleave(width, 0), min(0.01, row[0])
        for step in range(steps):
            level = dice.uniform((width,), device=x.device).flatten().to(x)
            again = edited(made, least + (row[0] - least) * level, MENUS[menu], dice, width)
            made = again if depth else pick(step < long, again, made)
        chains = made.unflatten(0, (len(x), width))
        mixed = (shares.view(*shares.shape, 1, 1, 1).to(x) * chains).sum(1)
        found: Tensor = x + fit(1 - kept, x).to(x) * (mixed - x)
        return found

    return on_images(batch, severity, dice, "augmix", LINEAR, change)
