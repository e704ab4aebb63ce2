"""Greedy replacement of tokens by scores alone: words, misspelt words, residues."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor

from holdfast.attacks.edited import Edited
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Ingredient, Share, ingredient, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat
from holdfast.ops.batch import pick


@register("attack", cites=("textfooler", "t2i-realworld-attack"))
@settings
class WordSubstitution(Attack):
    """Replaces tokens one by one, each by the admissible choice that helps the adversary most.

    With `order="importance"` places are visited once, in the order of how far the margin rises
    when their token is blanked; at each one all choices are tried and the best is kept if it
    helps. With `order="every"` each round tries every choice at every place and keeps the best
    gain per price. Properties: scores only; the margin of a row never falls; every edit is one
    that the threat admits; the first replacement that wins ends the row.

    Args:
        order: `importance` needs one query per place for the ranking and one per choice;
            `every` needs no blank token, and as many queries again in every round.
        most: choices tried per place; tables list the nearest first.
        together: choices of a row evaluated in one call; more is faster for few rows, but what is
            left of a call is spent when one of them wins.
        least: changed rows less similar than this to the original are not tried.
        similar: `(ids, changed ids) -> (B,)` similarity; without it every edit is similar
            enough. Choices are then tried from the most similar to the least, so that the
            first one that wins is the most similar one that does.

    Cost: at most `1 + P + P C` forwards per row with P places and C choices, for `importance`;
    at most `1 + P C` per round for `every`.

    Unlike the paper: importance is the rise of the goal's margin, so that it serves any goal;
    with two classes the order is the paper's. Places without choices are not ranked.

    Raises:
        Unsupported: if importance is asked of a threat without a blank token, or one change
            has to serve all rows.
    """

    access: ClassVar[Access] = Access.SCORE
    discrete: ClassVar[bool] = True
    order: Literal["importance", "every"] = "importance"
    most: Count = 50
    together: Count = 1
    least: Share = 0.0
    similar: Ingredient[Callable[[Tensor, Tensor], Tensor]] = ingredient()

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        active = Edited(model, x, goal, threat, dice)
        ranked = self.order == "importance"
        if active.coupled or (ranked and active.edits.blank < 0):
            raise Unsupported(
                f"{threat.spec}: no token stands for nothing, or one change serves all rows",
                fix='Use attack:word-substitution with order="every", or attack:gcg.',
            )
        active.own = {"change": active.best}
        active.start()
        places = active.best.shape[1]
        if ranked and len(active) and places:
            active.own["rank"] = _importance(active)
        for turn in range(places):
            if not len(active):
                break
            active.own["gain"] = torch.zeros_like(active.own["margin"])
            active.own |= {"next": active.own["change"], "reached": active.own["margin"]}
            for place in [turn] if ranked else range(places):
                self._try(active, place, ranked)
            better = active.own["gain"] > 0
            active.own["change"] = pick(better, active.own["next"], active.own["change"])
            active.own["margin"] = torch.where(better, active.own["reached"], active.own["margin"])
            if not ranked and not bool(better.any()):
                break
        return active.best

    def _try(self, active: Edited, turn: int, ranked: bool) -> None:
        """Every choice at one place of each active row, the most similar first."""
        if not len(active):
            return
        place = torch.full((len(active), 1), turn, device=active.x.device)
        place = active.own["rank"][:, turn, None] if ranked else place
        choices = active.edits.choices(active.x)[:, :, : self.most]
        listed = choices.gather(1, place[..., None].expand(-1, -1, choices.shape[2])).squeeze(1)
        active.own |= {"place": place, "listed": self._sorted(active, place, listed)}
        for first in range(0, active.own["listed"].shape[1], self.together):
            if not len(active):
                return
            self._block(active, slice(first, first + self.together), ranked)

    def _block(self, active: Edited, some: slice, ranked: bool) -> None:
        """Some choices at one place of each active row, evaluated in one call."""
        listed, change = active.own["listed"][:, some], active.own["change"]
        place = active.own["place"][:, None].expand(-1, listed.shape[1], -1)
        made = change[:, None].expand(-1, listed.shape[1], -1).scatter(2, place, listed[..., None])
        due = (made != change[:, None]).any(2) & active.admitted(made)
        margin = active.asked(made, due)
        gain = margin - active.own["margin"][:, None]
        if not ranked:
            flat = active.edits.price(
                active.x.repeat_interleave(made.shape[1], 0), made.flatten(0, 1)
            )
            gain = gain / flat.view(made.shape).gather(2, place).squeeze(2).clamp(min=1e-12)
        top, which = gain.masked_fill(~due, -torch.inf).max(1)
        rows = torch.arange(len(made), device=made.device)
        better = top > active.own["gain"]
        active.own |= {
            "gain": torch.where(better, top, active.own["gain"]),
            "next": pick(better, made[rows, which], active.own["next"]),
            "reached": torch.where(better, margin[rows, which], active.own["reached"]),
        }
        active.seen(made, margin)

    def _sorted(self, active: Edited, place: Tensor, listed: Tensor) -> Tensor:
        """Choices from the most similar to the least; those not similar enough change nothing."""
        if self.similar is None:
            return listed
        change, alike = active.own["change"], []
        for choice in listed.T:
            made = active.edits.apply(active.x, change.scatter(1, place, choice[:, None]))
            alike.append(self.similar(active.x, made).to(listed.device))
        likeness = torch.stack(alike, 1)
        listed = torch.where(likeness >= self.least, listed, change.gather(1, place))
        return listed.gather(1, likeness.argsort(dim=1, descending=True, stable=True))


def _importance(active: Edited) -> Tensor:
    """`(A, P)`: places in descending order of the margin that blanking their token gives."""
    change, threat = active.own["change"], active.edits
    replaceable = (threat.choices(active.x) != change[..., None]).any(2)
    margins = []
    for place in range(change.shape[1]):
        blanked = change.clone()
        blanked[:, place] = threat.blank
        margins.append(active.asked(blanked[:, None], replaceable[:, place, None]))
    return torch.cat(margins, 1).argsort(dim=1, descending=True, stable=True)


RESIDUE_SUBSTITUTION = register(
    "attack",
    cites="protein-folding-robustness",
    name="residue-substitution",
    says="Replaces in every round the residue that gains most per unit of its price.",
)(WordSubstitution(order="every"))
