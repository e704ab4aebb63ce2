"""How fast the answers change near each input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.goal import logits
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.ops.batch import fit
from holdfast.ops.derivative import jacobian_norm
from holdfast.run.reading import middle_and_tail


@dataclass(frozen=True, eq=False)
class LocalLipschitz:
    """The steepest slope seen near each input.

    Args:
        slope: `(B,)` change of the logits per change of the input, both Euclidean.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the sampled points.
    """

    slope: Tensor
    name: str
    alpha: float
    seed: int

    def readings(self) -> tuple[Reading, ...]:
        """Median and 90th percentile over the rows; each slope is a lower bound."""
        return middle_and_tail(
            self.name, self.slope, bound="lower", unit="logits per unit of input",
            seed=self.seed, alpha=self.alpha,
        )  # fmt: skip


@register("measure", cites="clever")
def local_lipschitz(
    model: Model,
    batches: Batches,
    *,
    radius: float = 0.1,
    samples: int = 4,
    steps: int = 8,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "lipschitz",
) -> LocalLipschitz:
    """Largest singular value of the Jacobian of the logits, at points in a ball around each input.

    The local Lipschitz constant is the supremum of this value over the ball, so what is seen at
    sampled points approaches it from below. The input itself is always one of the points.

    Args:
        model: inputs -> logits first.
        batches: rows of one floating-point tensor; labels are not needed.
        radius: of the Euclidean ball, in units of the input; points outside [0, 1] are kept.
        samples: points per row, the input among them.
        steps: rounds of power iteration at each point.
        alpha: intervals over the rows cover with probability at least 1 - alpha.
        seed: of points and directions.
        name: prefix of the readings.

    Raises:
        ConfigError: for a negative radius or less than one sample or step.
        Unsupported: if the inputs are not one floating-point tensor.

    Cost: `samples` forward and `samples * (2 * steps + 1)` backward passes per row.
    """
    inside("[0, inf)", name, radius=radius)
    inside("[1, inf]", name, samples=samples, steps=steps)
    one_tensor(batches.x, name, floating=True)
    parts = [torch.empty(0, dtype=torch.float64)]
    with quiet(model):
        for batch in batches:
            if not isinstance(batch.x, Tensor):
                continue
            dice = Dice(seed, batch.index, name)
            best = batch.x.new_zeros(len(batch.x))
            for sample in range(samples):
                x = batch.x if sample == 0 else _near(batch.x, radius, dice)
                start = dice.normal(x.shape[1:], device=x.device, dtype=x.dtype)
                slope = jacobian_norm(lambda z: logits(model(z)), x, start, steps=steps)
                best = torch.maximum(best, slope)
            parts.append(best.double().cpu())
    return LocalLipschitz(torch.cat(parts), name, alpha, seed)


def _near(x: Tensor, radius: float, dice: Dice) -> Tensor:
    """A point drawn evenly from the ball around each row."""
    way = dice.normal(x.shape[1:], device=x.device, dtype=x.dtype)
    length = way.flatten(1).norm(dim=1).clamp(min=1e-12)
    share = dice.uniform(device=x.device, dtype=x.dtype) ** (1 / max(x[0].numel(), 1))
    return x + fit(radius * share / length, x) * way
