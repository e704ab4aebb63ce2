"""The certified radius of dual smoothing: two bounded shares and the cheapest way to share out."""

from __future__ import annotations

from math import pi, sqrt

import torch
from torch import Tensor

from holdfast.certify.smoothing.randomized import one_answer, safe_classes, two_norm_and_one_class
from holdfast.certify.smoothing.votes import votes
from holdfast.core.catalog import register
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.defend.dual import DualSmoothed
from holdfast.ops.statistics import clopper_pearson_lower

CELLS = 256  # of the arc of all ways to share out a length
SURE = -torch.finfo(torch.float64).tiny


def least_votes(left: Tensor, right: Tensor, length: float) -> Tensor:
    """A lower bound of both shares together, whatever the split of a change of some length.

    Along the arc `(length cos t, length sin t)` one share falls and the other grows, so over a
    cell of angles the sum is at least that of the smaller ends.

    Args:
        left: `(B,)` quantiles of the share of one half.
        right: `(B,)` of the other.
        length: of the change, in standard deviations of the noise.
    """
    angle = torch.linspace(0, pi / 2, CELLS + 1, dtype=torch.float64, device=left.device)
    one = torch.special.ndtr(left[:, None] - length * angle[:-1].cos())
    two = torch.special.ndtr(right[:, None] - length * angle[1:].sin())
    least: Tensor = (one + two).amin(1)
    return least


@register(
    "certifier",
    name="dual-smoothing",
    cites="drs",
    says="Certifies an L2 radius of a DualSmoothed model from the votes of both halves.",
)
@settings
class DualRadius(Certifier):
    """Bounds the winner's share in each half, then asks for the cheapest way to overturn the sum.

    A change of length t (in deviations) within a half lowers the quantile of its share by at most
    t. The class keeps more than half of all votes while `ndtr(a - s) + ndtr(b - t) > 1`, that is
    while `s + t < a + b`; of all splits of a length the even one has the largest s + t. So the
    radius is `sigma (a + b) / sqrt(2)`, one of the two possibly negative, and for two classes it
    is attained. Each half's bound is wrong with probability at most alpha / 2.

    Unlike the published code, which spends alpha on each half and clips each at 0.

    Args:
        selection: noisy copies per half that choose the class.
        samples: fresh noisy copies per half that bound its shares.
        alpha: probability, per row, that the statement is wrong.

    Cost: twice `selection + samples` forward passes per row.
    """

    selection: Count = 100
    samples: Count = 1000
    alpha: Inner = 0.001

    @staticmethod
    def subject(model: Model) -> Model:
        """The form of a model that it covers, for the laws."""
        return DualSmoothed(model, model, 0.1, 64)

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """Radii, and bounds of the margin of the mean frequencies at the threat's radius.

        Args:
            model: a `DualSmoothed` model with sigma > 0.
            x: `(B, ...)` inputs.
            goal: untargeted or targeted.
            threat: an L2 ball.
            dice: row draws of the noise; independent of the model's own noise.

        Raises:
            Unsupported: for another model, goal or threat.
        """
        who = "certifier:dual-smoothing"
        if not isinstance(model, DualSmoothed) or model.sigma <= 0:
            raise Unsupported(
                f"{who} certifies a DualSmoothed model with sigma > 0",
                fix="Pass DualSmoothing(sigma=0.25)(model).",
                code="E0312",
            )
        ball = two_norm_and_one_class(threat, goal, who)
        rows = dice_or(dice, len(x))
        with quiet(model), torch.no_grad():
            sides = [(side, rows.spawn(f"half{k}")) for k, side in enumerate(model.sides)]
            guess = sum(votes(s, x, self.selection, d.spawn("selection")) for s, d in sides)
            counts = [votes(s, x, self.samples, d.spawn("samples")) for s, d in sides]
        chosen = one_answer(torch.as_tensor(guess)).argmax(1)
        wins = [c.gather(1, chosen[:, None])[:, 0] for c in counts]
        a, b = (
            torch.special.ndtri(clopper_pearson_lower(k, self.samples, self.alpha / 2).to(x.device))
            for k in wins
        )
        safe = safe_classes(goal, chosen, counts[0].shape[1])
        reach = model.sigma * (a + b) / sqrt(2)
        left = least_votes(a, b, float(ball.radius) / model.sigma) / 2
        margin = torch.log1p(-left) - left.log()
        margin = torch.where(reach > ball.radius, margin.clamp(max=SURE), margin.clamp(min=0))
        radius = torch.where(safe, reach.clamp(min=0), 0.0)
        return Certificate(
            model, threat, torch.where(safe, margin, torch.inf), radius, 1 - self.alpha
        )
