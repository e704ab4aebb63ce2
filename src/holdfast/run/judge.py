"""The judge's word on one chunk of rows: attacked, projected, evaluated."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.errors import ShapeError
from holdfast.core.goal import Goal, Outputs, logits
from holdfast.core.kinds import Access, Attack, Model
from holdfast.ops.batch import pick
from holdfast.run.keeper import Piece
from holdfast.run.passes import Tap
from holdfast.run.pieces import Job


def judged(goal: Goal, outputs: Outputs) -> tuple[Tensor, Tensor]:
    """The margin of each row and whether its outputs are finite; the margin is +inf if not."""
    return finite(goal(outputs).detach(), outputs)


def finite(margin: Tensor, outputs: Outputs) -> tuple[Tensor, Tensor]:
    """Margins as they count, +inf where outputs are not finite, and whether they are."""
    void = _void(outputs)
    return _shown(margin, void), void == 0


def counted(margin: Tensor, outputs: Outputs) -> Tensor:
    """Margins as they count, +inf where outputs are not finite."""
    return _shown(margin, _void(outputs))


def _void(outputs: Outputs) -> Tensor:
    """`(B,)`: 0, or NaN where an output is not finite."""
    return (logits(outputs).detach().flatten(1) * 0).sum(1)


def _shown(margin: Tensor, void: Tensor) -> Tensor:
    return (margin + void.to(margin)).nan_to_num_(torch.inf, torch.inf, -torch.inf)


def worked(attack: Attack, model: Model, name: str, job: Job) -> Piece:
    """One chunk: attack it, project, evaluate.

    Args:
        attack: what looks for changes; it sees only what its access allows.
        model: inputs -> logits first.
        name: of the attack, which the names of its stages begin with.
        job: the rows.

    Raises:
        ShapeError: if the attack returns something that is not a change of every row.
    """
    x, goal, threat, dice = job
    tap = Tap(model, attack.access, name)
    tap.enter("", len(x))
    with torch.set_grad_enabled(attack.access is Access.GRADIENT):
        raw = attack(tap, x.clone(), goal, threat, dice=dice)
    none = threat.none(x)
    if not isinstance(raw, Tensor) or raw.shape != none.shape or raw.is_complex():
        shape = f"{raw.dtype} {tuple(raw.shape)}" if isinstance(raw, Tensor) else type(raw).__name__
        raise ShapeError(
            f"{type(attack).__name__} returned {shape} where changes {tuple(none.shape)} belong",
            fix="Return one change per row, as threat.none(x) does.",
        )
    with torch.no_grad():
        raw = raw.detach().to(none)
        whole = raw.flatten(1).isfinite().all(1)
        change = threat.project(x, pick(whole, raw, none))
        tap.access = Access.SCORE
        tap.enter("judged", 0)
        margin, finite = judged(goal, threat.through(tap, x, change))
    stages = tuple(tap.stages())
    return Piece(change, margin, finite, tap.passes, stages, tuple(tap.breaker(len(x))))
