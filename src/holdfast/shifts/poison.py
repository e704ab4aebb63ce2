"""Poisoned data sets: what an adversary does who touches the data that a model learns from."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.catalog import resolve
from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Part
from holdfast.core.kinds import Shift
from holdfast.core.ranges import inside
from holdfast.ops.batch import Inputs

Among = Literal["target", "others", "any"]


def poisoned(
    batches: Batches,
    *,
    target: int,
    trigger: Part[Shift],
    share: float = 0.01,
    among: Among = "target",
    relabel: bool = False,
    dice: Dice | None = None,
) -> Batches:
    """A data set of which some rows carry a trigger.

    Drawn from the target class and with their labels kept, the poison is clean-label: for self-
    supervised learning it teaches the trigger to mean the class. Drawn from the others and
    relabelled it is the classical backdoor.

    Args:
        batches: labelled rows.
        target: the class that the trigger shall mean.
        trigger: the change of the inputs, at severity 1.
        share: of all rows that are poisoned, or fewer where the chosen classes hold fewer.
        among: which rows may be drawn: those of the `target`, the `others`, or `any`.
        relabel: give poisoned rows the label of the target.
        dice: of the rows drawn; seed 0 unless given.

    Returns:
        The rows in their order; `truth` is `(n,)` bool, which of them are poisoned.

    Raises:
        ConfigError: for a share outside [0, 1].
    """
    inside("[0, 1]", "poisoned", share=share)
    own = dice if dice is not None else Dice.of(len(batches))
    known = batches.y != UNLABELLED
    free = {"target": batches.y == target, "others": batches.y != target, "any": known}[among]
    rows = _drawn(free & known, round(share * len(batches)), own)
    chosen = batches.whole.take(rows)
    changed = resolve(trigger)(chosen, 1.0, own.keyed(chosen.index))
    y = batches.y.clone()
    if relabel:
        y[rows] = target
    mask = torch.zeros(len(batches), dtype=torch.bool)
    mask[rows] = True
    return replace(batches, x=_put(batches.x, rows, changed.x), y=y, truth=mask)


def _drawn(free: Tensor, count: int, dice: Dice) -> Tensor:
    """`count` of the free rows, or all of them, in order."""
    places = free.nonzero().flatten()
    order = torch.randperm(len(places), generator=dice.generator("poisoned"))
    return places[order[:count]].sort().values


def _put(x: Inputs, rows: Tensor, new: Inputs) -> Inputs:
    if not isinstance(x, Tensor) or not isinstance(new, Tensor):
        raise ConfigError(
            "poisoned: the inputs must be one tensor",
            fix="Give inputs and triggered inputs as one tensor, rows first.",
        )
    out = x.clone()
    out[rows] = new.to(out)
    return out
