"""CertDR: bounds of an answer smoothed over synonyms, whatever words are replaced."""

from __future__ import annotations

from math import log
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.certify.discrete.synonyms import SynonymSmoothed
from holdfast.core.catalog import register
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, settings
from holdfast.core.goal import AtLeast, Goal, Targeted, Untargeted
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.threats.tokens import Substitutions


@register(
    "certifier",
    name="certdr",
    cites="certdr",
    says="Bounds scores and classes smoothed over synonyms under any few substitutions.",
)
@settings
class CertDR(Certifier):
    """Adds to a smoothed answer how far its distribution of versions can be shifted.

    Word j keeps a share `o_j` of its draws whatever admissible word replaces it (the least overlap
    of their sets). Draws are independent, so with R replacements the versions of both texts
    can be coupled to agree with probability `1 - q`, q = 1 - the product of the R smallest o_j:
    a mean of values in [0, 1] moves by at most q, a difference of two of them by 2 q.

    If the model takes every version (`samples=0`) this is a proof. Otherwise fresh draws estimate
    the mean, Hoeffding's inequality bounds it for every way to win at once, and a row is wrong
    with probability at most alpha.

    Unlike the paper: overlaps divide by the larger of two sets, without which the bound is
    false where sets differ in size.

    Args:
        samples: fresh draws per row, where the model does not take every version.
        alpha: probability, per row, that the statement is wrong.

    Cost: `samples` forward passes per row, or one per version.
    """

    discrete: ClassVar[bool] = True
    samples: Count = 1000
    alpha: Inner = 0.05

    def subject(self, model: Model) -> Model:
        """The smoothed model that laws try this certifier on: twelve words in pairs."""
        sets = torch.arange(12).reshape(6, 2).repeat_interleave(2, 0)
        return SynonymSmoothed(model, sets)

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """The certificate of each row.

        Args:
            model: a `SynonymSmoothed` model.
            x: `(B, L)` ids.
            goal: untargeted, targeted, or that one score reaches a level.
            threat: substitutions.
            dice: row draws of the versions; independent of the model's own draws.

        Raises:
            Unsupported: for another model, goal or threat.
        """
        if not isinstance(model, SynonymSmoothed):
            raise Unsupported(
                "certifier:certdr certifies a SynonymSmoothed model, not its base",
                fix="Pass SynonymSmoothed(model, sets).",
                code="E0312",
            )
        if not isinstance(threat, Substitutions) or not isinstance(
            goal, Untargeted | Targeted | AtLeast
        ):
            raise Unsupported(
                f"certifier:certdr covers substitutions, not {threat.spec} with "
                f"{type(goal).__name__}",
                fix="Use substitutions:3:30522, and classes or AtLeast.",
                code="E0312",
            )
        wide = 1.0 if isinstance(goal, AtLeast) else 2.0
        if not len(x):
            return Certificate(model, threat, torch.zeros(0, dtype=torch.float64))
        with quiet(model), torch.no_grad():
            if model.samples:
                mean = estimated(model, x, self.samples, dice_or(dice, len(x)))
            else:
                mean = model(x)
        ways = max(1, goal.ways(mean).shape[1])
        ends = wide * (log(ways / self.alpha) / (2 * self.samples)) ** 0.5 if model.samples else 0.0
        # Sums over the same versions in another order may differ by rounding.
        margin = goal(mean) + wide * shifts(model, x, threat).to(mean.device) + ends + 1e-9
        margin = torch.where(mean.isfinite().all(1), margin, torch.inf)
        return Certificate(
            model, threat, margin, confidence=1 - self.alpha if model.samples else 1.0
        )


def shifts(model: SynonymSmoothed, x: Tensor, threat: Substitutions) -> Tensor:
    """`(B,)`: the largest total variation between the versions of a text and of any changed one.

    Args:
        model: whose sets are drawn from.
        x: `(B, L)` ids.
        threat: which words may replace which, and how many at once.
    """
    words, back = x.unique(return_inverse=True)
    # Of a table or of the whole vocabulary; what may not be replaced offers itself alone.
    offered = threat.choices(words[:, None])[:, 0]
    pairs = zip(words, offered, strict=True)
    kept = torch.stack([model.overlap(w.expand(len(own)), own).amin() for w, own in pairs])
    ranked = kept[back].sort(1).values[:, : threat.edits]
    return 1 - ranked.prod(1)


def estimated(model: SynonymSmoothed, x: Tensor, samples: int, dice: Dice) -> Tensor:
    """`(B, K)`: mean probabilities over fresh draws of each row."""
    u = dice.spawn("certdr").uniform((samples, *x.shape[1:]), device=x.device, dtype=torch.float64)
    found = [
        model.probabilities(model.drawn(row.expand(draw.shape), draw)).mean(0)
        for row, draw in zip(x, u, strict=True)
    ]
    return torch.stack(found)
