"""Rows of a second data set, handed out by label, and labels for rows that have none."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import logits
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet


def pseudo_labelled(model: Model, batches: Batches, share: float = 1.0) -> Batches:
    """Rows with the answers of a model as labels; of each class the surest ones.

    Args:
        model: inputs -> logits, trained on labelled rows.
        batches: rows whose labels are not looked at.
        share: of the rows of each class that is kept, at least one.
    """
    with quiet(model), torch.no_grad():
        if hasattr(model, "eval"):
            model.eval()
        p = torch.cat([logits(model(b.x)).softmax(-1).cpu() for b in batches])
    sure, y = p.max(1)
    kept = []
    for label in y.unique().tolist():
        own = (y == label).nonzero().flatten()
        count = max(round(share * len(own)), 1)
        kept.append(own[sure[own].argsort(descending=True, stable=True)[:count]])
    index = torch.cat(kept).sort().values
    return replace(batches, y=y.to(batches.y.device)).take(index)


@dataclass(frozen=True, eq=False)
class Pool:
    """A generator for `hook:generated` that draws from rows made beforehand.

    Each row of a label is as likely as any other, and labels are those of the real rows they
    stand beside, so that classes stay balanced however many rows of each there are.

    Args:
        x: inputs, rows of one label side by side.
        start: `(K,)` where the rows of each label begin.
        count: `(K,)` how many there are.
    """

    x: Tensor
    start: Tensor
    count: Tensor

    @classmethod
    def of(cls, batches: Batches) -> Pool:
        """From labelled rows of one tensor.

        Raises:
            Unsupported: for other inputs, or if a label up to the largest has no row.
        """
        x = one_tensor(batches.x, "Pool")
        count = torch.bincount(batches.y[batches.y >= 0])
        if not len(count) or bool((count == 0).any()):
            raise Unsupported(
                f"Pool: {int((count == 0).sum())} of {len(count)} labels have no row",
                fix="Give a row of every class from 0 to the largest label.",
            )
        order = batches.y.argsort(stable=True)
        order = order[int((batches.y < 0).sum()) :]
        return cls(x[order], count.cumsum(0) - count, count)

    def __call__(self, labels: Tensor, dice: Dice) -> Tensor:
        """`(B, ...)`: a row of each label."""
        y = labels.to(self.count.device).clamp(min=0)
        u = dice.uniform(device=y.device, dtype=torch.float64)
        place = (u * self.count[y]).long().minimum(self.count[y] - 1)
        return self.x[self.start[y] + place]
