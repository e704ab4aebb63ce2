"""The judge: runs an attack on a model and believes only what it has evaluated itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from holdfast.core.catalog import entry_of
from holdfast.core.dice import Dice, dice_or
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.ops.batch import chunks, pick, portion
from holdfast.run.admitted import admitted, taken
from holdfast.run.judge import judged, worked
from holdfast.run.keeper import Keeper, present
from holdfast.run.passes import Passes, Tap
from holdfast.run.pieces import CHUNK, Job, at_once, gathered
from holdfast.run.stages import Ledger, Stage
from holdfast.run.watch import Progress, counter

__all__ = ["Found", "attack_name", "clean", "judged", "search", "stronger"]


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
        stages: the ledger: what each stage cost and won; its passes sum to `passes`.
        by: `(B,)` position in `stages` of what broke each row, -1 for none.
    """

    change: Tensor
    margin: Tensor
    passes: Passes
    clean: Tensor
    finite: Tensor
    stages: tuple[Stage, ...] = ()
    by: Tensor | None = None

    @property
    def broken(self) -> Tensor:
        """`(B,)` bool: rows on which the adversary has won, by a change or without one."""
        return self.margin >= 0

    def take(self, rows: Tensor) -> Found:
        """The result of a selection of rows; the passes stay those of the whole search."""
        by = None if self.by is None else self.by[rows]
        return replace(
            self, change=self.change[rows], margin=self.margin[rows], clean=self.clean[rows],
            finite=self.finite[rows], by=by,
        )  # fmt: skip

    def put(self, rows: Tensor, part: Found) -> Found:
        """This result with some rows replaced by those of a search that went on from them."""
        change, margin, finite = self.change.clone(), self.margin.clone(), self.finite.clone()
        change[rows], margin[rows], finite[rows] = part.change, part.margin, part.finite
        by = None if self.by is None else self.by.clone()
        if by is not None and part.by is not None:
            by[rows] = part.by
        return Found(change, margin, part.passes, self.clean, finite, part.stages, by)


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
    keep: Keeper | None = None,
    progress: Progress | None = None,
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
        chunk: rows attacked at once; as `run.pieces.at_once` says unless given.
        since: what an earlier search about the same rows found: broken rows are not attacked
            again, better changes are kept, passes add up (a portfolio is a chain of these).
        keep: where finished chunks are kept; those that are there are read, so that a search
            that was killed goes on, and processes share one. Unless given, that of the block
            around (`run.keeper.kept`).
        progress: told after each chunk how many rows are done, of how many, and how many broke.
            Unless given, that of the block around (`run.watch.watched`).

    Returns:
        The best change of each row with its margin, and the passes spent: one forward per row,
        what the attack needs, and one forward per attacked row (the first is saved by `since`).

    Raises:
        Unsupported: if the attack cannot do what is asked.
        ShapeError: if the attack returns something that is not a change of every row.
    """
    x, dice = x.detach(), dice_or(dice, len(x))
    size = chunk or at_once(model, x)
    with quiet(model):
        before = since or clean(model, x, goal, threat, chunk=size)
        change, margin = before.change.clone(), before.margin.clone()
        finite, passes = before.finite.clone(), before.passes
        ledger, name = Ledger(before.stages, before.by, len(x)), attack_name(attack)
        shared = bool(getattr(threat, "coupled", False))  # one change serves all rows
        left = _open(margin, shared)
        parts = [left[p] for p in chunks(len(left), max(len(left), 1) if shared else size)]
        jobs = [Job(x[i], goal.take(i), threat.take(i), dice.part(i)) for i in parts]
        work, told = partial(worked, attack, model, name), counter(len(left), progress)
        pieces = gathered(jobs, work, keep or present(), (attack, model), told)
        for index, found in zip(parts, pieces, strict=True):
            better = found.margin > margin[index]
            if shared:
                better = torch.full_like(better, stronger(found.margin, margin))
            won = (better & (found.margin >= 0) & (margin[index] < 0)).nonzero().flatten()
            said = [found.said[k] or name for k in won.tolist()]
            ledger.add(found.stages, index[won].tolist(), said)
            change[index] = pick(better, found.change, change[index])
            margin[index] = torch.where(better, found.margin, margin[index])
            finite[index] &= found.finite
            passes = passes + found.passes
    stages, by = ledger.closed()
    return Found(change, margin, passes, before.clean, finite, stages, by)


def attack_name(attack: Attack) -> str:
    """The catalogue key of a registered attack, the name of its class otherwise."""
    entry = entry_of(attack) or entry_of(type(attack))
    return entry.key if entry else type(attack).__name__


def _open(margin: Tensor, shared: bool) -> Tensor:
    """Rows worth attacking: safe so far and not closed to the adversary; all, where shared."""
    if shared:
        return torch.arange(len(margin), device=margin.device)
    return ((margin < 0) & ~margin.isneginf()).nonzero().flatten()


def stronger(margin: Tensor, than: Tensor) -> bool:
    """Whether one change for all rows beats another: more broken rows, then the larger mean."""
    ahead = (margin >= 0).sum() - (than >= 0).sum()
    mine, other = (m.double().clamp(-1e30, 1e30).mean() for m in (margin, than))
    gain = mine > other
    return bool((ahead > 0) | ((ahead == 0) & gain))


def clean(
    model: Model, x: Tensor, goal: Goal, threat: Threat, *, chunk: int | None = None
) -> Found:
    """Doing nothing, evaluated: where every search starts. Cost: one forward per row.

    Raises:
        ShapeError: for inputs that are no numbers or that the model does not take, and where goal
            and inputs differ in their number of rows.
    """
    admitted(x, threat)
    tap, start = Tap(model, Access.SCORE), time.perf_counter()
    none = threat.none(x).detach()
    with quiet(model), taken(model, x):
        seen = [  # the last rows get all that is left of the goal: too many labels are an error
            judged(
                goal.take(slice(p.start, None) if p.stop == len(x) else p),
                threat.take(p).through(tap, x[p], none[p]),
            )
            for p in chunks(len(x), min(chunk or CHUNK, portion(x)))
        ]
    if seen:
        margin, finite = torch.cat([m for m, _ in seen]), torch.cat([f for _, f in seen])
    else:
        margin, finite = x.new_zeros(0), torch.zeros(0, dtype=torch.bool, device=x.device)
    count = len(x)
    stage = Stage(
        "clean", count, int((margin >= 0).sum()), 0, count, 0, time.perf_counter() - start
    )
    by = torch.where(margin.cpu() >= 0, 0, -1)
    return Found(none, margin, tap.passes, margin, finite, (stage,), by)
