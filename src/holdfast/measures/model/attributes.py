"""What editing one attribute of an image costs: its background, the object's size, place, turn."""

from __future__ import annotations

from functools import partial
from math import pi

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.kinds import Model
from holdfast.measures.model.variants import Change, Variants, answered
from holdfast.ops.compose import edited, filled, free_move, object_mask, shrunk
from holdfast.ops.filters import smooth

SIZES = (0.1, 0.08, 0.05)


def _parts(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Images, masks (given as `mask`, or guessed), and what is behind the objects."""
    x: Tensor = batch.x  # type: ignore[assignment]
    given = batch.more.get("mask")
    mask = object_mask(x) if given is None else given.to(x).reshape(len(x), 1, *x.shape[2:])
    return x, mask, filled(x, mask)


def _moved(batch: Batch, area: float, seed: int, far: bool = False, turned: bool = False) -> Batch:
    x, mask, ground = _parts(batch)
    dice = Dice(seed, batch.index, "attributes")
    side = shrunk(mask, area)
    angle, at = torch.zeros_like(side), x.new_zeros(len(x), 2)
    if far:
        at = free_move(mask, side, dice.uniform((2,), device=x.device, dtype=x.dtype))
    if turned:
        angle = pi * (2 * dice.uniform(device=x.device, dtype=x.dtype) - 1)
    return batch._replace(x=edited(x, mask, ground, side, angle, at).clamp(0, 1))


def _behind(batch: Batch, kind: str) -> Batch:
    x, mask, ground = _parts(batch)
    if kind == "identity":
        new = ground
    elif kind == "simple":
        new = smooth(ground, min(x.shape[2:]) / 8)
    else:
        new = batch.more["background"].to(x)
    return batch._replace(x=(mask * x + (1 - mask) * new).clamp(0, 1))


@register("measure", cites="imagenet-e", says="What editing one attribute costs.")
def attribute_drop(
    vision: Model,
    batches: Batches,
    *,
    sizes: tuple[float, ...] = SIZES,
    seed: int = 0,
    alpha: float = 0.05,
    name: str = "attributes",
) -> Variants:
    """Accuracy on images as they are and with one attribute of the object edited at a time.

    The editor's own effect stands beside them as `identity`: the object is taken out and put
    back. Place and direction change at the smallest size, so what they cost alone is their
    `drop` from that one.

    Args:
        vision: a model of images.
        batches: labelled images `(B, C, H, W)` in [0, 1]; `more["mask"]` says where objects are,
            else that is guessed; `more["background"]`, if there, holds images to swap behind.
        sizes: shares of the image's area to which objects are shrunk, largest first.
        seed: of places and directions.
        alpha: intervals over the rows cover with probability about 1 - alpha.
        name: prefix of the readings.

    Returns:
        Versions `original`, `identity`, `background.simple`, `background.swap` (if there are
        others), `size.<share>`, `position` and `direction`.

    Raises:
        Unsupported: if the inputs are not images.
        ShapeError: without rows.

    Cost: one forward pass per row and version.

    Unlike the paper: backgrounds are the image's own, blurred, or others that are given; no
    diffusion model draws them. Objects that are smaller than asked stay as they are.
    """
    changes: dict[str, Change] = {"original": lambda batch: batch}
    kinds = ["identity", "simple"] + ["swap"] * ("background" in batches.more)
    for kind in kinds:
        key = kind if kind == "identity" else f"background.{kind}"
        changes[key] = partial(_behind, kind=kind)
    changes |= {f"size.{s:g}": partial(_moved, area=s, seed=seed) for s in sizes}
    least = min(sizes, default=SIZES[-1])
    changes["position"] = partial(_moved, area=least, seed=seed, far=True)
    changes["direction"] = partial(_moved, area=least, seed=seed, turned=True)
    return answered(vision, batches, changes, name=name, alpha=alpha, seed=seed)
