"""How far inputs can be changed, towards quite other ones, before a model notices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.inputs import one_tensor, some_rows
from holdfast.core.kinds import Model
from holdfast.core.ranges import inside
from holdfast.core.records import Better, Reading
from holdfast.measures.model.level_set import Walk, traverse
from holdfast.measures.model.star import Star, star
from holdfast.run.forward import correct, outputs
from holdfast.run.reading import average


@dataclass(frozen=True, eq=False)
class BlindSpots:
    """Walks from rows of one class to rows of another that keep the confidence.

    Args:
        rows: `(B,)` positions of the sources in the data set.
        walks: two walks of every source, to two targets.
        stars: the triangle between each source and the ends of its walks.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of all draws.
    """

    rows: Tensor
    walks: tuple[Walk, Walk]
    stars: Star
    name: str
    alpha: float
    seed: int

    def readings(self) -> tuple[Reading, ...]:
        """Way that is left, largest change, confidence at the ends and on the triangle."""

        def mean(word: str, values: Tensor, better: Better, unit: str = "share") -> Reading:
            return average(f"{self.name}.{word}", values, better=better, unit=unit,
                           alpha=self.alpha, seed=self.seed)  # fmt: skip

        left = torch.stack([w.left for w in self.walks]).mean(0)
        lost = torch.stack([w.start - w.confidence for w in self.walks]).mean(0)
        return (
            mean("left", left, "higher", "share of the distance to the target"),
            mean("lost", lost, "neither", "confidence"),
            mean("triangle", self.stars.mean, "neither", "confidence"),
            mean("edge", self.stars.edge_least.amin(0), "neither", "least confidence"),
        )


@register("measure", cites="level-set-traversal")
def blind_spots(
    model: Model,
    batches: Batches,
    *,
    rows: int = 64,
    steps: int = 100,
    step_size: float = 0.05,
    correction: float = 1 / 255,
    drop: float = 0.05,
    sure: float = 0.6,
    grid: int = 10,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "blind-spots",
) -> BlindSpots:
    """Walks from each input to two of other classes without losing confidence.

    A model that keeps its answer and its confidence on something that looks like another class
    is blind to that change: the counterpart of an adversarial example. The less of the way is
    left, the blinder. Straight ways from the source to both ends and the triangle between them
    say whether such inputs form one region around the source.

    Args:
        model: inputs -> logits first.
        batches: labelled rows of one tensor of inputs in [0, 1].
        rows: at most so many sources, drawn once among those that are right.
        steps: of each walk.
        step_size: share of the remaining way per step.
        correction: bound of the correction of a coordinate, in the unit of the inputs.
        drop: confidence that a walk may lose.
        sure: least confidence of a target in its own class.
        grid: points per edge of the triangle, less one.
        alpha: intervals over the rows aim at a coverage of 1 - alpha.
        seed: of all draws.
        name: prefix of the readings.

    Raises:
        ConfigError: for less than one row or step.
        ShapeError: without rows.
        Unsupported: if no row is right, or none of another class is sure enough to be a target.

    Cost: per source two walks of `steps` forward and backward passes, and `(grid + 1)(grid + 2)
    / 2` forwards; one forward per row of the data.

    Unlike the paper: distances are Euclidean; no learned image distance is reported.
    """
    inside("[1, inf]", name, rows=rows, grid=grid)
    x, y = one_tensor(batches.x, name), batches.y
    some_rows(y, name)
    z = outputs(model, x)
    right = correct(z, y.cpu()) & (y.cpu() >= 0)
    order = torch.randperm(len(y), generator=Dice.of(0, seed).generator(name))
    own = order[right[order]][:rows].sort().values
    goal = right & (z.double().softmax(1).amax(1) > sure)
    open_to = goal[None] & (y.cpu()[own][:, None] != y.cpu()[None])
    own, open_to = own[open_to.any(1)], open_to[open_to.any(1)]
    if not len(own):
        raise Unsupported(
            f"{name}: no row is right with a target of another class",
            fix="Give rows of two classes or more that the model gets right.",
        )
    dice = Dice(seed, batches.index.cpu()[own], name)
    draw = dice.uniform((len(y),)).masked_fill(~open_to, -1.0)
    first = draw.argmax(1)
    again = draw.scatter(1, first[:, None], -0.5)  # the same one only where there is no other
    second = again.argmax(1)
    source, label = x[own.to(x.device)], y.to(x.device)[own.to(x.device)]
    walks = tuple(
        traverse(model, source, x[t.to(x.device)], label, steps=steps, step_size=step_size,
                 correction=correction, drop=drop, dice=dice.spawn(word))
        for word, t in (("a", first), ("b", second))
    )  # fmt: skip
    seen = star(model, source, walks[0].x, walks[1].x, label, grid=grid)
    return BlindSpots(batches.index.cpu()[own], (walks[0], walks[1]), seen, name, alpha, seed)
