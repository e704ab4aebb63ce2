"""Rows weighed as the worst distribution near the sample would."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.fields import NonNegative, Share, settings
from holdfast.core.kinds import Hook, Run
from holdfast.ops.holistic import Order, holistic_weights


@register("hook", cites="holistic-robust", name="holistic-robust",
          says="Weighs rows against corruption and chance.")  # fmt: skip
@settings
class HolisticRobust(Hook):
    """Holistic robustness: the loss of the worst distribution that the batch may come from.

    A share `alpha` of the rows may have been corrupted, and what is left is only a sample: the
    true distribution lies within a Kullback-Leibler ball around it. The weights are those of the
    distribution with the largest mean loss; the gradient of that loss is the weighted one, since
    the weights are the best ones already. With an adversarial objective it covers evasion too:
    then, with probability about `1 - exp(-radius n)`, the loss bounds the one on new attacked
    rows. With both at 0 rows weigh alike. On few rows it costs accuracy: the weights look at what
    is hardest, wrong labels among them. The batch is the sample: keep its size fixed, and let
    the radius be of the order of one over it or more.

    Cost: some hundred operations on one number per row.

    Unlike the paper: no convex solver; both orders come down to a bisection (HD) or to a few
    (HR), whose result the tests compare with a solver's.

    Args:
        alpha: share of the rows that may be corrupted.
        radius: of the ball, in nats.
        order: corruption before chance (`HD`) or after it (`HR`).
    """

    neutral: ClassVar[dict[str, Any]] = {"alpha": 0.0, "radius": 0.0}

    alpha: Share = 0.05
    radius: NonNegative = 0.1
    order: Order = "HD"

    def share(self, run: Run, batch: Batch, losses: Tensor) -> Tensor | None:
        if not len(losses) or not (self.alpha or self.radius):
            return None
        p = holistic_weights(losses, self.alpha, self.radius, self.order)
        weights = p[:-1].clone()
        weights[losses.argmax()] += p[-1]
        return (len(losses) * weights).to(losses)
