"""Laws of losses: one number per target, whatever the other targets are."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.kinds import Loss
from holdfast.testing.laws import LawBroken


def _world(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Logits of twelve rows and five classes, and their labels."""
    g = torch.Generator().manual_seed(11)
    outputs = 3 * torch.randn(12, 5, generator=g, dtype=torch.float64)
    return outputs.to(dtype), torch.randint(5, (12,), generator=g)


def law_one_finite_number_per_target(loss: Loss) -> None:
    """Finite, of the shape of the target, for rows and for positions, however large the logits."""
    outputs, y = _world()
    for scale in (1.0, 1e4):
        for shape in ((12,), (3, 4)):
            values = loss(scale * outputs.reshape(*shape, 5), y.reshape(shape))
            if values.shape != shape or not bool(values.isfinite().all()):
                raise LawBroken(f"{loss}: not one finite number per target")


def law_unlabelled_is_zero(loss: Loss) -> None:
    """0 at -100, and no gradient from there."""
    outputs, y = _world()
    z = outputs.requires_grad_()
    values = loss(z, y.index_fill(0, torch.tensor([1, 4]), -100))
    (slope,) = torch.autograd.grad(values.sum(), z)
    if bool((values[[1, 4]] != 0).any()) or bool((slope[[1, 4]] != 0).any()):
        raise LawBroken(f"{loss}: a target without a label counts")
    if not bool((slope[[0, 2, 3]] != 0).any()):
        raise LawBroken(f"{loss}: labelled targets pull nothing")


def law_rows_are_independent(loss: Loss) -> None:
    """A row's loss does not depend on the other rows."""
    outputs, y = _world()
    alone = torch.cat([loss(outputs[i : i + 1], y[i : i + 1]) for i in range(12)])
    if not torch.allclose(loss(outputs, y), alone, atol=1e-12):
        raise LawBroken(f"{loss}: a row's loss depends on other rows")


def law_type_is_kept(loss: Loss) -> None:
    """The type of the outputs is the type of the loss."""
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        if loss(*_world(dtype)).dtype != dtype:
            raise LawBroken(f"{loss}: {dtype} outputs give {loss(*_world(dtype)).dtype}")


def law_the_label_itself_costs_least(loss: Loss) -> None:
    """A model that is sure of the label loses less than one that is sure of another."""
    y = torch.arange(5)
    sure = 8 * torch.eye(5, dtype=torch.float64)
    if not bool((loss(sure, y) < loss(sure, y.roll(1))).all()):
        raise LawBroken(f"{loss}: being right costs more than being wrong")


def law_no_rows_work(loss: Loss) -> None:
    """No rows in, no numbers out."""
    outputs, y = _world()
    if loss(outputs[:0], y[:0]).shape != (0,):
        raise LawBroken(f"{loss}: fails without rows")
