"""Randomized smoothing: a certified L2 radius from votes under Gaussian noise."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, settings
from holdfast.core.goal import Goal, Targeted, Untargeted, logits
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.defend.smoothed import Smoothed
from holdfast.ops.statistics import clopper_pearson_lower
from holdfast.threats.norms import L2

NUMBERS = 2**21  # input numbers per forward pass


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

    Cost: `selection + samples` forward passes per row.
    """

    selection: Count = 100
    samples: Count = 1000
    alpha: Inner = 0.001

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
        if not isinstance(model, Smoothed) or model.sigma <= 0:
            raise Unsupported(
                "certifier:smoothing certifies a Smoothed model with sigma > 0, not its base",
                fix="Pass smoothed(model, sigma=0.25), and attack that model as well.",
                code="E0312",
            )
        if not isinstance(threat, L2):
            raise Unsupported(
                f"certifier:smoothing covers L2 balls, not {threat.spec}",
                fix="Use l2:RADIUS; a linf ball of radius r lies in l2 of r * sqrt(inputs).",
                code="E0312",
            )
        if not isinstance(goal, Untargeted | Targeted):
            raise Unsupported(
                f"certifier:smoothing knows which class wins, not {type(goal).__name__}",
                fix="Use an untargeted or targeted goal.",
                code="E0312",
            )
        rows = dice_or(dice, len(x))
        with quiet(model), torch.no_grad():
            guess = votes(model, x, self.selection, rows.spawn("selection"))
            count = votes(model, x, self.samples, rows.spawn("samples"))
        if not len(x):
            empty = torch.zeros(0, dtype=torch.float64, device=x.device)
            return Certificate(model, threat, empty, empty, 1 - self.alpha)
        chosen = guess.argmax(1)
        wins = count.gather(1, chosen[:, None])[:, 0]
        share = clopper_pearson_lower(wins, self.samples, self.alpha).to(x.device)
        reach = torch.special.ndtri(share)  # -inf for a share of 0
        alone = torch.zeros_like(count, dtype=torch.float64).scatter_(1, chosen[:, None], 1.0)
        safe = goal(alone) < 0
        radius = torch.where(safe, model.sigma * reach.clamp(min=0), 0.0)
        # Moving by r lowers the quantile of the share by at most r / sigma.
        left = torch.special.ndtr(reach - threat.radius / model.sigma)
        margin = torch.where(safe, torch.log1p(-left) - left.log(), torch.inf)
        return Certificate(model, threat, margin, radius, 1 - self.alpha)


def votes(model: Smoothed, x: Tensor, samples: int, dice: Dice) -> Tensor:
    """`(B, K)`: how many noisy copies of each row vote for each class; outputs with NaN abstain.

    The number of copies drawn at once depends on the size of one row alone, so that the draws
    are the same for any batch.
    """
    numbers = max(1, x[:1].numel())
    block = max(1, min(samples, 2**17 // numbers))
    per = max(1, NUMBERS // (numbers * block))
    found = []
    for start in range(0, max(1, len(x)), per):
        part, own = x[start : start + per], dice.part(slice(start, start + per))
        total = torch.zeros((), dtype=torch.int64, device=x.device)
        for done in range(0, samples, block):
            shape = (min(block, samples - done), *x.shape[1:])
            noise = own.normal(shape, device=x.device, dtype=x.dtype)
            copies = part[:, None] + model.sigma * noise
            z = logits(model.base(copies.flatten(0, 1)))
            z = z.unflatten(0, (len(part), shape[0]))
            heard = z.isfinite().all(-1, keepdim=True)
            winners = torch.nn.functional.one_hot(z.argmax(-1), z.shape[-1])
            total = total + (winners * heard).sum(1)
        found.append(total)
    return torch.cat(found)
