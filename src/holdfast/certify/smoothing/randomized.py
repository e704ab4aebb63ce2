"""Randomized smoothing: a certified L2 radius from votes under Gaussian noise."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.certify.smoothing.votes import votes
from holdfast.core.catalog import register
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, settings
from holdfast.core.goal import Goal, Targeted, Untargeted
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.defend.smoothed import Smoothed
from holdfast.ops.statistics import clopper_pearson_lower
from holdfast.threats.norms import L2


@register(
    "certifier",
    name="smoothing",
    cites="randomized-smoothing",
    says="Certifies an L2 radius of a Smoothed model from votes under fresh noise.",
)
@settings
class Smoothing(Certifier):
    """Guesses the winning class from a few noisy copies, then bounds its share from fresh ones.

    If the winner's share is at least p > 1/2 then, for any base model, the smoothed classifier
    keeps its answer within `sigma * quantile(p)`, and a linear base attains that. The lower
    bound of p is Clopper-Pearson's one-sided one, so each row is wrong with probability at most
    alpha; copies that chose the class are not counted again, as that would bias the share.
    A row whose bound does not exceed 1/2 abstains: radius 0, nothing proved.

    Unlike the paper, 1,000 samples are the default (100,000 there), which limits the radius to
    2.46 sigma at alpha = 0.001; the statement itself holds for any number. It is about the
    smoothed classifier in the limit of infinitely many samples.

    Args:
        selection: noisy copies that choose the class.
        samples: fresh noisy copies that bound its share.
        alpha: probability, per row, that the statement is wrong.
        shared: the same noise for every row, which is faster, most of all where the model begins
            with linear layers. Each row is still wrong with probability at most alpha, but rows
            are then wrong together: an average over rows is less certain than it looks.

    Cost: `selection + samples` forward passes per row.
    """

    selection: Count = 100
    samples: Count = 1000
    alpha: Inner = 0.001
    shared: bool = False

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """Bounds of the margin of log-frequencies: the log-odds of losing at the threat's radius.

        Args:
            model: a `Smoothed` model with sigma > 0.
            x: `(B, ...)` inputs.
            goal: untargeted or targeted.
            threat: an L2 ball.
            dice: row draws of the noise; independent of the model's own noise.

        Returns:
            The certificate with `radius` (0 where the row abstains or the adversary has won).

        Raises:
            Unsupported: for another model, goal or threat.
        """
        about, ball = smoothed_only(model, threat, goal, "certifier:smoothing")
        chosen, share, classes = bounded_share(
            about, x, self.selection, self.samples, self.alpha, dice_or(dice, len(x)), self.shared
        )
        reach = torch.special.ndtri(share)  # -inf for a share of 0
        safe = safe_classes(goal, chosen, classes)
        radius = torch.where(safe, about.sigma * reach.clamp(min=0), 0.0)
        # Moving by r lowers the quantile of the share by at most r / sigma.
        left = torch.special.ndtr(reach - ball.radius / about.sigma)
        margin = torch.where(safe, torch.log1p(-left) - left.log(), torch.inf)
        return Certificate(model, threat, margin, radius, 1 - self.alpha)


def smoothed_only(model: Model, threat: Threat, goal: Goal, who: str) -> tuple[Smoothed, L2]:
    """Model and threat, if they and the goal are such that its votes say something.

    Raises:
        Unsupported: otherwise.
    """
    if not isinstance(model, Smoothed) or model.sigma <= 0:
        raise Unsupported(
            f"{who} certifies a Smoothed model with sigma > 0, not its base",
            fix="Pass smoothed(model, sigma=0.25), and attack that model as well.",
            code="E0312",
        )
    return model, two_norm_and_one_class(threat, goal, who)


def two_norm_and_one_class(threat: Threat, goal: Goal, who: str) -> L2:
    """The threat, if it is an L2 ball and the goal is about the class that wins.

    Raises:
        Unsupported: otherwise, naming what is not covered.
    """
    ball = two_norm_only(threat, who)
    if not isinstance(goal, Untargeted | Targeted):
        raise Unsupported(
            f"{who} knows which class wins, not {type(goal).__name__}",
            fix="Use an untargeted or targeted goal.",
            code="E0312",
        )
    return ball


def two_norm_only(threat: Threat, who: str) -> L2:
    """The threat, if it is an L2 ball.

    Raises:
        Unsupported: otherwise, naming it.
    """
    if not isinstance(threat, L2):
        raise Unsupported(
            f"{who} covers L2 balls, not {threat.spec}",
            fix="Use l2:RADIUS; a linf ball of radius r lies in l2 of r * sqrt(inputs).",
            code="E0312",
        )
    return threat


def safe_classes(goal: Goal, chosen: Tensor, classes: int) -> Tensor:
    """`(B,)` bool: rows on which the adversary has not won if the chosen class is the answer."""
    alone = torch.arange(classes, device=chosen.device) == chosen[:, None]
    return goal(alone.double()) < 0


def bounded_share(
    model: Smoothed, x: Tensor, selection: int, samples: int, alpha: float, dice: Dice,
    shared: bool = False,
) -> tuple[Tensor, Tensor, int]:  # fmt: skip
    """The class that a few copies choose, and a lower bound of its share from fresh ones.

    Args:
        model: whose copies vote.
        x: `(B, ...)` inputs.
        selection: copies that choose.
        samples: fresh copies that are counted.
        alpha: probability, per row, that the bound exceeds the share.
        dice: of the rows.
        shared: whether all rows meet the same noise.

    Returns:
        Chosen class `(B,)`, bound `(B,)` float64, number of classes.
    """
    with quiet(model), torch.no_grad():
        guess = votes(model, x, selection, dice.spawn("selection"), shared=shared)
        counts = votes(model, x, samples, dice.spawn("samples"), shared=shared)
    chosen = one_answer(guess).argmax(1)
    wins = counts.gather(1, chosen[:, None])[:, 0]
    return chosen, clopper_pearson_lower(wins, samples, alpha).to(x.device), counts.shape[1]


def one_answer(counts: Tensor) -> Tensor:
    """The counts `(B, K)`, if they are those of one answer per row.

    Raises:
        Unsupported: for a model that answers at many positions.
    """
    if counts.dim() != 2:
        raise Unsupported(
            f"one answer per row can be certified here, the model gives {tuple(counts.shape[1:])}",
            fix="Use certifier:segmentation for outputs with positions.",
            code="E0312",
        )
    return counts
