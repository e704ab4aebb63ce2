"""Slopes of every class shall point to where that class lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Ingredient, Natural, ingredient, settings
from holdfast.core.goal import logits
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Objective, Run
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.penalized import leaf, slope

Ways = Callable[[Tensor, Tensor, Dice], Tensor]  # inputs, classes, dice -> directions


def _by_class(batches: Batches) -> list[Tensor]:
    """The rows of each class.

    Raises:
        Unsupported: if inputs are not one tensor, or a class has no row.
    """
    x = one_tensor(batches.x, "ways to classes")
    found = [x[batches.y == c] for c in range(int(batches.y.max()) + 1)]
    if empty := [c for c, rows in enumerate(found) if not len(rows)]:
        raise Unsupported(
            f"ways to classes: class {empty[0]} has no row",
            fix="Give rows of every class from 0 to the largest label.",
        )
    return found


@dataclass(frozen=True, eq=False)
class ToMean:
    """From a row to the mean of a class.

    Args:
        means: `(K, ...)`.
    """

    means: Tensor

    @classmethod
    def fit(cls, batches: Batches) -> ToMean:
        """The means of the classes of a data set."""
        return cls(torch.stack([rows.mean(0) for rows in _by_class(batches)]))

    def __call__(self, x: Tensor, classes: Tensor, dice: Dice) -> Tensor:
        """Directions like x."""
        return self.means.to(x)[classes] - x


@dataclass(frozen=True, eq=False)
class ToRow:
    """From a row to the nearest row of a class, or to one that is drawn.

    Args:
        rows: by class.
        nearest: in Euclidean distance; else drawn.
    """

    rows: list[Tensor]
    nearest: bool = True

    @classmethod
    def fit(cls, batches: Batches, *, nearest: bool = True) -> ToRow:
        """The rows of a data set by their classes."""
        return cls(_by_class(batches), nearest)

    def __call__(self, x: Tensor, classes: Tensor, dice: Dice) -> Tensor:
        """Directions like x; a row is no neighbour of itself."""
        chance, out = dice.uniform(device=x.device), torch.empty_like(x)
        for c in classes.unique().tolist():
            own, mine = self.rows[c].to(x), classes == c
            if self.nearest:
                apart = torch.cdist(x[mine].flatten(1), own.flatten(1))
                which = apart.masked_fill(apart < 1e-6, torch.inf).argmin(1)
            else:
                which = (chance[mine] * len(own)).long()
            out[mine] = own[which] - x[mine]
        return out


@register(
    "objective", cites="pag-training", name="perceptual-gradients",
    says="How far slopes point away from where each class lies.",
)  # fmt: skip
@settings
class PerceptualGradients(Objective):
    """One minus the cosine between the slope towards a class and the way there: a penalty.

    The slope is that of the logarithm of a class's probability in the input, the way is given from
    outside: to the mean of the class, to its nearest row, to a drawn one, or what a generative
    model says. A net whose slopes point to other classes can be turned only by changes that look
    like them; no attack is needed in training. As the penalty of `objective:penalized`; rows
    without a label count too.

    Cost: one forward pass and one backward pass per target, and the pass through those.

    Args:
        ways: (inputs, classes, dice) -> directions, such as `ToMean.fit(data)`.
        targets: classes drawn per row; 0 takes all of them.

    Raises:
        ConfigError: without ways.
    """

    ways: Ingredient[Ways] = ingredient()
    targets: Natural = 0

    @classmethod
    def example(cls, world: Any) -> PerceptualGradients:
        """Towards three drawn points, for the laws."""
        g = torch.Generator().manual_seed(1)
        return cls(ways=ToMean(torch.rand(3, 4, generator=g, dtype=torch.float64)))

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        if self.ways is None:
            raise ConfigError(
                "PerceptualGradients needs ways to the classes", fix="Pass ways=ToMean.fit(data)."
            )
        dice, x = run.dice.spawn("ways"), leaf(tensor_of(batch))
        logp = logits(run.model(x)).log_softmax(-1)
        count = logp.shape[1]
        if self.targets:
            classes = dice.integers(count, (self.targets,), device=x.device)
        else:
            classes = torch.arange(count, device=x.device).expand(len(x), count)
        apart = []
        for target in classes.unbind(1):
            steep = slope(logp.gather(1, target[:, None]).squeeze(1), x)
            way = self.ways(x.detach(), target, dice).flatten(1)
            apart.append(1 - F.cosine_similarity(steep, way, dim=1, eps=1e-8))
        return torch.stack(apart).mean(0)
