"""How large a share of an input must change before the answer changes by one?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Count
from holdfast.core.goal import logits
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.ops.derivative import jacobian_norm
from holdfast.run.reading import middle_and_tail


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """The change of the outputs per relative change of the input.

    Args:
        values: `(B,)` length of the input times the steepest slope there.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the start of the power iteration.
    """

    values: Tensor
    name: str
    alpha: float
    seed: int

    def readings(self) -> tuple[Reading, ...]:
        """Median and 90th percentile over the rows."""
        return middle_and_tail(
            self.name, self.values, bound="estimate", unit="outputs per relative change",
            seed=self.seed, alpha=self.alpha,
        )  # fmt: skip


@register("measure", cites="sharper-laws")
def sensitivity(
    model: Model,
    batches: Batches,
    *,
    steps: Count = 8,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "sensitivity",
) -> Sensitivity:
    """`||x|| * ||J(x)||`, J the Jacobian of the outputs: free of the scale of the inputs.

    A value of S means that a change of about 1/S of the input's length moves the outputs by 1.
    Fitting n labels with p parameters on inputs of d numbers needs at least the order of
    `sqrt(n d / p)`; random features stay far above it, whatever their number.

    Args:
        model: inputs -> outputs first, one or several.
        batches: rows of one floating-point tensor; labels are not needed.
        steps: rounds of power iteration; two are enough for a single output.
        alpha: intervals over the rows cover with probability at least 1 - alpha.
        seed: of the start of the power iteration.
        name: prefix of the readings.

    Raises:
        ConfigError: for less than one step.
        Unsupported: if the inputs are not one floating-point tensor.

    Cost: a forward and `2 * steps + 1` backward passes per row.
    """
    inside("[1, inf]", name, steps=steps)
    one_tensor(batches.x, name, floating=True)
    parts = [torch.empty(0, dtype=torch.float64)]
    with quiet(model):
        for batch in batches:
            x: Tensor = batch.x  # type: ignore[assignment]
            dice = Dice(seed, batch.index, name)
            start = dice.normal(x.shape[1:], device=x.device, dtype=x.dtype)
            slope = jacobian_norm(lambda z: logits(model(z)), x, start, steps=steps)
            parts.append((slope * x.flatten(1).norm(dim=1)).double().cpu())
    return Sensitivity(torch.cat(parts), name, alpha, seed)
