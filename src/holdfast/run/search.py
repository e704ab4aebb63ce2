"""The judge: runs an attack on a model and believes only what it has evaluated itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import ShapeError
from holdfast.core.goal import Goal, Outputs, logits
from holdfast.core.kinds import Access, Attack, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.ops.batch import chunks, pick
from holdfast.run.passes import Passes, Tap

CHUNK = 512  # rows attacked at once unless the plan says otherwise
NEAR = 2**17  # input numbers of a chunk on a CPU: what a layer makes of them stays in its caches
LEAST = 64  # rows below which starting an operation costs more than the caches save


@dataclass(frozen=True, eq=False)
class Found:
    """What an attack found, as evaluated by the judge.

    Args:
        change: the best admissible change of each row, rows first; no change where none helped.
        margin: `(B,)` margin under that change; at least 0 means broken. Where the model gave a
            non-finite output it is +inf: such a row is never robust.
        passes: rows sent forward and back, the judge's own included.
        clean: `(B,)` margin without any change.
        finite: `(B,)` bool, False where an admissible input gave a non-finite output: a failure
            of the model that is reported apart.
    """

    change: Tensor
    margin: Tensor
    passes: Passes
    clean: Tensor
    finite: Tensor

    @property
    def broken(self) -> Tensor:
        """`(B,)` bool: rows on which the adversary has won, by a change or without one."""
        return self.margin >= 0

    def take(self, rows: Tensor) -> Found:
        """The result of a selection of rows; the passes stay those of the whole search."""
        return Found(
            self.change[rows], self.margin[rows], self.passes, self.clean[rows], self.finite[rows]
        )

    def put(self, rows: Tensor, part: Found) -> Found:
        """This result with some rows replaced by those of a search that went on from them."""
        change, margin, finite = self.change.clone(), self.margin.clone(), self.finite.clone()
        change[rows], margin[rows], finite[rows] = part.change, part.margin, part.finite
        return Found(change, margin, part.passes, self.clean, finite)


def judged(goal: Goal, outputs: Outputs) -> tuple[Tensor, Tensor]:
    """The margin of each row and whether its outputs are finite; the margin is +inf if not."""
    finite = logits(outputs).detach().flatten(1).isfinite().all(1)
    margin = goal(outputs).detach()
    return torch.where(finite & ~margin.isnan(), margin, torch.inf), finite


def search(
    attack: Attack,
    model: Model,
    x: Tensor,
    goal: Goal,
    threat: Threat,
    *,
    dice: Dice | None = None,
    chunk: int | None = None,
    since: Found | None = None,
) -> Found:
    """Run an attack and judge what it hands back.

    Rows that are lost without any change are not attacked. What the attack returns is projected
    into the threat, evaluated once by the judge, and kept only where it beats doing nothing, so
    a found margin is always that of an admissible change. The attack sees only what its access
    allows. Under a coupled threat all rows are attacked together and one change is kept for all:
    the one that breaks most of them. Model, gradients and global random state stay as they are.

    Args:
        attack: what looks for changes.
        model: inputs -> logits first.
        x: `(B, ...)` inputs.
        goal: what the adversary wants, with B rows.
        threat: the admissible changes.
        dice: keyed draws of the B rows; seed 0 and positions as keys unless given.
        chunk: rows attacked at once; 512 unless given, fewer of large inputs on a CPU, where
            layers that outgrow the caches take up to twice the time.
        since: what an earlier search about the same rows found: broken rows are not attacked
            again, better changes are kept, passes add up (a portfolio is a chain of these).

    Returns:
        The best change of each row with its margin, and the passes spent: one forward per row,
        what the attack needs, and one forward per attacked row (the first is saved by `since`).

    Raises:
        Unsupported: if the attack cannot do what is asked.
        ShapeError: if the attack returns something that is not a change of every row.
    """
    size, dice = chunk or _size(x), dice_or(dice, len(x))
    x = x.detach()
    with quiet(model):
        before = since or clean(model, x, goal, threat, chunk=size)
        change, margin = before.change.clone(), before.margin.clone()
        finite, passes = before.finite.clone(), before.passes
        shared = bool(getattr(threat, "coupled", False))  # one change serves all rows
        left = _open(margin, shared)
        for part in chunks(len(left), max(len(left), 1) if shared else size):
            index = left[part]
            tap = Tap(model, attack.access)
            found = _one(
                attack, tap, x[index], goal.take(index), threat.take(index), dice=dice.part(index)
            )
            better = found.margin > margin[index]
            if shared:
                better = torch.full_like(better, stronger(found.margin, margin))
            change[index] = pick(better, found.change, change[index])
            margin[index] = torch.where(better, found.margin, margin[index])
            finite[index] &= found.finite
            passes = passes + found.passes
    return Found(change, margin, passes, before.clean, finite)


def _size(x: Tensor) -> int:
    """Rows of a chunk."""
    if x.device.type != "cpu" or not len(x):
        return CHUNK
    return min(CHUNK, max(LEAST, NEAR // max(x[0].numel(), 1)))


def _open(margin: Tensor, shared: bool) -> Tensor:
    """Rows worth attacking: safe so far and not closed to the adversary; all, where shared."""
    if shared:
        return torch.arange(len(margin), device=margin.device)
    return ((margin < 0) & ~margin.isneginf()).nonzero().flatten()


def stronger(margin: Tensor, than: Tensor) -> bool:
    """Whether one change for all rows beats another: more broken rows, then the larger mean."""
    ahead = (margin >= 0).sum() - (than >= 0).sum()
    gain = margin.clamp(-1e30, 1e30).mean() > than.clamp(-1e30, 1e30).mean()
    return bool((ahead > 0) | ((ahead == 0) & gain))


def clean(
    model: Model, x: Tensor, goal: Goal, threat: Threat, *, chunk: int | None = None
) -> Found:
    """Doing nothing, evaluated: where every search starts. Cost: one forward per row."""
    tap = Tap(model, Access.SCORE)
    none = threat.none(x).detach()
    with quiet(model):
        seen = [
            judged(goal.take(p), threat.take(p).through(tap, x[p], none[p]))
            for p in chunks(len(x), chunk or _size(x))
        ]
    if seen:
        margin, finite = torch.cat([m for m, _ in seen]), torch.cat([f for _, f in seen])
    else:
        margin, finite = x.new_zeros(0), torch.zeros(0, dtype=torch.bool, device=x.device)
    return Found(none, margin, tap.passes, margin, finite)


def _one(attack: Attack, tap: Tap, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice) -> Found:
    """One chunk: attack it, project, evaluate."""
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
        judge = Tap(tap.model, Access.SCORE)
        margin, finite = judged(goal, threat.through(judge, x, change))
    return Found(change, margin, tap.passes + judge.passes, margin, finite)
