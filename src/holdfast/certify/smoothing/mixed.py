"""What is proved about a mixture when only its robust part is known."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from holdfast.certify.smoothing.randomized import bounded_share, safe_classes, smoothed_only
from holdfast.core.catalog import register, resolve
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Count, Inner, Part, settings
from holdfast.core.goal import Goal, Untargeted, logits
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.defend.mixed import Mixed
from holdfast.defend.smoothed import Smoothed, smoothed

SLACK = 1e-4  # what rounding may move the logarithm of a mixture of float32 outputs
HALF = 0.5


def lipschitz_radius(shares: Tensor, y: Tensor, weight: float, lipschitz: Tensor) -> Tensor:
    """Radius of a mixture whose robust part has probabilities with known Lipschitz constants.

    Within r the lead of y over i in the robust part falls by at most `r (L_y + L_i)`, and the
    accurate part can take `(1 - a) / a` of it.

    Args:
        shares: `(B, K)` probabilities of the robust part.
        y: `(B,)` labels.
        weight: least weight a of the robust part.
        lipschitz: `(K,)` of each probability, in the norm that the radius shall have; those of
            means over normal noise of deviation s are at most `sqrt(2 / pi) / s` in L2.

    Returns:
        `(B,)`: 0 where nothing is proved, in particular for weights of at most one half.

    Raises:
        ConfigError: for a weight outside [0, 1] or constants that are not positive.
    """
    if not 0 <= weight <= 1 or not bool((lipschitz > 0).all()):
        raise ConfigError(
            "lipschitz_radius: needs a weight in [0, 1] and positive constants",
            fix="Give weight=0.5 and the Lipschitz constant of each class.",
        )
    own = shares.gather(1, y[:, None])
    room = (weight * (own - shares) + weight - 1) / (weight * (lipschitz[y, None] + lipschitz))
    room = room.scatter(1, y[:, None], torch.inf).amin(1)
    return torch.where(room.isfinite(), room.clamp(min=0), 0.0) if weight > HALF else 0 * room


@register(
    "certifier",
    name="mixed",
    cites=("mixing-classifiers", "adaptive-smoothing"),
    says="Proves a mixture from what is proved about its robust part alone.",
)
@settings
class MixedMargin(Certifier):
    """Lets the accurate part of a mixture do its worst, and asks whether the robust part prevails.

    With least weight a, the mixture keeps class y at an input if the robust part's probability of
    y leads any other by more than `(1 - a) / a`, since the accurate part can take away no more.
    Over a whole threat that lead is bounded in one of two ways. A `Smoothed` robust part: if its
    share of y is at least p at the input, then within r it is at least `ndtr(ndtri(p) - r / s)`
    and every other at most one minus that, so the radius is `s (ndtri(p) - ndtri(1 / 2a))`. Any
    other: `inner` bounds its logits; a lead of M over each of K classes means a lead in
    probability of at least `(1 - exp(-M)) / (1 + (K - 1) exp(-M))`.

    Unlike the paper, whose radius for smoothed parts takes `a h` and `a h + 1 - a` for shares of
    votes: knowing that the parts are shares themselves gives a radius at least as large. The
    Lipschitz form is `lipschitz_radius`; constants that a user states are not checked by it.

    Args:
        inner: certifier of a robust part that is not smoothed.
        selection: noisy copies that choose the class of a smoothed part.
        samples: fresh noisy copies that bound its share.
        alpha: probability, per row, that the statement about a smoothed part is wrong.

    Cost: that of the certificate of the robust part.
    """

    inner: Part[Certifier] = "certifier:crown"
    selection: Count = 100
    samples: Count = 1000
    alpha: Inner = 0.001

    @staticmethod
    def subject(model: Model) -> Model:
        """The form of a model that it covers, for the laws."""
        return Mixed(model, smoothed(model, sigma=0.1), 0.8, 0.8)

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """Upper bounds of the margin of the mixture under the worst accurate part.

        Args:
            model: a `Mixed` model.
            x: `(B, ...)` inputs.
            goal: untargeted; for a smoothed part also targeted.
            threat: L2 for a smoothed part, otherwise what `inner` covers.
            dice: row draws.

        Raises:
            Unsupported: for another model, or what the robust part's certifier refuses.
        """
        if not isinstance(model, Mixed):
            raise Unsupported(
                f"certifier:mixed certifies a Mixed model, not {type(model).__name__}",
                fix="Pass Mixing(robust=...)(model), or certify the model with certifier:crown.",
                code="E0312",
            )
        if isinstance(model.robust, Smoothed):
            return self._smoothed(model, x, goal, threat, dice_or(dice, len(x)))
        return self._proved(model, model.robust, x, goal, threat, dice)

    def _smoothed(
        self, model: Mixed, x: Tensor, goal: Goal, threat: Threat, dice: Dice
    ) -> Certificate:
        about, ball = smoothed_only(model.robust, threat, goal, "certifier:mixed")
        with quiet(model):
            chosen, share, classes = bounded_share(
                about, x, self.selection, self.samples, self.alpha, dice
            )
        safe, a, reach = (
            safe_classes(goal, chosen, classes),
            model.least,
            torch.special.ndtri(share),
        )
        left = torch.special.ndtr(reach - ball.radius / about.sigma)
        worst = torch.log1p(-a * left) - (a * left).log()  # the others have at most 1 - a left
        margin = torch.where(safe & (left > 0), worst + SLACK, torch.inf)
        limit = torch.special.ndtri(torch.tensor(HALF / a, dtype=torch.float64, device=x.device))
        radius = torch.where(safe, about.sigma * (reach - limit).clamp(min=0), 0.0)
        return Certificate(model, threat, margin, radius, 1 - self.alpha)

    def _proved(
        self, model: Mixed, robust: Model, x: Tensor, goal: Goal, threat: Threat, dice: Dice | None
    ) -> Certificate:
        if not isinstance(goal, Untargeted):
            raise Unsupported(
                f"certifier:mixed knows leads over all classes, not {type(goal).__name__}",
                fix="Use an untargeted goal.",
                code="E0312",
            )
        found = resolve(self.inner)(robust, x, goal, threat, dice=dice)
        with quiet(model), torch.no_grad():
            others = logits(robust(x[:1])).shape[-1] - 1
        a, bound = model.least, found.margin.double()
        if a == 0:
            margin = torch.full_like(bound, torch.inf)
        else:
            # h_y >= 1 / (1 + (K-1) e^M) and h_i <= e^M h_y, so F_i / F_y is at most this sum.
            margin = torch.logaddexp(
                torch.log1p(others * bound.exp()) + log(max(1 - a, 1e-300) / a), bound
            )
        margin = torch.where(found.proved, margin + SLACK, torch.inf)
        return Certificate(model, threat, margin, None, found.confidence, found.mass)
