"""Between the weights that a model came with and those it was tuned to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.kinds import State
from holdfast.core.ranges import inside
from holdfast.merge.soup import Statistics, finished, mean


def interpolated(a: State, b: State, share: float) -> State:
    """Weights and buffers between two states; at 0 the first and at 1 the second, bit for bit.

    Whole numbers are those of the first.
    """
    if share in (0, 1):
        return {k: v.clone() for k, v in (b if share else a).items()}
    return {
        k: torch.lerp(v, b[k], share) if v.is_floating_point() else v.clone() for k, v in a.items()
    }


@register("merge", cites="low-shot-robustness", name="wise-ft",
          says="Between the weights before and after tuning.")  # fmt: skip
def between(
    states: Sequence[State],
    base: State | None = None,
    *,
    model: nn.Module | None = None,
    batches: Batches | None = None,
    dice: Dice | None = None,
    share: float = 0.5,
    statistics: Statistics = "mean",
) -> State:
    """WiSE-FT: weights on the line from a model before tuning to the same model after it.

    Tuning on few rows of one source often loses what a model knew of others. Both ends lie in
    one basin as a rule, so that weights between them keep most of either. At share 0 they are
    those before and at 1 those after, bit for bit.

    Cost: none; with fresh statistics one forward pass over the rows.

    Args:
        states: after tuning; several of them count with their mean.
        base: before tuning.
        model: the architecture, for fresh statistics.
        batches: rows like the training data, for fresh statistics; labels are not needed.
        dice: not needed.
        share: of the way from before to after, in [0, 1].
        statistics: running statistics of batch normalisation: see `uniform_soup`.

    Raises:
        ConfigError: without a base, or for a share outside [0, 1].
        ShapeError: if names or shapes differ.
    """
    if base is None:
        raise ConfigError("wise-ft needs the weights before tuning", fix="Pass base=state.")
    inside("[0, 1]", "wise-ft", share=share)
    tuned = mean(states) if len(states) > 1 or not states else states[0]
    if {k: v.shape for k, v in tuned.items()} != {k: v.shape for k, v in base.items()}:
        raise ShapeError(
            "wise-ft: the states differ in names or shapes", fix="Merge one architecture's weights."
        )
    return finished(interpolated(base, tuned, share), model, batches, statistics)
