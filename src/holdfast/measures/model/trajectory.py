"""How far and how evenly features move when inputs are changed more and more."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.core.fields import Part
from holdfast.core.inputs import one_tensor, some_rows
from holdfast.core.kinds import Model, Threat
from holdfast.core.records import Better, Reading
from holdfast.measures.model.paths import Alteration, trajectories
from holdfast.run.reading import average

MOST = 1000  # rows between which distances are averaged


@dataclass(frozen=True, eq=False)
class RMQM:
    """The quality of a representation's paths under growing changes.

    Args:
        step: `(B,)` mean length of a step.
        variation: `(B,)` mean relative change from one step to the next.
        distance: `(B,)` length of the whole path.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of draws and bootstrap.
    """

    step: Tensor
    variation: Tensor
    distance: Tensor
    name: str = "rmqm"
    alpha: float = 0.05
    seed: int = 0

    @property
    def score(self) -> Tensor:
        """`(B,)`: mean step over one plus the variation."""
        return self.step / (1 + self.variation)

    def readings(self) -> tuple[Reading, ...]:
        """The score and what it is made of, each as a mean over the rows."""

        def mean(word: str, values: Tensor, better: Better, unit: str) -> Reading:
            return average(f"{self.name}.{word}", values, better=better, unit=unit,
                           alpha=self.alpha, seed=self.seed)  # fmt: skip

        length = "mean distances of features"
        return (
            mean("score", self.score, "higher", length),
            mean("step", self.step, "neither", length),
            mean("variation", self.variation, "lower", "relative change"),
            mean("distance", self.distance, "neither", length),
        )


def path_quality(
    paths: Tensor,
    *,
    normalize: bool = True,
    name: str = "rmqm",
    alpha: float = 0.05,
    seed: int = 0,
) -> RMQM:
    """Steps and their variation along given paths.

    Args:
        paths: `(N, L + 1, D)`, L >= 1.
        normalize: divide by the mean distance of the paths' beginnings, so that another scale of
            the features changes nothing.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the bootstrap.

    Raises:
        ShapeError: unless there are rows and steps; two different rows, to normalise.
    """
    if paths.dim() != 3 or len(paths) < 1 + normalize or paths.shape[1] < 2:
        raise ShapeError(
            f"{name}: paths must be (rows, steps, features) of {1 + normalize} rows and "
            f"two steps or more, got {tuple(paths.shape)}",
            fix="Give more rows, and two points or more of every path.",
        )
    paths = paths.double()
    if normalize:
        spread = torch.pdist(paths[:: -(-len(paths) // MOST), 0]).mean()
        if not float(spread) > 0:
            raise ShapeError(
                f"{name}: all rows have the same features",
                fix="Give rows whose features differ, or normalize=False.",
            )
        paths = paths / spread
    steps = (paths[:, 1:] - paths[:, :-1]).norm(dim=2)
    change = (steps[:, 1:] - steps[:, :-1]).abs() / (steps[:, :-1] + 1e-12)
    variation = change.mean(1) if change.shape[1] else torch.zeros(len(steps)).double()
    return RMQM(steps.mean(1), variation.to(steps), steps.sum(1), name, alpha, seed)


@register("measure", cites="rmqm")
def rmqm(
    model: Model,
    batches: Batches,
    *,
    threat: Part[Threat] = "threat:linf",
    alteration: Alteration = "noise",
    levels: int = 10,
    steps: int = 3,
    normalize: bool = True,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "rmqm",
) -> RMQM:
    """How far and how evenly features move when inputs are changed more and more.

    Large, even steps score high: mean step / (1 + mean relative change between steps). The path
    of a linear encoder under noise has equal steps, hence no variation, whatever the threat.

    Args:
        model: an encoder, inputs -> features first; for the features before the last layer pass
            that part of a model.
        batches: rows of one tensor of inputs; labels are not needed.
        threat: the largest changes.
        alteration: `noise`, a draw from the threat gone straight to; or `climb`, away from the
            clean features by gradient, without labels.
        levels: of growing change.
        steps: of ascent per level, for `climb`.
        normalize: in units of the mean distance between clean features.
        alpha: intervals over the rows aim at a coverage of 1 - alpha.
        seed: of the draws.
        name: prefix of the readings.

    Raises:
        ConfigError: for less than one level or step.
        ShapeError: for less than two rows with different features.
        Unsupported: if the inputs are not one floating-point tensor.

    Cost: see `trajectories`.

    Unlike the paper, of whose formula only the two directions are certain here: the combination
    is ours, and its two ingredients are always reported beside it. Noise is drawn from the
    threat, so that no clipping bends its way.
    """
    one_tensor(batches.x, name, floating=True)
    some_rows(batches, name)
    kind = resolve(threat)
    parts = [
        trajectories(model, batch.x, kind, alteration=alteration, levels=levels, steps=steps,
                     dice=Dice(seed, batch.index, name))
        for batch in batches if isinstance(batch.x, Tensor)
    ]  # fmt: skip
    return path_quality(torch.cat(parts).cpu(), normalize=normalize, name=name, alpha=alpha,
                        seed=seed)  # fmt: skip
