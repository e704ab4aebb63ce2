"""Shifts as augmentation: every row of a training batch gets a corruption of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from holdfast.core.catalog import resolve
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.shifts.published import LEVELS


def augmenting(
    names: Sequence[Any], *, levels: int = LEVELS, clean: float = 0.0
) -> Callable[[Batch, Dice], Batch]:
    """What `Batches(augment=...)` takes: each row changed by a drawn shift at a drawn level.

    Args:
        names: catalogue names as `shift:fog`, or shifts.
        levels: levels 1 to `levels` of five are drawn alike.
        clean: share of rows that stay as they are.

    Raises:
        ConfigError: without names, or for levels or a share out of range.

    Cost: at most as many calls as there are shifts times levels, each with its own rows.
    """
    shifts = [resolve(name) for name in names]
    if not shifts or not 1 <= levels <= LEVELS or not 0 <= clean <= 1:
        raise ConfigError(
            f"augmenting: {len(shifts)} shifts, levels={levels}, clean={clean}",
            fix="Name at least one shift, levels in 1 to 5 and a share in [0, 1].",
        )

    def augment(batch: Batch, dice: Dice) -> Batch:
        if not isinstance(batch.x, Tensor):
            return shifts[0](batch, 1.0, dice)  # type: ignore[no-any-return]  # refuses it
        own = dice.spawn("augmenting")
        which = own.integers(len(shifts)) * levels + own.integers(levels)
        which = which.masked_fill(own.uniform() < clean, -1)
        x = batch.x.clone()
        for cell in which.unique().tolist():
            rows = (which == cell).nonzero()[:, 0]
            if cell >= 0:
                shift, severity = shifts[cell // levels], (cell % levels + 1) / LEVELS
                part = batch.take(rows.to(batch.index.device))
                x[rows] = shift(part, severity, dice.part(rows)).x
        return batch._replace(x=x)

    return augment
