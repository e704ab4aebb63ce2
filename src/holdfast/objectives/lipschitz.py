"""Training for certificates from Lipschitz constants."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from holdfast.certify.lipschitz.chain import constants, pulled
from holdfast.certify.lipschitz.modules import chain
from holdfast.certify.lipschitz.norms import Iterated
from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, NonNegative, Part, Share, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Loss, Objective, Run, Threat
from holdfast.losses.lipschitz_margin import adaptive_margins, with_bottom
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.supervised import per_row
from holdfast.threats.norms import L2


def slopes(model: nn.Module, x: Tensor, steps: int, kept: dict[str, Tensor]) -> Tensor:
    """`(K, K)`: Lipschitz constants of the differences of two logits, as power iteration sees them.

    Differentiable in the weights, and never above what a certificate will find: certify with
    `certifier:lipschitz`, which proves its norms.

    Args:
        model: made of layers of known meaning.
        x: `(B, ...)` inputs, for their shape.
        steps: of power iteration per layer.
        kept: directions from which it goes on; changed.
    """
    links = chain(model, tuple(x.shape[1:]))
    moves = constants(links, Iterated(steps, kept))
    classes = links[-1].shape[0]
    total = x.new_zeros(classes, classes)
    for i, a in pulled(links, torch.eye(classes, dtype=x.dtype, device=x.device)).items():
        apart = (a.flatten(1)[:, None] - a.flatten(1)).square().sum(-1)
        total = total + (apart + 1e-24).sqrt() * moves[i].to(x)
    return total


@register(
    "objective", cites="gloro", name="gloro",
    says="The clean loss plus the chance of the bottom logit, which wins where nothing is proved.",
)  # fmt: skip
@settings
class GlobalRobustness(Objective):
    """GloRo training: the network learns to keep its logits apart by more than it can move them.

    A logit for "not certified" is added: the largest value that another class could reach in the
    ball, by the Lipschitz constants of the layers. In `trades` mode the loss is the clean one plus
    `weight` times the divergence of the prediction with that logit from the one without it,
    which is minus the log-probability that is left to the classes; in `bottom` mode the loss on
    all logits, the new one never being right; in `emma` mode the loss on logits raised by what
    is in dispute (see `adaptive_margins`). The gradient flows through the norms. At radius 0
    emma is plain training.

    Cost per batch: one forward pass, and `2 * steps` products per layer with a single row.

    Args:
        threat: a Euclidean ball.
        mode: which loss.
        weight: of the divergence in trades mode.
        ramp: share of the run during which the radius grows linearly from a tenth.
        steps: of power iteration.
        loss: between logits and labels.

    Raises:
        Unsupported: for other threats, or modules whose constant is not known.
    """

    threat: Part[Threat] = L2(radius=36 / 255)
    mode: Literal["trades", "bottom", "emma"] = "trades"
    weight: NonNegative = 2.0
    ramp: Share = 0.5
    steps: Count = 10
    loss: Part[Loss] = "loss:cross-entropy"

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, threat, loss = tensor_of(batch), resolve(self.threat), resolve(self.loss)
        if not isinstance(threat, L2):
            raise Unsupported(
                f"Lipschitz training does not cover {threat.spec}", fix="Train against l2:0.5."
            )
        grown = min(1.0, 0.1 + 0.9 * run.progress / self.ramp) if self.ramp else 1.0
        radius = threat.radius * grown
        z = logits(run.model(x))
        s = slopes(run.model, x, self.steps, run.memory(self))
        if self.mode == "emma":
            return per_row(loss(adaptive_margins(z, batch.y, s, radius), batch.y), batch.y)
        more = with_bottom(z, s, radius)
        if self.mode == "bottom":
            return per_row(loss(more, batch.y), batch.y)
        spoiled = more.logsumexp(1) - z.logsumexp(1)  # -log(1 - p_bottom)
        return per_row(loss(z, batch.y), batch.y) + self.weight * spoiled


EMMA = register(
    "objective", cites="liresnet", name="emma",
    says="Logits raised by as much as the ball may add, up to the point where they draw level.",
)(GlobalRobustness(mode="emma"))  # fmt: skip
