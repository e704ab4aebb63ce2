"""What is known of each row while several ascents work on it, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.ascent import Heights, ascent, cosine
from holdfast.core.dice import Dice
from holdfast.core.goal import Goal
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.ops.batch import pick
from holdfast.run.passes import broke, enter
from holdfast.run.search import judged

FIRST, INERTIA = 2.0, 0.25  # length of the first step in radii; share of a move carried on


@dataclass(eq=False)
class Front:
    """The best change of every row, and how much of its margin is still left.

    Args:
        model: the function under attack.
        x: `(B, ...)` inputs.
        goal: of all rows.
        threat: of all rows.
        dice: of all rows.
    """

    model: Model
    x: Tensor
    goal: Goal
    threat: Threat
    dice: Dice

    def __post_init__(self) -> None:
        self.change = self.threat.none(self.x).detach().clone()
        self.margin = torch.full((len(self.x),), -torch.inf, device=self.x.device)
        self.clean = self.margin

    def open(self, most: float = torch.inf) -> Tensor:
        """Positions of unbroken rows of which at most that share of the margin is left."""
        near = (self.left <= most) if most < torch.inf else torch.ones_like(self.margin).bool()
        return ((self.margin < 0) & near).nonzero().flatten()

    @property
    def left(self) -> Tensor:
        """`(B,)`: share of the clean margin that the best change leaves standing.

        It does not change when the outputs are scaled or shifted; 1 means that nothing was gained.
        """
        return (self.margin / self.clean.clamp(max=-1e-30)).nan_to_num(1.0)

    def sprint(self, heights: Heights, steps: int) -> None:
        """One ascent from the unchanged inputs, which also takes the clean margins."""
        enter(self.model, "sprint", len(self.x))
        active = Active(self.model, self.x, self.goal, self.threat, self.dice)
        ascent(active, self.change, heights, cosine(steps, FIRST), inertia=INERTIA, peek=True)
        self.clean = active.first
        self.take(torch.arange(len(self.x), device=self.x.device), active.best, active.reached)

    def strike(
        self, rows: Tensor, starts: Sequence[Tensor], heights: Heights, steps: int
    ) -> Tensor:
        """Ascents from several starts per row, side by side; a broken row ends all of its own.

        Args:
            rows: positions of the rows.
            starts: one change per row for each side.
            heights: what is climbed; positions count the rows of the first side, then of the
                second, and so on.
            steps: of each ascent.

        Returns:
            `(sides, rows)`: margins reached.
        """
        sides, count = len(starts), len(rows)
        many = rows.repeat(sides)
        family = torch.arange(count, device=rows.device).repeat(sides)
        active = Active(
            self.model, self.x[many], self.goal.take(many), self.threat.take(many), None, family
        )
        ascent(active, torch.cat(list(starts)), heights, cosine(steps, FIRST), inertia=INERTIA)
        reached = active.reached.view(sides, count)
        top = reached.argmax(0)
        self.take(
            rows,
            active.best[top * count + torch.arange(count, device=rows.device)],
            reached.amax(0),
        )
        return reached

    def turn_over(self, rows: Tensor, attack: Attack) -> None:
        """Hand some rows to another attack and keep what it finds. Cost: its own, and a forward."""
        x, threat, goal = self.x[rows], self.threat.take(rows), self.goal.take(rows)
        dice = self.dice.part(rows).spawn(repr(attack))
        with torch.no_grad():
            change = attack(self.model, x, goal, threat, dice=dice).detach()
            margin, _ = judged(goal, threat.through(self.model, x, change))
        self.take(rows, change, margin)

    def take(self, rows: Tensor, change: Tensor, margin: Tensor) -> None:
        """Keep changes of some rows where they are better than what was known."""
        self.margin = self.margin.to(margin.dtype)  # as judged: rounding could win a row
        better = margin > self.margin[rows]
        self.change[rows] = pick(better, change, self.change[rows])
        self.margin = self.margin.index_copy(0, rows, torch.maximum(margin, self.margin[rows]))
        broke(self.model, rows[better & (margin >= 0)])

    def sampled(self, rows: Tensor, name: str, share: float = 1.0) -> Tensor:
        """Random changes of some rows from a stream of that name.

        Args:
            rows: positions of the rows.
            name: of the stream.
            share: how far from the best change, where that is a way that can be shortened.
        """
        x, threat = self.x[rows], self.threat.take(rows)
        drawn = threat.sample(x, self.dice.part(rows).spawn(name)).detach()
        if share == 1.0 or not drawn.is_floating_point():
            return drawn
        best = self.change[rows]
        return threat.project(x, best + share * (drawn - best)).detach()

    def ways(self, rows: Tensor) -> Tensor:
        """`(rows, W)`: the ways to win at the best changes. Cost: a forward per row."""
        with torch.no_grad():
            threat = self.threat.take(rows)
            outputs = threat.through(self.model, self.x[rows], self.change[rows])
            return self.goal.take(rows).ways(outputs).detach()
