"""Gradient ascent that sets its own step: halved where progress stalls, resumed from the best."""

from __future__ import annotations

from functools import partial
from itertools import accumulate
from typing import ClassVar, Literal

import torch
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.climb import CLIMBS, slopes
from holdfast.attacks.climber import Climber, windows
from holdfast.attacks.ways import ranked, scaled_way
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, Decay, Positive, Share, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat
from holdfast.ops.batch import fit


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
        for number in range(self.restarts * (1 if ranks is None else ranks.shape[1])):
            if not len(active):
                break
            self._run(active, None if ranks is None else ranks[:, number // self.restarts])
        return active.best

    def _ranked(self, active: Active) -> Tensor:
        """`(B, targets)`: positions of the best ways to win at the clean point."""
        x, threat = active.x, active.threat
        return ranked(active.model, x, active.goal, threat, threat.none(x), self.targets)

    def _run(self, active: Active, chosen: Tensor | None) -> None:
        """One start and its steps, on the rows that are still active."""
        start = active.threat.sample(active.x, active.dice).detach()
        self._within(active, 1.0, start, chosen, self.steps)

    def _within(
        self, active: Active, wide: float, change: Tensor, chosen: Tensor | None, steps: int
    ) -> Tensor:
        """Climb inside of a multiple of the threat; the highest changes of the rows that stay."""
        ends = self._checkpoints(steps)
        state = self._look(active, wide, change, chosen, None)
        for step in range(1, steps):
            if not len(active):
                return state.best
            change = self._next(active, wide, state, step == 1)
            state = self._look(active, wide, change, chosen, state)
            if step in ends:
                state.check(ends[step], self.rising)
        if len(active):
            change = self._next(active, wide, state, steps == 1)
            stay = active.see(change, _counted(active, wide, change, active.margins(change)))
            if stay is not None:
                state.keep(stay)
        return state.best

    def _checkpoints(self, steps: int) -> dict[int, int]:
        """Steps at which a window ends, and its length."""
        lengths = windows(steps)
        return dict(zip(accumulate(lengths), lengths, strict=True))

    def _look(
        self,
        active: Active,
        wide: float,
        change: Tensor,
        chosen: Tensor | None,
        state: Climber | None,
    ) -> Climber:
        """Evaluate a point of every active row; rows that it breaks inside the threat leave."""
        way = None if chosen is None else chosen[active.index]
        aim = CLIMBS[self.climb] if way is None else partial(scaled_way, chosen=way)
        found = slopes(
            active.model, active.x, active.goal, active.threat, change, height=aim,
            samples=self.samples,
        )  # fmt: skip
        height = found.height()
        if active.coupled:  # one change for all rows: its step and its best point are common too
            height = height.mean().expand_as(height)
        if state is None:
            state = Climber.begun(change, height, found.gradient, self.stride)
        else:
            state.moved(change, height, found.gradient)
        stay = active.see(change, _counted(active, wide, change, found.margin))
        if stay is not None:
            state.keep(stay)
        return state

    def _next(self, active: Active, wide: float, state: Climber, first: bool) -> Tensor:
        """The next point: a projected step, mixed with the last move, projected again."""
        x, change = active.x, state.change
        threat = active.threat if wide == 1 else active.threat.scaled(wide)
        step = threat.along(x, change, state.gradient)
        ahead = threat.project(x, change + fit(state.stride, change).to(change) * step)
        if first or not self.momentum:
            return ahead.detach()
        inertia = self.momentum * (change - state.previous)
        return threat.project(x, change + (1 - self.momentum) * (ahead - change) + inertia).detach()


def _counted(active: Active, wide: float, change: Tensor, margin: Tensor) -> Tensor:
    """Margins, minus infinity where a change lies outside of the threat itself."""
    if wide <= 1:
        return margin
    inside = active.threat.size(active.x, change) <= 1
    return torch.where(inside, margin, -torch.inf)


APGD_DLR = register(
    "attack", cites="apgd", name="apgd-dlr", says="APGD on a loss that ignores the logits' scale."
)(APGD(climb="dlr"))
APGD_TARGETED = register(
    "attack", cites="apgd", name="apgd-targeted", says="APGD towards each of the likeliest classes."
)(APGD(climb="targeted"))
