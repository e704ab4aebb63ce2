"""Interval bound propagation: boxes through the network, the question merged into its end."""

from __future__ import annotations

from torch import Tensor

from holdfast.certify.linear.bounds import margins, propagate
from holdfast.certify.linear.prepare import prepare
from holdfast.core.catalog import register
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.fields import settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Certifier, Model, Threat


@register(
    "certifier",
    name="ibp",
    cites="ibp-bounds",
    says="Bounds every value of the network by an interval, at the cost of two forward passes.",
)
@settings
class IBP(Certifier):
    """Propagates a box through the network and bounds each way to win over the last one.

    Sound because each step holds the image of the step before, rounded outward. The affine
    layers behind the last ReLU are merged with the margin, so that a common change of two logits
    cancels; for a network without ReLU the bound is attained.

    Unlike the paper, L2 and L1 balls use their dual norm up to the first ReLU, and residual sums
    behind the last ReLU are merged too.

    Cost: two forward passes per row, and one row of coefficients per way.
    """

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """Upper bounds of the margin over the whole threat, of the model as it is computed.

        The rounding of the model's own arithmetic is included, whatever the order of its sums
        (see `bounds`), and so is that of changed inputs; rows that may overflow are not proved.

        Args:
            model: in eval mode, made of the operators that can be read.
            x: `(B, ...)` inputs.
            goal: linear in the logits.
            threat: a norm ball.
            dice: not used.

        Raises:
            Unsupported: for an operator, goal or threat that cannot be bounded.
        """
        question = prepare(model, x, goal, threat)
        if question is None:
            return Certificate(model, threat, x.new_zeros(0).double())
        graph, region, c, constant = question
        bounds = propagate(graph, region, "ibp")
        return Certificate(model, threat, margins(bounds, c, constant, relax=False).amax(1))
