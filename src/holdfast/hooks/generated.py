"""Batches of which an exact share is made by a generator, for the same labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Ingredient, Share, ingredient, settings
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Hook, Run

Generator = Callable[[Tensor, Dice], Tensor]  # labels and dice -> inputs


def corners(labels: Tensor, dice: Dice) -> Tensor:
    """Rows of four numbers near a corner per label: the generator of the laws."""
    return torch.nn.functional.one_hot(labels.clamp(min=0), 4) + 0.1 * dice.normal((4,))


@register("hook", cites="generated-robustness", says="Makes a share of each batch by a generator.")
@settings
class Generated(Hook):
    """In every batch an exact share of the rows is replaced by generated ones of the same labels.

    The number of steps stays that of training on real rows alone, so what is compared is the
    data. The rows replaced are the last of each batch, whose order is drawn anew every epoch; at
    amount 0 batches are untouched, at 1 nothing real is left but the labels.

    Args:
        generator: (labels, dice) -> inputs of the same form as the real ones.
        amount: share of each batch, rounded to whole rows.
    """

    neutral: ClassVar[dict[str, Any]] = {"amount": 0.0}

    generator: Ingredient[Generator] = ingredient()
    amount: Share = 0.5

    @classmethod
    def example(cls, world: Any) -> Generated:
        """With rows near corners, for the laws."""
        return cls(generator=corners)

    def batch(self, run: Run, batch: Batch) -> Batch:
        if self.generator is None:
            raise ConfigError("Generated needs a generator", fix="Pass generator=function.")
        count = round(self.amount * len(batch.index))
        if not count:
            return batch
        x = one_tensor(batch.x, "Generated")
        rows = torch.arange(len(batch.index) - count, len(batch.index))
        dice = run.dice.spawn("generated").part(rows)
        made = self.generator(batch.y[rows], dice).to(x)
        x = x.clone()
        x[rows] = made.reshape(x[rows].shape)
        return batch._replace(x=x)


@dataclass(frozen=True, eq=False)
class ClassGaussian:
    """A generator that draws from one normal distribution per class.

    Args:
        means: `(K, d)`.
        roots: `(K, d, r)`; covariances are their squares.
        shape: of an input.
    """

    means: Tensor
    roots: Tensor
    shape: tuple[int, ...]

    @classmethod
    def fit(cls, batches: Batches, *, rank: int = 20) -> ClassGaussian:
        """Mean and leading directions of every class.

        Args:
            batches: labelled rows of one tensor.
            rank: directions per class.

        Raises:
            Unsupported: if inputs are not one tensor, or a class has less than two rows.
        """
        x = one_tensor(batches.x, "ClassGaussian")
        flat, means, roots = x.double().flatten(1), [], []
        for label in range(int(batches.y.max()) + 1):
            own = flat[batches.y == label]
            if len(own) < 2:
                raise Unsupported(
                    f"ClassGaussian: class {label} has {len(own)} rows, needs two",
                    fix="Give more rows of this class, or leave it out.",
                )
            means.append(own.mean(0))
            _, power, right = torch.linalg.svd(own - means[-1], full_matrices=False)
            root = torch.zeros(flat.shape[1], rank, dtype=torch.float64)
            kept = min(rank, len(power))
            root[:, :kept] = (right[:kept] * power[:kept, None]).T / (len(own) - 1) ** 0.5
            roots.append(root)
        return cls(torch.stack(means), torch.stack(roots), tuple(x.shape[1:]))

    def __call__(self, labels: Tensor, dice: Dice) -> Tensor:
        """`(B, ...)` inputs in [0, 1]."""
        z = dice.normal((self.roots.shape[2],), dtype=torch.float64)
        x = self.means[labels] + (self.roots[labels] @ z[:, :, None]).squeeze(2)
        return x.clamp(0, 1).reshape(-1, *self.shape)
