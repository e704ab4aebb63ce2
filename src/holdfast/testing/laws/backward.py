"""Laws of backward passes: losses come back, gradients stay in `.grad`, added to what was there."""

from __future__ import annotations

import torch
from torch import nn

from holdfast.core.dice import Dice
from holdfast.core.kinds import Backward
from holdfast.objectives.supervised import Supervised
from holdfast.run.training import TrainingRun
from holdfast.testing.laws import LawBroken
from holdfast.testing.laws.objective import ROWS, world


def _after(backward: Backward, times: int) -> tuple[torch.Tensor, nn.Module]:
    model, batch = world()
    run = TrainingRun(model, nn.ModuleDict(), Dice(0, batch.index), 1)
    for _ in range(times):
        losses = backward(run, batch, Supervised())
    return losses, model


def law_returns_losses_without_graph(backward: Backward) -> None:
    """The losses come back, one per row, and hold no graph."""
    losses, _ = _after(backward, 1)
    if losses.shape != (ROWS,) or losses.requires_grad:
        raise LawBroken(f"{backward}: does not return plain losses, one per row")


def law_gradients_add_up(backward: Backward) -> None:
    """Two passes leave twice the gradient of one, so that batches can be accumulated."""
    once, twice = _after(backward, 1)[1], _after(backward, 2)[1]
    for p, q in zip(once.parameters(), twice.parameters(), strict=True):
        if p.grad is None or q.grad is None or not torch.allclose(2 * p.grad, q.grad):
            raise LawBroken(f"{backward}: gradients do not add up")


def law_the_gradient_goes_down(backward: Backward) -> None:
    """A small step against what is left in `.grad` lowers the mean loss."""
    losses, model = _after(backward, 1)
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None:
                p.sub_(1e-3 * p.grad)
    _, batch = world()
    run = TrainingRun(model, nn.ModuleDict(), Dice(0, batch.index), 1)
    if not bool(Supervised()(run, batch).mean() < losses.mean()):
        raise LawBroken(f"{backward}: a step against its gradient does not lower the loss")
