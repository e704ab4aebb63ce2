"""Certified segmentation: which positions keep their class, or a group it belongs to."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from holdfast.certify.smoothing.randomized import two_norm_only
from holdfast.certify.smoothing.segments import Segments, flat
from holdfast.certify.smoothing.votes import votes
from holdfast.core.catalog import register
from holdfast.core.certificate import Certificate
from holdfast.core.data import UNLABELLED
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.fields import Count, Ingredient, Inner, ingredient, settings
from holdfast.core.goal import Goal, Pixels, Untargeted
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.defend.smoothed import Smoothed

Correction = Literal["bonferroni", "holm"]


@register(
    "certifier",
    name="segmentation",
    cites="adaptive-certify",
    says="Certifies the positions of a Smoothed segmentation, at the level of groups if need be.",
)
@settings
class Segmentation(Certifier):
    """Tests at every position whether one class, or one group, holds more than `tau` of the votes.

    A few copies choose what is tested; fresh ones count. Rejecting `share <= tau` by an exact
    binomial test, corrected for the number of positions, makes all certified positions of a row
    right at once with probability 1 - alpha. They then keep their node within
    `sigma * ndtri(tau)` of the whole input, as a group of classes is a function of the model too.

    With a hierarchy, positions whose two best classes were close in the first copies are tested
    for a group of classes instead. That choice sees none of the copies that count. As an
    adversary wins a position by overtaking its label, the margin counts single classes only;
    groups are in `segments`, and what they tell in `information_gain`.

    Unlike the paper, closeness is that of votes, not of mean probabilities.

    Args:
        hierarchy: `(L, K)` whole numbers: the group of each class at each level; the first level
            is `0 ... K-1`, and each one joins groups of the one before. Without it, single classes.
        thresholds: leads below which a coarser level is tested, the smallest for the coarsest.
        tau: share of the votes to be exceeded, at least one half.
        selection: copies that choose.
        samples: fresh copies that count.
        alpha: probability, per row, that any of its certified positions is wrong.
        correction: for the number of positions; holm certifies at least as many.

    Cost: `selection + samples` forward passes per row.
    """

    hierarchy: Ingredient[Tensor] = ingredient()
    thresholds: tuple[float, ...] = ()
    tau: Annotated[float, Field(ge=0.5, lt=1)] = 0.75
    selection: Count = 10
    samples: Count = 100
    alpha: Inner = 0.001
    correction: Correction = "holm"

    def segments(self, model: Smoothed, x: Tensor, dice: Dice) -> Segments:
        """What is known about every position.

        Args:
            model: smoothed, with outputs `(B, ..., K)`.
            x: `(B, ...)` inputs.
            dice: of the rows.

        Raises:
            ShapeError: for a hierarchy or thresholds that do not fit the classes.
        """
        with quiet(model), torch.no_grad():
            guess = votes(model, x, self.selection, dice.spawn("selection"))
            counts = votes(model, x, self.samples, dice.spawn("samples"))
        levels = self._levels(guess.shape[-1]).to(x.device)
        best = guess.topk(2, -1).values.double() / self.selection
        lead = best[..., 0] - best[..., 1]
        level = torch.zeros_like(guess[..., 0])
        for threshold in self.thresholds:
            level = level + (lead < threshold)
        node, wins = torch.zeros_like(level), torch.zeros_like(level)
        for depth, groups in enumerate(levels):
            members = torch.nn.functional.one_hot(groups).double()
            chosen = (guess.double() @ members).argmax(-1)
            own = (counts.double() @ members).gather(-1, chosen[..., None])[..., 0].long()
            node = torch.where(level == depth, chosen, node)
            wins = torch.where(level == depth, own, wins)
        radius = model.sigma * float(torch.special.ndtri(torch.tensor(self.tau).double()))
        return Segments(node, level, self._significant(wins), radius)

    def _levels(self, classes: int) -> Tensor:
        """The groups of each class, checked."""
        levels = torch.arange(classes)[None] if self.hierarchy is None else self.hierarchy.cpu()
        joined = levels.shape[1:] == (classes,) and bool((levels[0] == torch.arange(classes)).all())
        for fine, coarse in pairwise(levels):
            same = fine[:, None] == fine
            joined = joined and bool((coarse[:, None] == coarse)[same].all())
        ranked = list(self.thresholds) == sorted(self.thresholds)
        if not joined or len(self.thresholds) != len(levels) - 1 or not ranked:
            raise ShapeError(
                f"Segmentation: hierarchy {tuple(levels.shape)} with {len(self.thresholds)} "
                f"thresholds does not fit {classes} classes",
                fix="Level 0 lists the classes, each level joins groups of the one before; give "
                "one rising threshold per coarser level.",
            )
        return levels

    def _significant(self, wins: Tensor) -> Tensor:
        """Positions at which `share <= tau` is rejected, all of a row together at level alpha."""
        from scipy.stats import binom

        table = torch.as_tensor(binom.sf(range(-1, self.samples), self.samples, self.tau))
        chance = flat(table.to(wins.device)[wins])  # P[as many wins or more | share = tau]
        positions = max(chance.shape[1], 1)
        if self.correction == "bonferroni":
            return (chance <= self.alpha / positions).view_as(wins)
        ranked, order = chance.sort(1)
        left = positions - torch.arange(positions, device=wins.device)
        good = (ranked <= self.alpha / left).long().cumprod(1).bool()
        return torch.zeros_like(good).scatter(1, order, good).view_as(wins)

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """Bounds of the margin: of as many positions as the adversary needs, the least lost.

        Args:
            model: a `Smoothed` model with outputs `(B, ..., K)` and sigma > 0.
            x: `(B, ...)` inputs.
            goal: `Pixels`, or untargeted for a single answer per row.
            threat: an L2 ball.
            dice: row draws of the noise.

        Raises:
            Unsupported: for another model, goal or threat.
        """
        ball = two_norm_only(threat, "certifier:segmentation")
        covered = isinstance(goal, Pixels | Untargeted)
        if not isinstance(model, Smoothed) or model.sigma <= 0 or not covered:
            raise Unsupported(
                "certifier:segmentation certifies a Smoothed model with sigma > 0 against Pixels",
                fix="Pass smoothed(model, sigma=0.25) and Pixels(y, share).",
                code="E0312",
            )
        y = torch.as_tensor(getattr(goal, "y", None)).to(x.device)
        found = self.segments(model, x, dice_or(dice, len(x)))
        if found.node.shape != y.shape:
            raise ShapeError(
                f"{tuple(found.node.shape)} positions for labels {tuple(y.shape)}",
                fix="Pass one label per position of the segments.",
            )
        kept = found.certified & (found.level == 0) & (found.node == y)
        tau = torch.special.ndtri(torch.tensor(self.tau, dtype=torch.float64))
        left = torch.special.ndtr(tau - ball.radius / model.sigma)
        bound = (torch.log1p(-left) - left.log()).to(x.device)
        each = torch.where(kept, bound, torch.inf).masked_fill(y == UNLABELLED, -torch.inf)
        ranked = flat(each).sort(1, descending=True).values
        share = goal.share if isinstance(goal, Pixels) else 1.0
        labelled = flat(y != UNLABELLED).sum(1)
        needed = (share * labelled).ceil().long().clamp(min=1)
        margin = ranked.gather(1, needed[:, None] - 1)[:, 0]
        return Certificate(model, threat, margin, found.radius * margin.isfinite(), 1 - self.alpha)
