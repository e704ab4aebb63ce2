"""Learning the way from one class to another, along optimal transport."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.fields import Count, NonNegative, Part, settings
from holdfast.core.goal import logits
from holdfast.core.inputs import one_label_each
from holdfast.core.kinds import Loss, Objective, Run
from holdfast.objectives.adversarial import tensor_of
from holdfast.ops.transport import between, matching


def partners(x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    """`(B,)`: row of another class that optimal transport gives to each row.

    The classes of the batch are put in a drawn circle, and each is transported to the next.
    Rows without a label, and those of a batch with a single class, are their own partners.

    Args:
        x: `(B, ...)` inputs.
        y: `(B,)` labels.
        generator: draws the circle.
    """
    found = torch.arange(len(y), device=y.device)
    classes = y[y != UNLABELLED].unique()
    circle = classes[torch.randperm(len(classes), generator=generator).to(classes.device)]
    for here, there in zip(circle, circle.roll(-1), strict=True):
        mine, theirs = (y == here).nonzero()[:, 0], (y == there).nonzero()[:, 0]
        if here != there:
            found[mine] = theirs[matching(x[mine], x[theirs])]
    return found


@register(
    "objective", cites="wasserstein-geodesic-augmentation", name="geodesic",
    says="The loss on the shortest way between the rows of two classes, and its ups and downs.",
)  # fmt: skip
@settings
class Geodesic(Objective):
    """The loss on points between classes that optimal transport pairs, and how it varies there.

    The rows of each class of a batch are matched with those of another one at the least sum of
    squared distances. On the straight ways between partners lie the interpolations of the two
    clouds, with labels in the shares of the way: nearer to the data than between random pairs. One
    place is taken per batch: drawn, or the one with the largest mean loss. `smooth` is the price
    of the total variation of the mean loss along the way. As the penalty of `objective:penalized`.

    Unlike the paper, which does not print them: distances are between inputs, classes are
    paired in a drawn circle, and the variation is that of differences on a grid.

    Cost: `places + 1` forward passes, one with neither a grid nor a price; matching n rows takes
    n^3 steps on the CPU.

    Args:
        t: the place on the way is `uniform`, or the `worst` of the grid.
        places: pieces of the grid.
        smooth: price of the variation.
        loss: between outputs and label shares.

    Raises:
        Unsupported: unless every row has one label.
    """

    coupled: ClassVar[bool] = True

    t: Literal["uniform", "worst"] = "uniform"
    places: Count = 5
    smooth: NonNegative = 0.1
    loss: Part[Loss] = "loss:cross-entropy"

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, y, dice = tensor_of(batch), batch.y, run.dice.spawn("geodesic")
        one_label_each(y, "Geodesic")
        partner = partners(x, y, dice.generator("circle"))
        drawn = float(torch.rand((), generator=dice.generator("t")))
        if self.t == "uniform" and not self.smooth:
            return self._at(run, x, y, partner, drawn)
        grid = torch.stack(
            [self._at(run, x, y, partner, k / self.places) for k in range(self.places + 1)]
        )
        mean = grid.mean(1)
        varies = (mean[1:] - mean[:-1]).abs().sum()
        if self.t == "worst":
            own = grid[mean.detach().argmax()]
        else:
            own = self._at(run, x, y, partner, drawn)
        return own + self.smooth * varies

    def _at(self, run: Run, x: Tensor, y: Tensor, partner: Tensor, t: float) -> Tensor:
        """`(B,)` losses at a share t of the ways, 0 for rows without a label."""
        z = logits(run.model(between(x, x[partner], t)))
        known = (y != UNLABELLED).to(z)[:, None]
        shares = known * F.one_hot(y.clamp(min=0), z.shape[1])
        return resolve(self.loss)(z, between(shares, shares[partner], t))
