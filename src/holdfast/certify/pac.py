"""PAC certificates: an affine model of a black box that holds for most changes."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, log1p, prod
from typing import Any

import torch
from torch import Tensor

from holdfast.certify.affine_fit import focused, least_squares, modelled
from holdfast.certify.linear.region import region
from holdfast.core.catalog import register
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice, dice_or
from holdfast.core.fields import Count, Inner, Natural, settings
from holdfast.core.goal import Goal, Outputs, logits
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.core.splitmix import GOLDEN

NUMBERS = 2**18  # input numbers per forward pass


@dataclass(frozen=True, eq=False)
class Affine:
    """What the margin looks like around each input.

    Args:
        slope: like the input: change of the margin per change of each number, the sensitivity.
        bias: `(B,)` margin of no change, as modelled.
        slack: `(B,)` largest distance of fresh margins from the model.
        top: `(B,)` the model's largest value over the whole threat.
        seen: `(B,)` largest margin that was met, at samples and at the model's worst change.
    """

    slope: Tensor
    bias: Tensor
    slack: Tensor
    top: Tensor
    seen: Tensor


@register(
    "certifier",
    name="pac",
    cites="trajpac",
    says="Bounds the margin of all but a share of the changes by a sampled affine model.",
)
@settings
class PACAffine(Certifier):
    """Fits an affine model to sampled margins and widens it until fresh samples fit.

    The model is learnt from `fit` random changes by least squares; with `focus`, the `free` largest
    slopes are then chosen anew so that the largest residual of `focus` fresh changes is least (a
    linear programme). Its slack is the largest residual of still fresh changes, as many that
    `(1 - error) ** count <= significance`: a model that more than `error` of all changes leave
    survives them no more often. So with confidence `1 - significance`, a share of at least
    `1 - error` of the changes, as the threat samples them, has margins below the model plus its
    slack, whose maximum over a norm ball is known in closed form.

    That is no proof: the certificate's `mass` is `1 - error`, and a narrow spike may be missed. The
    model's worst change is tried on the model itself; if it wins, or any sample did, nothing is
    certified. Asking about several radii multiplies the chance of an error by their number.

    Unlike the paper: the slack always comes from a third set of samples, whose number is the
    exact one for a model that is fixed by then (90 instead of 225 at 5 % and 1 %).

    Args:
        error: share of the changes that may exceed the bound.
        significance: probability, per row, that more do.
        fit: changes for least squares; best several times the numbers of an input.
        focus: changes for the linear programme; 0 leaves it out.
        free: slopes that the linear programme may choose.

    Cost: `fit + focus + log(significance) / log(1 - error) + 1` forward passes per row.
    """

    error: Inner = 0.05
    significance: Inner = 0.01
    fit: Count = 100
    focus: Natural = 0
    free: Count = 20

    @classmethod
    def example(cls, world: Any) -> PACAffine:
        """With few samples, as laws ask for a great many certificates of slow models."""
        return cls(error=0.2, fit=80)

    @property
    def fresh(self) -> int:
        """How many changes give the slack."""
        return ceil(log(self.significance) / log1p(-self.error))

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """The certificate of each row, with `mass` and `confidence` below 1.

        Raises:
            Unsupported: for a threat that is no norm ball.
        """
        found = self.model_of(model, x, goal, threat, dice=dice)
        margin = torch.maximum(found.top + found.slack, found.seen)
        margin = torch.where(margin.isfinite(), margin, torch.inf)
        return Certificate(
            model, threat, margin, confidence=1 - self.significance, mass=1 - self.error
        )

    def model_of(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Affine:
        """The affine model itself: slopes say which numbers of the input matter most."""
        ball = region(threat, x)
        rows = dice_or(dice, len(x))
        with quiet(model), torch.no_grad():
            changes, margins = _sampled(model, x, goal, threat, self.fit, rows.spawn("fit"))
            slope, bias = least_squares(changes, margins)
            seen = margins.amax(1)
            if self.focus:
                more = _sampled(model, x, goal, threat, self.focus, rows.spawn("focus"))
                slope, bias = focused(*more, slope, bias, self.free)
                seen = torch.maximum(seen, more[1].amax(1))
            fresh = _sampled(model, x, goal, threat, self.fresh, rows.spawn("fresh"))
            slack = (fresh[1] - modelled(fresh[0], slope, bias)).abs().amax(1)
            shaped = slope.reshape(x.shape)
            worst = threat.steepest(x, threat.none(x), shaped.to(x.dtype))
            corner = _judged(goal, threat.through(model, x, threat.project(x, worst)))
        least = ball.lower(-slope[:, None])[:, 0]
        top = bias - least - (slope * x.double().flatten(1)).sum(1)
        seen = torch.maximum(torch.maximum(seen, fresh[1].amax(1)), corner)
        return Affine(shaped, bias, slack, top, seen)


def _sampled(
    model: Model, x: Tensor, goal: Goal, threat: Threat, count: int, dice: Dice
) -> tuple[Tensor, Tensor]:
    """Changes `(B, N, d)` and their margins `(B, N)`, float64; a broken margin is infinite."""
    wide = (len(x), count)
    # Every draw is a row of its own, whose key follows from that of the input and its number.
    keys = (dice.keys[:, None] * GOLDEN + torch.arange(count, device=dice.keys.device)).flatten()
    draws, each = dice.keyed(keys), torch.arange(len(x), device=x.device).repeat_interleave(count)
    size = prod(x.shape[1:])
    per = max(1, NUMBERS // max(1, size))
    changes = [torch.empty(0, size, dtype=torch.float64, device=x.device)]
    margins = [torch.empty(0, dtype=torch.float64, device=x.device)]
    for rows in each.split(per):
        start = sum(len(m) for m in margins)
        part, own = x[rows], draws.part(slice(start, start + len(rows)))
        among = threat.take(rows)
        change = among.sample(part, own)
        margin = _judged(goal.take(rows), among.through(model, part, change))
        changes.append((among.apply(part, change).double() - part.double()).flatten(1))
        margins.append(margin)
    return torch.cat(changes).unflatten(0, wide), torch.cat(margins).unflatten(0, wide)


def _judged(goal: Goal, outputs: Outputs) -> Tensor:
    """Margins in float64; infinite where any output is not finite."""
    margin = goal(outputs).double()
    whole = logits(outputs).flatten(1).isfinite().all(1) & margin.isfinite()
    return torch.where(whole, margin, torch.inf)
