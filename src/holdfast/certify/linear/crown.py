"""CROWN: linear bounds from the margin back to the input."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.certify.linear.bounds import Intermediate, margins, propagate
from holdfast.certify.linear.prepare import prepare
from holdfast.core.catalog import register
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.fields import settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Certifier, Model, Threat


@register(
    "certifier",
    name="crown",
    cites=("crown", "linear-relaxations", "float-soundness"),
    says="Bounds the margin by a linear function of the input, drawn back through every layer.",
)
@settings
class CROWN(Certifier):
    """Replaces each ReLU by two lines and carries the margin back to the input as coefficients.

    Sound because the lines hold on the whole interval of each ReLU, and the linear function that
    remains is minimised exactly: by corners for a box, by the dual norm for a ball. Where every
    ReLU has a fixed sign the bound is attained. Never looser than interval bounds, which are
    computed along the way and kept where they are better.

    Unlike the paper, only neurons whose sign is open are bounded anew, per row; everything is
    computed in float64 and rounded outward, by what the model's own type may lose as well.

    Args:
        intermediate: how the interval of each ReLU is found: `crown` by the same backward pass
            from every neuron (the paper), `ibp` by boxes (CROWN-IBP: much cheaper, looser).

    Cost: with `ibp` about two forward passes and one backward per way; with `crown` one
    backward more per open neuron and direction.
    """

    intermediate: Intermediate = "crown"

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
        bounds = propagate(graph, region, self.intermediate)
        found = [margins(bounds, c, constant, relax=relax) for relax in (True, False)]
        return Certificate(model, threat, torch.minimum(*found).amax(1))
