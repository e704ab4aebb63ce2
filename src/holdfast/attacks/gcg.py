"""Greedy coordinate gradient: tokens ranked by gradient, chosen by what they really do."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from holdfast.attacks.climb import CLIMBS, Climb
from holdfast.attacks.edited import Edited
from holdfast.attacks.embedding import token_scores
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat
from holdfast.ops.batch import pick
from holdfast.run.search import judged
from holdfast.threats.edits import Edits


@register("attack", name="gcg", cites="gcg")
@settings
class GCG(Attack):
    """Greedy coordinate gradient: replaces one token per step by the best of many proposals.

    The gradient at the embedding ranks the choices of every place; each proposal puts one of
    the best `topk` in one place, places taken evenly in turn; all are evaluated, and the search
    moves to the best one even if that is a step back, while the best ever is kept. Properties:
    only admissible edits are evaluated, so forbidden tokens never appear; the gradient only
    ranks, what is believed is the true value; a row leaves as soon as one proposal breaks it.

    One change for all rows (`trigger`): gradients of the rows, each divided by its length, are
    added up, proposals are compared by their mean, and rows join one by one, as the change
    breaks those before them.

    Args:
        steps: tokens replaced.
        topk: choices per place that gradients let through.
        samples: proposals per step and row.
        together: proposals of a row evaluated in one call; more is faster for few rows on a
            GPU, but what is left of a call is spent when one of them wins.
        monotone: stay where the best proposal is worse.
        growing: let rows join one by one, where one change serves them all.
        climb: what is climbed: `soft` is minus the cross-entropy of a target.

    Cost: per step and unbroken row one forward, one backward and `samples` forwards.

    Several models at once: attack `several.Several(models)` with the goal `Says.by_all`.

    Unlike the paper: proposals that would break the round trip of the tokenizer are replaced by
    others of the same step; the budget of other threats to tokens is kept by taking back an
    earlier edit at random.

    Raises:
        Unsupported: if the model looks its ids up in no `torch.nn.Embedding`.
    """

    access: ClassVar[Access] = Access.GRADIENT
    discrete: ClassVar[bool] = True
    steps: Count = 500
    topk: Count = 256
    samples: Count = 512
    together: Count = 1
    monotone: bool = False
    growing: bool = True
    climb: Climb = "soft"

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        active = Edited(model, x, goal, threat, dice)
        active.own = {"change": active.best}
        used = 1 if self.growing else len(x)  # rows that have joined, under a shared change
        for _ in range(self.steps if active.best.numel() else 0):
            if active.coupled:
                used = self._shared(active, used)
            else:
                self._step(active)
            if not len(active) or used > len(x):
                break
        return active.best

    def _step(self, active: Edited) -> None:
        """The gradient at each row's change, and the best of its proposals."""
        margin, height, scores = token_scores(
            active.model, active.x, active.goal, active.edits, active.own["change"], self.climb
        )
        active.own |= {"scores": scores, "best": height}
        active.see(active.own["change"], margin)
        draws = active.dice.uniform((2, self.samples), device=height.device, dtype=torch.float64)
        change, scores = active.own["change"], active.own.pop("scores")
        active.own["made"] = self._proposals(active.x, active.edits, change, scores, draws)
        active.own["next"] = change
        if not self.monotone:
            active.own["best"] = torch.full_like(active.own["best"], -torch.inf)
        for first in range(0, self.samples, self.together):
            if not len(active):
                break
            self._try(active, slice(first, first + self.together))
        active.own = {"change": active.own["next"]}

    def _try(self, active: Edited, some: slice) -> None:
        """Evaluate some proposals of every active row in one call; the best one is seen."""
        made, x = active.own["made"][:, some], active.x
        count = made.shape[1]
        rows = torch.arange(len(x), device=x.device).repeat_interleave(count)
        margin, height = self._value(active, made.flatten(0, 1), rows)
        margin, height = margin.view(-1, count), height.view(-1, count)
        # A proposal that breaks the row is the best one, whatever is climbed.
        first = torch.where(margin.amax(1) >= 0, margin.argmax(1), height.argmax(1))
        change = made[torch.arange(len(x), device=x.device), first]
        top = height.gather(1, first[:, None]).squeeze(1)
        better = top > active.own["best"]
        active.own["next"] = pick(better, change, active.own["next"])
        active.own["best"] = torch.where(better, top, active.own["best"])
        active.see(change, margin.gather(1, first[:, None]).squeeze(1))

    def _value(self, active: Edited, change: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Margins and what is climbed, of changes of some active rows."""
        goal, threat = active.goal.take(rows), active.threat.take(rows)
        with torch.no_grad():
            outputs = threat.through(active.model, active.x[rows], change)
            height = CLIMBS[self.climb](goal, outputs).nan_to_num(-torch.inf)
        return judged(goal, outputs)[0], height

    def _proposals(
        self, x: Tensor, threat: Edits, change: Tensor, scores: Tensor, draws: Tensor
    ) -> Tensor:
        """`(A, S, P)`: changes that differ in one place, admissible; no change where none is."""
        choices = threat.choices(x)
        scores = scores.masked_fill(choices == change[..., None], -torch.inf)
        scores = scores.masked_fill(choices == threat.blank, -torch.inf)
        top = scores.topk(min(self.topk, scores.shape[2]), 2)
        there = top.values.isfinite().sum(2)  # promising choices of each place
        open_places = (there > 0).sum(1, keepdim=True)
        turn = torch.arange(self.samples, device=x.device) * open_places // self.samples
        order = (there == 0).long().argsort(dim=1, stable=True)
        place = order.gather(1, turn.clamp(max=order.shape[1] - 1))
        rank = (draws[:, 0] * there.gather(1, place)).long()
        token = choices.gather(2, top.indices).flatten(1)
        token = token.gather(1, place * top.indices.shape[2] + rank)
        made = change[:, None].expand(-1, self.samples, -1)
        made = torch.where((open_places > 0)[..., None], _put(made, place, token), made)
        rows = torch.arange(len(x), device=x.device).repeat_interleave(self.samples)
        # The new edit comes first, the others in random order, as far as the threat allows.
        order = (draws[:, 1, :, None] + torch.arange(change.shape[1], device=x.device) * 0.618) % 1
        order = _put(order, place, torch.full_like(draws[:, 1], -1.0))
        fits = threat.fitted(x[rows], made.flatten(0, 1), order.flatten(0, 1)).view(made.shape)
        return _refilled(fits, (fits != change[:, None]).any(2))

    def _shared(self, active: Edited, used: int) -> int:
        """One step of one change for all rows; how many rows will judge the next one."""
        change, rows = active.own["change"], torch.arange(used, device=active.x.device)
        x, goal = active.x[rows], active.goal.take(rows)
        _, height, scores = token_scores(
            active.model, x, goal, active.edits, change[rows], self.climb
        )
        length = torch.linalg.vector_norm(scores, dim=2, keepdim=True).clamp(min=1e-30)
        total = (scores / length).sum(0, keepdim=True)
        draws = active.dice.one().uniform((2, self.samples), device=x.device, dtype=torch.float64)
        made = self._proposals(x[:1], active.edits.alone(), change[:1], total, draws)[0]
        best, moved = float(height.mean()) if self.monotone else -torch.inf, change[:1]
        for each in made:
            trial = each.expand(len(rows), -1)
            if not bool(active.edits.admits(x, trial).all()):
                continue
            value = float(self._value(active, trial, rows)[1].mean())
            if value > best:
                best, moved = value, each[None]
        active.own["change"] = moved.expand(change.shape)
        everyone = torch.arange(len(active), device=x.device)
        margin, _ = self._value(active, active.own["change"], everyone)
        active.see(active.own["change"], margin)
        return used + int((margin[rows] >= 0).all())


def _put(values: Tensor, place: Tensor, what: Tensor) -> Tensor:
    """`(A, S, P)` with one place of each row and proposal set."""
    return values.scatter(2, place[..., None], what.to(values.dtype)[..., None])


def _refilled(made: Tensor, valid: Tensor) -> Tensor:
    """Proposals that could not be made, replaced by others in turn; unchanged if none could."""
    order = (~valid).long().argsort(dim=1, stable=True)
    turn = torch.arange(made.shape[1], device=made.device) % valid.sum(1, keepdim=True).clamp(min=1)
    return made.gather(1, order.gather(1, turn)[..., None].expand_as(made))


GBTL = register(
    "attack",
    cites="gbtl",
    name="gbtl",
    says="Gradient-guided trigger learning: a short search for a trigger of one or a few tokens.",
)(GCG(steps=100, topk=32, samples=16, growing=False))
