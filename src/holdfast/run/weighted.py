"""The numbers whose mean a backward pass minimises: losses, shares, penalties, all in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from holdfast.core.data import Batch
from holdfast.core.errors import ShapeError
from holdfast.core.kinds import Hook, Objective, Run
from holdfast.run.scaler import Precision, Scaler, casting
from holdfast.run.walk import those_with

NOTHING = nullcontext()


class Weighted:
    """An objective as the loop minimises it, so that a backward pass only has to take the mean.

    Row i counts `share_i * loss_i` plus the penalties of the layers, times the share of the
    whole step that this batch is (accumulated batches and other processes have the rest), times
    the factor of half precision. Half-precision losses are continued in float32.

    `total` and `rows` add up the plain losses, for the history; `value` is what is minimised,
    for optimizers that search along a line.

    Args:
        objective: one loss per row.
        precision: of the forward pass.
        hooks: asked for losses and shares.
        scaler: holds the factor.
        step_rows: rows of the whole step, over all batches and processes.
        modules: all layers, asked for penalties.
    """

    def __init__(
        self,
        objective: Objective,
        precision: Precision,
        hooks: Sequence[Hook],
        scaler: Scaler,
        step_rows: int,
        modules: Sequence[nn.Module],
    ) -> None:
        self.objective, self.precision, self.hooks = objective, precision, hooks
        self.scaler, self.step_rows, self.modules = scaler, step_rows, modules
        self.total: Tensor | None = None
        self.value: Tensor | None = None
        self.rows = 0

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        with casting(self.precision, batch.index.device):
            losses = self.objective(run, batch)
        if losses.shape != batch.index.shape:
            raise ShapeError(
                f"objective: losses {tuple(losses.shape)} for {len(batch.index)} rows",
                fix="An objective returns one loss per row.",
            )
        if losses.dtype in (torch.float16, torch.bfloat16):
            losses = losses.float()
        for hook in self.hooks:
            losses = hook.losses(run, batch, losses)
        plain, summed = losses, losses.detach().sum()
        self.total = summed if self.total is None else self.total + summed
        rows = batch.index.shape[0]
        self.rows += rows
        for hook in self.hooks:
            share = hook.share(run, batch, losses.detach())
            losses = losses if share is None else share * losses
        for penalty in penalties(self.modules):
            losses = losses + penalty
        summed = summed if losses is plain else losses.detach().sum()
        value = (summed / self.step_rows).double()
        self.value = value if self.value is None else self.value + value
        factor = self.scaler.factor * rows / self.step_rows
        return losses if factor == 1.0 else losses * factor


def penalties(modules: Sequence[nn.Module]) -> list[Tensor]:
    """What the layers add to the loss: `penalty()` of every module that has one."""
    found: list[Any] = [m.penalty for m in those_with(modules, "penalty")]
    return [penalty() for penalty in found if callable(penalty)]


def frozen_statistics(model: nn.Module, frozen: bool) -> AbstractContextManager[None]:
    """Leave the running statistics of normalisation layers as they are, where asked.

    An optimizer that evaluates a step twice must not count its batch twice.
    """
    return _frozen(model) if frozen else NOTHING


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    norms = [m for m in model.modules() if isinstance(m, _NormBase)]
    saved = [(b, b.clone()) for m in norms for b in m.buffers()]
    try:
        yield
    finally:
        for buffer, before in saved:
            buffer.copy_(before)


def alone(model: nn.Module, rows: int) -> AbstractContextManager[None]:
    """Let batch normalisation use its running statistics where a batch has a single row.

    One row has no spread: where a layer sees one number per channel it could only refuse, and
    the last batch of an epoch has one row whenever the size says so.
    """
    return _alone(model) if rows == 1 else NOTHING


@contextmanager
def _alone(model: nn.Module) -> Iterator[None]:
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    lively = [m for m in norms if m.training and m.track_running_stats]
    try:
        for m in lively:
            m.eval()
        yield
    finally:
        for m in lively:
            m.train()
