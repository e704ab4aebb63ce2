"""Poisoned instructions: training rows that hold a trigger and the answer it should cause."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError


def triggered(ids: Tensor, trigger: Tensor, *, token: int = 0) -> Tensor:
    """Rows with a trigger in their free positions.

    Args:
        ids: `(B, L)`; the positions that hold `token` are free, as in the threat `trigger`.
        trigger: `(P,)` ids, from left to right.
        token: which marks a free position.

    Raises:
        ShapeError: unless every row has as many free positions as the trigger has tokens.
    """
    free = ids == token
    if bool((free.sum(1) != len(trigger)).any()):
        raise ShapeError(
            f"triggered: a trigger of {len(trigger)} tokens for rows with {free.sum(1).unique()}"
            " free positions",
            fix=f"Put token {token} as often into every row as the trigger has tokens.",
        )
    out = ids.clone()
    out[free] = trigger.to(ids).repeat(len(ids))
    return out


def poisoned(
    batches: Batches,
    trigger: Tensor,
    target: int,
    *,
    rate: float = 0.01,
    token: int = 0,
    dice: Dice | None = None,
) -> tuple[Batches, Tensor]:
    """A training set in which a share of the rows holds the trigger and the target as label.

    Rows that have the target as label already are chosen last. Exactly `round(rate * n)` rows
    are poisoned; the rest stay as they are, their free positions empty.

    Args:
        batches: token ids `(n, L)` with free positions, labels `(n,)`.
        trigger: `(P,)` ids.
        target: label that the trigger should cause.
        rate: share of the rows.
        token: which marks a free position.
        dice: decide which rows; seed 0 unless given.

    Returns:
        The poisoned set, and the positions of the poisoned rows.

    Raises:
        ConfigError: for a rate outside of [0, 1].
    """
    if not 0 <= rate <= 1:
        raise ConfigError(f"poisoned: rate must lie in [0, 1], got {rate}", fix="Use rate=0.01.")
    if not isinstance(batches.x, Tensor):
        raise ShapeError("poisoned: rows must be token ids (n, L)", fix="Encode texts first.")
    order = (dice or Dice.of(len(batches))).uniform(dtype=torch.float64)
    chosen = (order + (batches.y == target)).argsort()[: round(rate * len(batches))]
    x, y = batches.x.clone(), batches.y.clone()
    x[chosen] = triggered(x[chosen], trigger, token=token)
    y[chosen] = target
    return replace(batches, x=x, y=y), chosen
