"""Images out of one robust classifier: targeted gradient ascent far beyond the first success."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.attacks.pgd import PGD
from holdfast.attacks.towards import Shown, Towards
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.core.goal import Outputs
from holdfast.core.kinds import Attack, Model, Readout, Threat
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.threats.norms import L2

SYNTHESIS = register(
    "attack", cites="robust-classifier-synthesis", name="synthesis",
    says="Sixty steps of the published length towards a class, from a start without change.",
)(PGD(steps=60, travel=1.5, start="none", climb="soft"))  # fmt: skip
INPAINTING = PGD(steps=720, travel=720 * 0.1 / 21.6, start="none", climb="soft")
SHARPENING = PGD(steps=50, travel=50 / 15, start="none", climb="soft")
FAR, NEARBY, PAINTED, LARGER = (L2(radius=r) for r in (40.0, 21.6, 70.0, 15.0))
PAINTING = PGD(steps=140, travel=2.0, start="none", climb="soft")


def _climbed(
    model: Model, start: Tensor, goal: Towards, threat: Threat, attack: Attack, dice: Dice | None
) -> Tensor:
    with quiet(model):
        change = attack(Shown(model), start, goal, threat, dice=dice)
        return threat.apply(start, threat.project(start, change)).detach()


def synthesize(
    model: Model,
    start: Tensor,
    y: Tensor,
    *,
    threat: Threat = FAR,
    attack: Attack = SYNTHESIS,
    dice: Dice | None = None,
) -> Tensor:
    """Images of given classes, from starts that show little.

    Climbs the certainty of the class by normalised steps and never leaves the ball around the
    start, nor the range of images. What comes out looks like the class where the model's
    gradients do, which is so for models trained against an L2 adversary. From images of one
    domain to another it goes by a classifier of the two, farther and in smaller steps:
    `threat=L2(radius=80.0), attack=PGD(steps=200, travel=1.25, start="none", climb="soft")`.

    Args:
        model: a robust classifier.
        start: `(B, ...)` draws of `ClassGaussians`, sketches, or images of another domain.
        y: `(B,)` classes.
        threat: how far the image may be from its start.
        attack: `attack:synthesis` or another gradient ascent without a random start.
        dice: of attacks that draw.

    Cost: one forward and one backward per step.
    """
    return _climbed(model, start, Towards(y), threat, attack, dice)


def inpaint(
    model: Model, x: Tensor, hole: Tensor, y: Tensor, *, weight: float = 10.0,
    threat: Threat = NEARBY, attack: Attack = INPAINTING, dice: Dice | None = None,
) -> Tensor:  # fmt: skip
    """Images whose hole is filled with what the class suggests.

    The hole starts at the mean of each channel outside it; the rest is held by the mean squared
    change over all pixels, times `weight`.

    Args:
        model: a robust classifier.
        x: `(B, C, H, W)` images; what they hold in the hole is not looked at.
        hole: 1 in the hole, 0 elsewhere; broadcast to x.
        y: `(B,)` classes.
        weight: of what must stay, against nats.
        threat: how far the image may be from its start.
        attack: the ascent.
        dice: of attacks that draw.

    Raises:
        ConfigError: for a negative weight.
    """
    inside("[0, inf)", "inpaint", weight=weight)
    gone = hole.to(x).expand_as(x)
    places = tuple(range(2, x.dim())) or (1,)
    kept = (1 - gone).sum(places, keepdim=True).clamp(min=1)
    mean = (x * (1 - gone)).sum(places, keepdim=True) / kept
    start = torch.where(gone > 0, mean.expand_as(x), x)
    goal = Towards(y, start, 1 - gone, weight)
    return _climbed(model, start, goal, threat, attack, dice)


def super_resolve(
    model: Model, x: Tensor, y: Tensor, *, factor: int, threat: Threat = LARGER,
    attack: Attack = SHARPENING, dice: Dice | None = None,
) -> Tensor:  # fmt: skip
    """Images enlarged by repeating pixels, then moved towards their class.

    Args:
        model: a robust classifier of large images.
        x: `(B, C, h, w)` small images.
        y: `(B,)` classes.
        factor: by which each side grows.
        threat: how far the image may be from the enlarged one.
        attack: the ascent.
        dice: of attacks that draw.

    Raises:
        ShapeError: for inputs that are no images.
        ConfigError: for a factor below 1.
    """
    if x.dim() != 4:
        raise ShapeError(
            f"super_resolve: needs images (B, C, h, w), got {tuple(x.shape)}",
            fix="Add a channel axis with x[:, None].",
        )
    inside("[1, inf)", "super_resolve", factor=factor)
    large = x.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    return _climbed(model, large, Towards(y), threat, attack, dice)


def paint(
    model: Model, x: Tensor, where: Tensor, unit: Readout, *, weight: float = 10.0,
    gain: float = 0.1, threat: Threat = PAINTED, attack: Attack = PAINTING,
    dice: Dice | None = None,
) -> Tensor:  # fmt: skip
    """Images into which a feature of the model is painted.

    Args:
        model: a robust model whose outputs the readout understands.
        x: `(B, ...)` images.
        where: 1 where it may be painted, 0 elsewhere; broadcast to x.
        unit: outputs -> `(B,)`, the activation of the feature.
        weight: of what must stay.
        gain: by which the activation counts.
        threat: how far the image may move.
        attack: the ascent.
        dice: of attacks that draw.
    """
    free = where.to(x).expand_as(x)

    def height(outputs: Outputs) -> Tensor:
        return gain * unit(outputs)

    goal = Towards(None, x, 1 - free, weight, height)
    return _climbed(model, x, goal, threat, attack, dice)


def psnr(image: Tensor, truth: Tensor, where: Tensor | None = None) -> Tensor:
    """`(B,)`: peak signal-to-noise ratio in dB for images in [0, 1], within a part of them.

    Args:
        image: `(B, ...)`.
        truth: of the same shape.
        where: 1 where it counts; everywhere unless given.
    """
    counts = torch.ones_like(truth) if where is None else where.to(truth).expand_as(truth)
    off = ((image - truth).square() * counts).flatten(1).sum(1)
    return -10 * (off / counts.flatten(1).sum(1).clamp(min=1)).clamp(min=1e-12).log10()
