"""Gradient ascent that sets its own step: halved where progress stalls, resumed from the best."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.climb import CLIMBS, ascend, scaled_way
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, Decay, Positive, Share, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat
from holdfast.ops.batch import fit, pick


def windows(steps: int) -> list[int]:
    """Lengths of the windows between checkpoints, each 3 % shorter, from 22 % down to 6 %."""
    length, least = max(int(0.22 * steps), 1), max(int(0.06 * steps), 1)
    shrink, found, done = max(int(0.03 * steps), 1), [], 0
    while done + length <= steps:
        found.append(length)
        done, length = done + length, max(length - shrink, least)
    return found


@dataclass
class _Climber:
    """What belongs to each active row during one run."""

    change: Tensor
    previous: Tensor
    gradient: Tensor
    height: Tensor  # (A,) what is climbed, at `change`
    best: Tensor  # highest change so far, its height and its gradient
    best_height: Tensor
    best_gradient: Tensor
    stride: Tensor  # (A,) radii
    rises: Tensor  # (A,) steps of this window that went up
    halved: Tensor  # (A,) bool, at the last checkpoint
    checked: Tensor  # (A,) best height at the last checkpoint

    def keep(self, stay: Tensor) -> None:
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name)[stay])

    def moved(self, change: Tensor, height: Tensor, gradient: Tensor) -> None:
        """Take in the evaluation of a new point."""
        self.rises = self.rises + (height > self.height)
        better = height > self.best_height
        self.previous, self.change = self.change, change
        self.gradient, self.height = gradient, height
        self.best, self.best_gradient = (
            pick(better, change, self.best),
            pick(better, gradient, self.best_gradient),
        )
        self.best_height = torch.where(better, height, self.best_height)

    def check(self, length: int, rising: float) -> None:
        """A checkpoint: halve the step of rows that stall and send them back to their best."""
        stalls = self.rises <= rising * length
        stuck = ~self.halved & (self.best_height <= self.checked)
        self.halved = stalls | stuck
        self.checked, self.rises = self.best_height, torch.zeros_like(self.rises)
        self.stride = torch.where(self.halved, self.stride / 2, self.stride)
        self.change = pick(self.halved, self.best, self.change)
        self.gradient = pick(self.halved, self.best_gradient, self.gradient)


@register("attack", cites="apgd", name="apgd", says="Gradient ascent that halves its own steps.")
@settings
class APGD(Attack):
    """Gradient ascent with momentum whose step halves where progress stalls.

    At checkpoints that come ever closer, a row's step is halved if too few steps since the last
    one went up, or if the step was kept and the best value did not improve; the row then resumes
    from its best point. Properties: no step size to tune; all decisions are per row; the best
    point seen is returned; broken rows leave at once.

    Args:
        steps: gradient steps per restart (and per target).
        restarts: independent random starts.
        climb: `soft`, `margin`, `dlr`, or `targeted`: one run per way to win, in the order of
            their values at the clean point.
        targets: how many ways `targeted` tries.
        stride: first step in radii.
        momentum: share of the last move that is carried on.
        rising: share of rising steps up to which a window counts as stalled.
        samples: passes whose mean gradient and height are followed, for a model that draws at
            random; a row then leaves where the mean of its margins is won.

    Cost: `steps * samples + 1` forwards and `steps * samples` backwards per restart (and target)
    and unbroken row; one more forward per row for `targeted`.

    Unlike the paper: the start is drawn by the threat (inside it, not on its surface), decided
    rows leave, the last point is only looked at; sparsity of L1 steps follows from the room that
    the box leaves and is not tuned. DLR needs three classes, its targeted form four: below that
    the plain margin is climbed.
    """

    access: ClassVar[Access] = Access.GRADIENT
    steps: Count = 100
    restarts: Count = 1
    climb: Literal["soft", "margin", "dlr", "targeted"] = "soft"
    targets: Count = 9
    stride: Positive = 2.0
    momentum: Decay = 0.25
    rising: Share = 0.75
    samples: Count = 1

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        active = Active(model, x, goal, threat, dice)
        ranks = self._ranked(active) if self.climb == "targeted" and len(x) else None
        ends, end = {}, 0
        for length in windows(self.steps):
            end += length
            ends[end] = length
        for number in range(self.restarts * (1 if ranks is None else ranks.shape[1])):
            if not len(active):
                break
            self._run(active, None if ranks is None else ranks[:, number // self.restarts], ends)
        return active.best

    def _ranked(self, active: Active) -> Tensor:
        """`(B, targets)`: positions of the best ways to win at the clean point."""
        with torch.no_grad():
            none = active.threat.none(active.x)
            ways = active.goal.ways(active.threat.through(active.model, active.x, none))
        order: Tensor = ways.sort(dim=1, descending=True, stable=True).indices
        return order[:, : self.targets]

    def _run(self, active: Active, chosen: Tensor | None, ends: dict[int, int]) -> None:
        """One start and its steps, on the rows that are still active; `ends` are checkpoints."""
        change = active.threat.sample(active.x, active.dice).detach()
        state = self._look(active, change, chosen, None)
        for step in range(1, self.steps):
            if state is None:
                return
            state = self._look(active, self._next(active, state, step == 1), chosen, state)
            if state is not None and step in ends:
                state.check(ends[step], self.rising)
        if state is not None:
            change = self._next(active, state, self.steps == 1)
            active.see(change, active.margins(change))

    def _look(
        self, active: Active, change: Tensor, chosen: Tensor | None, state: _Climber | None
    ) -> _Climber | None:
        """Evaluate a point of every active row; rows that it breaks leave."""
        way = None if chosen is None else chosen[active.index]
        aim = CLIMBS[self.climb] if way is None else partial(scaled_way, chosen=way)
        margin, height, gradient = ascend(
            active.model, active.x, active.goal, active.threat, change, height=aim,
            samples=self.samples,
        )  # fmt: skip
        if active.coupled:  # one change for all rows: its step and its best point are common too
            height = height.mean().expand_as(height)
        if state is None:
            state = _Climber(
                change, change, gradient, height, change, height, gradient,
                torch.full_like(height, self.stride), torch.zeros_like(height),
                torch.ones_like(height, dtype=torch.bool), height,
            )  # fmt: skip
        else:
            state.moved(change, height, gradient)
        stay = active.see(change, margin)
        if stay is not None:
            state.keep(stay)
        return state if len(active) else None

    def _next(self, active: Active, state: _Climber, first: bool) -> Tensor:
        """The next point: a projected step, mixed with the last move, projected again."""
        x, threat, change = active.x, active.threat, state.change
        step = threat.along(x, change, state.gradient)
        ahead = threat.project(x, change + fit(state.stride, change).to(change) * step)
        if first or not self.momentum:
            return ahead.detach()
        inertia = self.momentum * (change - state.previous)
        return threat.project(x, change + (1 - self.momentum) * (ahead - change) + inertia).detach()


APGD_DLR = register(
    "attack", cites="apgd", name="apgd-dlr", says="APGD on a loss that ignores the logits' scale."
)(APGD(climb="dlr"))
APGD_TARGETED = register(
    "attack", cites="apgd", name="apgd-targeted", says="APGD towards each of the likeliest classes."
)(APGD(climb="targeted"))
