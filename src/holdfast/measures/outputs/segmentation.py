"""Overlap of predicted and true regions, over a whole set of label maps."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.goal import Outputs
from holdfast.core.inputs import some_rows
from holdfast.core.records import Reading
from holdfast.measures.outputs.labelled import labelled

IGNORED = 255  # in published label maps; -100 here


def without_ignored(y: Tensor, ignored: int = IGNORED) -> Tensor:
    """Label maps in which pixels that published files mark to be ignored are unlabelled."""
    return torch.where(y == ignored, -100, y.long())


@register("measure", cites="robusta")
def segmentation(outputs: Outputs, y: Tensor, *, name: str = "segmentation") -> tuple[Reading, ...]:
    """Mean intersection over union and accuracy of pixels, counted over the whole set.

    Counts are added up over all images before anything is divided, so that a class that is rare
    in an image does not rule the mean. It does not change when classes are renamed on both sides.

    Args:
        outputs: logits `(..., K)`, classes last: `(B, H, W, K)` for maps.
        y: `(...)` labels; -100 does not count (see `without_ignored`).
        name: prefix of the readings.

    Raises:
        ShapeError: if outputs and labels do not fit, or no pixel is labelled.
    """
    rows = labelled(outputs, y)
    some_rows(rows.y, name, what="labelled pixel")
    k, kept = rows.z.shape[1], rows.kept()
    counts = torch.bincount(kept.y * k + kept.z.argmax(1), minlength=k * k).reshape(k, k)
    lost = torch.bincount(rows.y[~rows.finite], minlength=k)  # no answer: in no column
    hit = counts.diagonal().double()
    union = counts.sum(0) + counts.sum(1) + lost - counts.diagonal()
    each = torch.where(union > 0, hit / union.clamp(min=1), torch.nan)
    n = len(rows.y)
    values = {"miou": float(each.nanmean()), "accuracy": float(hit.sum()) / n}
    return tuple(
        Reading(name=f"{name}.{w}", value=v, low=v, high=v, n=n, bound="exact", flags=rows.flags)
        for w, v in values.items()
    )


def perturbed_maps(labels: Tensor, dice: Dice, *, insert: bool = True, swap: bool = True) -> Tensor:
    """Label maps nobody has seen: regions of other maps pasted in, and classes swapped.

    Args:
        labels: `(B, H, W)`, 0 for ground.
        dice: one row per map; which map a region comes from is drawn for the batch.
        insert: paste the objects of a shifted map of another row.
        swap: exchange two classes that are no ground, in half of the maps.
    """
    out = labels.clone()
    if insert and len(labels) > 1:
        order = torch.randperm(len(labels), generator=dice.generator("partner"))
        other = labels[order]
        height, width = labels.shape[1:]
        move = (dice.uniform((2,)) * torch.tensor([height, width])).long()
        rows = (torch.arange(height) + move[:, :1]) % height
        columns = (torch.arange(width) + move[:, 1:]) % width
        at = torch.arange(len(labels))[:, None, None]
        other = other[at, rows[:, :, None], columns[:, None, :]]
        out = torch.where(other > 0, other, out)
    classes = int(labels.max()) if labels.numel() else 0
    if swap and classes > 1:
        a = 1 + dice.integers(classes)
        b = 1 + (a - 1 + 1 + dice.integers(classes - 1)) % classes
        here = (dice.uniform() < 0.5)[:, None, None]
        a, b = a[:, None, None], b[:, None, None]
        swapped = torch.where(out == a, b, torch.where(out == b, a, out))
        out = torch.where(here, swapped, out)
    return out
