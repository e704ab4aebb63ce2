"""What is known of each row while several ascents work on it, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.ascent import Heights, ascent, narrowing
from holdfast.attacks.climb import Height
from holdfast.attacks.ways import ranked
from holdfast.core.dice import Dice
from holdfast.core.goal import Goal, logits
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.ops.batch import chunks, pick
from holdfast.run.passes import broke, enter
from holdfast.run.search import judged

SIDE_BY_SIDE = 4  # ascents at once, as a multiple of the rows that are given: memory is bounded
# (which of the rows, `(R, sides)` margins, `(R, sides, ...)` changes that reached them)
Told = Callable[[slice, Tensor, Tensor], None]
ALIKE = 0.03  # relative difference up to which two margins count as the same top


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
        self._ends = self.margin[:, None]  # `(B, ascents)` margins at which they ended, or -inf

    def open(self, sure: float = torch.inf, most: float = 0.0, ends: int = 0) -> Tensor:
        """Positions of unbroken rows whose boundary may be near.

        Args:
            sure: share of the margin that may be left.
            most: the same for rows on which fewer than `ends` ascents have ended at the best.
            ends: see there.
        """
        left = self.left
        may = left <= sure if sure < torch.inf else torch.ones_like(left).bool()
        if most:
            alike = (self._ends >= (self.margin * (1 + ALIKE))[:, None]).sum(1)
            may = may | ((left <= most) & (alike < ends))
        return ((self.margin < 0) & may).nonzero().flatten()

    @property
    def left(self) -> Tensor:
        """`(B,)`: share of the clean margin that the best change leaves standing.

        It does not change when the outputs are scaled or shifted; 1 means that nothing was gained.
        """
        return (self.margin / self.clean.clamp(max=-1e-30)).nan_to_num(1.0)

    def sprint(self, heights: Heights, lengths: Sequence[float]) -> None:
        """One ascent from the unchanged inputs, which also takes the clean margins."""
        enter(self.model, "sprint", len(self.x))
        active = Active(self.model, self.x, self.goal, self.threat, self.dice)
        ascent(active, self.change, heights, lengths, peek=True)
        self.clean = active.first
        rows = torch.arange(len(self.x), device=self.x.device)
        self.take(rows, active.best, active.reached)
        self._ends = active.reached[:, None]

    def strike(
        self,
        rows: Tensor,
        starts: Sequence[Tensor],
        heights: Heights,
        lengths: Sequence[float],
        *,
        fresh: bool = True,
        widest: float = 1.0,
        tell: Told | None = None,
    ) -> Tensor:
        """Ascents from several starts per row, side by side; a broken row ends all of its own.

        Args:
            rows: positions of the rows.
            starts: one change per row for each side.
            heights: what is climbed; positions count the rows of the first side, then of the
                second, and so on.
            lengths: of the steps of each ascent.
            fresh: whether the starts are new, so that where they end tells something.
            widest: multiple of the threat from which the ascents come in.
            tell: hears of some rows after the other where their ascents ended.

        Returns:
            `(sides, rows)`: margins reached.
        """
        sides, count, wide = len(starts), len(rows), narrowing(len(lengths), widest)
        place = torch.arange(sides * count, device=rows.device).view(sides, count)
        reached = torch.empty((sides, count), dtype=self.margin.dtype, device=rows.device)
        for p in chunks(count, max(SIDE_BY_SIDE * len(self.x) // sides, 1)):
            own, among, held = rows[p], place[:, p].flatten(), len(rows[p])
            many = own.repeat(sides)
            x, goal, threat = self.x[many], self.goal.take(many), self.threat.take(many)
            family = torch.arange(held, device=rows.device).repeat(sides)
            active = Active(self.model, x, goal, threat, None, family)
            climbed = partial(_placed, heights, among)
            ascent(active, torch.cat([start[p] for start in starts]), climbed, lengths, wide=wide)
            ended = active.reached.view(sides, held)
            best = ended.argmax(0) * held + torch.arange(held, device=rows.device)
            changes = active.best
            self.take(own, changes[best], ended.flatten()[best])
            reached = reached.to(ended.dtype)
            reached[:, p] = ended
            if tell is not None:
                tell(p, ended.T, changes.view(sides, held, *changes.shape[1:]).transpose(0, 1))
        if not fresh:
            return reached
        ends = self._ends.new_full((len(self.x), sides), -torch.inf)
        self._ends = torch.cat([self._ends, ends.index_copy(0, rows, reached.T.to(ends))], 1)
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

    def decides(self) -> bool:
        """Whether outputs are decisions: one class at the same value everywhere, others at 0."""
        with torch.no_grad():
            outputs = logits(self.threat.through(self.model, self.x, self.change)).flatten(1)
        top = outputs.amax(1)
        return bool(((outputs == 0) | (outputs == top[:, None])).all() and (top == top[0]).all())

    def ranked(self, rows: Tensor) -> Tensor:
        """`(rows, W)`: the ways to win at the best changes, nearest first. Cost: a forward each."""
        x, goal, threat = self.x[rows], self.goal.take(rows), self.threat.take(rows)
        return ranked(self.model, x, goal, threat, self.change[rows])


def _placed(heights: Heights, place: Tensor, step: int, rows: Tensor) -> Height:
    """What some of many rows climb: `place` says which of the many they are."""
    return heights(step, place[rows])
