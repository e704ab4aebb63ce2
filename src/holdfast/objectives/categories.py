"""Training against costly changes of categorical columns, made soft."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.errors import ShapeError
from holdfast.core.fields import (
    Count,
    Ingredient,
    NonNegative,
    Part,
    Positive,
    ingredient,
    settings,
)
from holdfast.core.goal import logits
from holdfast.core.kinds import Loss, Objective, Run
from holdfast.core.quiet import quiet
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.adversary import LargestLoss, goal_of
from holdfast.objectives.supervised import per_row
from holdfast.ops.budgets import onto_budget


@register("objective", cites="universal-robust-embeddings", name="categorical-at")
@settings
class CategoricalTraining(Objective):
    """The loss at the worst shares of values that a budget of costs can buy.

    Inputs are shares `(B, L, T)` of the T values of each column, one of them 1; moving mass from
    one value to others costs what that exchange costs, times the mass. That makes the discrete
    threat (`threat:categories`) convex: ascent moves along the gradient and is projected back onto
    the simplices and the budget, exactly. Whatever the discrete adversary can do is inside.

    As the objective of a `Turn` that owns an embedding of values, while the main objective fits
    the net on clean rows, it teaches an embedding in which values that are exchanged cheaply lie
    close: one that keeps other models from seeing the exchange too.

    Other inputs count as one block per last axis, whose sum is kept.

    Unlike the paper: all rows are attacked, whatever their class.

    Cost per batch: `steps + 1` forward and backward passes.

    Args:
        budget: largest cost per row.
        steps: of the ascent.
        rate: length of a step, in units of mass.
        loss: between outputs and labels.
        costs: `(L, T, T)`: of putting one value in the place of another; 1 without it.
    """

    budget: NonNegative = 1.0
    steps: Count = 5
    rate: Positive = 0.5
    loss: Part[Loss] = "loss:cross-entropy"
    costs: Ingredient[Tensor] = ingredient()

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x = tensor_of(batch)
        changed = self.worst(run, x, batch.y) if self.budget else x
        return per_row(resolve(self.loss)(logits(run.model(changed)), batch.y), batch.y)

    def worst(self, run: Run, x: Tensor, y: Tensor) -> Tensor:
        """Shares of values, as `x`, at which the loss is large.

        Raises:
            ShapeError: if costs and inputs do not fit.
        """
        blocks = x.reshape(len(x), -1, x.shape[-1])
        mass, cost = blocks.sum(2), self._cost(blocks)
        base = (blocks * cost.masked_fill(cost.isinf(), 0.0)).flatten(1).sum(1)
        goal, now = LargestLoss(goal_of(y)), blocks
        with quiet(run.model), torch.enable_grad():
            run.model.eval()
            for _ in range(self.steps):
                u = now.detach().requires_grad_()
                high = goal.soft(logits(run.model(u.reshape(x.shape)))).sum()
                (slope,) = torch.autograd.grad(high, u)
                length = slope.flatten(1).norm(dim=1).clamp(min=1e-30)[:, None, None]
                now = onto_budget(u + self.rate * slope / length, mass, cost, base + self.budget)
        return now.detach().reshape(x.shape)

    def _cost(self, blocks: Tensor) -> Tensor:
        """`(B, L, T)`: cost of a unit of mass that arrives at each value."""
        columns, values = blocks.shape[1:]
        if self.costs is None:
            table = (1 - torch.eye(values)).expand(columns, values, values)
        elif tuple(self.costs.shape) != (columns, values, values):
            raise ShapeError(
                f"categorical-at: costs have the shape {tuple(self.costs.shape)}, inputs "
                f"{columns} columns of {values} values",
                fix="Give costs (L, T, T) and inputs (B, L, T) as shares of values.",
            )
        else:
            table = self.costs
        share = blocks / blocks.sum(2, keepdim=True).clamp(min=1e-30)
        barred = torch.einsum("bls,lst->blt", share, table.isinf().to(share)) > 0
        finite = table.masked_fill(table.isinf(), 0.0).to(share)
        return torch.einsum("bls,lst->blt", share, finite).masked_fill(barred, torch.inf)
