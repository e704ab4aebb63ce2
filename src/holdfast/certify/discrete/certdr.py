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

DOUBLE = torch.float64


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
    with probability at most alpha. Bounds are raised by what rounding may change (`averaged`).

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
            mean, apart = averaged(model, x, self.samples, dice_or(dice, len(x)))
        ways = max(1, goal.ways(mean).shape[1])
        ends = wide * (log(ways / self.alpha) / (2 * self.samples)) ** 0.5 if model.samples else 0.0
        margin = goal(mean) + wide * (shifts(model, x, threat).to(mean.device) + apart) + ends
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


def averaged(model: SynonymSmoothed, x: Tensor, samples: int, dice: Dice) -> tuple[Tensor, Tensor]:
    """Mean probabilities over versions, and what rounding may change when they are taken again.

    Two texts share versions; on these the base may answer differently in another batch, which
    counts by their share at most as much as it does in the mean over the versions of the first
    text. All other versions are in the shift already, whatever their probabilities. On top of
    that, means and softmaxes in double precision lose a unit of rounding per term.

    Args:
        model: whose versions are taken: all of them, or draws if it draws itself.
        x: `(B, L)` ids.
        samples: draws per row.
        dice: one row per text, independent of the model's own draws.

    Returns:
        `(B, K)` means and `(B,)` how far each may lie from that of another evaluation.
    """
    u = None
    if model.samples:
        u = dice.spawn("certdr").uniform((samples, *x.shape[1:]), device=x.device, dtype=DOUBLE)
    means, apart = [], []
    for i, row in enumerate(x):
        every = model.versions(row) if u is None else model.drawn(row.expand(u[i].shape), u[i])
        p, differ = model.answers(every)
        means.append(p.mean(0))
        apart.append(differ.mean())
    mean = torch.stack(means)
    terms = max(model.most, samples) + mean.shape[1] + x.shape[1] + 16
    return mean, torch.stack(apart) + terms * torch.finfo(DOUBLE).eps
