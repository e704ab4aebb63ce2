"""Laws of objectives: one loss per row, and nothing left behind."""

from __future__ import annotations

import torch
from torch import nn

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.kinds import Objective
from holdfast.run.training import TrainingRun
from holdfast.testing.laws import LawBroken
from holdfast.testing.traces import state_of

ROWS = 6


def world(norm: bool = False) -> tuple[nn.Sequential, Batch]:
    """A small net in training mode and a batch of flat inputs."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        middle = [nn.BatchNorm1d(8)] if norm else []
        model = nn.Sequential(nn.Linear(4, 8), *middle, nn.ReLU(), nn.Linear(8, 3)).double()
    x = torch.rand(ROWS, 4, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    return model.train(), Batch(x, torch.arange(ROWS) % 3, 10 + torch.arange(ROWS))


def losses_of(objective: Objective, model: nn.Module, batch: Batch) -> torch.Tensor:
    """The losses in a run of their own, with dice of the rows' positions."""
    run = TrainingRun(model, nn.ModuleDict(), Dice(0, batch.index), 1)
    more = objective.parts(model) if hasattr(objective, "parts") else None
    if more is not None:
        run.parts["objective"] = more
    run.own([objective])
    return objective(run, batch)


def law_one_finite_loss_per_row(objective: Objective) -> None:
    """`(B,)`, finite, with a gradient to the weights."""
    model, batch = world()
    losses = losses_of(objective, model, batch)
    if losses.shape != (ROWS,) or not bool(losses.isfinite().all()):
        raise LawBroken(f"{objective}: not one finite loss per row")
    losses.mean().backward()
    if not any(p.grad is not None and bool((p.grad != 0).any()) for p in model.parameters()):
        raise LawBroken(f"{objective}: no gradient reaches the weights")


def law_same_dice_same_losses(objective: Objective) -> None:
    """The same dice give the same losses, and the global random state stays."""
    model, batch = world()
    before = torch.get_rng_state()
    first, again = losses_of(objective, model, batch), losses_of(objective, model, batch)
    if not torch.equal(first, again):
        raise LawBroken(f"{objective}: the same dice give other losses")
    if not torch.equal(before, torch.get_rng_state()):
        raise LawBroken(f"{objective}: changes the global random state")


def law_leaves_weights_modes_and_gradients(objective: Objective) -> None:
    """Weights, modes, flags and gradients are as before; only the loop changes a model."""
    model, batch = world(norm=True)
    model[2].eval()
    before = state_of(model)
    losses_of(objective, model, batch)
    after = state_of(model)
    # One pass of the batch in training mode is the loop's business: it moves the statistics.
    moved = [k for k, v in before.items() if after[k] != v and not k.startswith("buffers")]
    if moved:
        raise LawBroken(f"{objective}: changes {moved[0]}")


def law_rows_are_independent(objective: Objective) -> None:
    """Without layers that look at the batch, a row's loss does not depend on other rows."""
    if getattr(objective, "coupled", False):
        return
    model, batch = world()
    whole = losses_of(objective, model, batch)
    part = losses_of(objective, model, batch.take(torch.tensor([4, 1])))
    if not torch.allclose(whole[[4, 1]], part, atol=1e-9):
        raise LawBroken(f"{objective}: a row's loss depends on other rows")
