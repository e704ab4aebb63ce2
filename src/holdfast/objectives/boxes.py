"""Training on the worst case over a box, as interval or linear bounds see it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.errors import Unsupported
from holdfast.core.fields import NonNegative, Part, Share, settings
from holdfast.core.kinds import Loss, Objective, Run, Threat
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.supervised import per_row
from holdfast.ops.spans import Span
from holdfast.ops.tape import NoRule, Through
from holdfast.threats.norms import LInf


def ramp(progress: float, wait: float, end: float) -> float:
    """0 up to `wait`, 1 from `end` on, linear between; both are shares of the run."""
    if progress >= end:
        return 1.0
    return max(0.0, (progress - wait) / (end - wait)) if end > wait else 0.0


def spanned(model: nn.Module, x: Tensor, low: Tensor, high: Tensor) -> Span:
    """The outputs of a model over a box around each input, with live weights.

    Raises:
        Unsupported: naming the function that has no rule.
    """
    try:
        out = model(Span.over(x, low, high))
    except NoRule as error:
        raise Unsupported(
            f"training on bounds: {error}",
            fix="Build the model of Linear, Conv, BatchNorm, ReLU, pooling and sums.",
        ) from None
    found = out[0] if isinstance(out, tuple) else out
    if not isinstance(found, Span) or found.dim() != 2:
        raise Unsupported(
            "training on bounds needs logits (B, K) that depend on the input, got "
            f"{type(found).__name__}",
            fix="Give a model that returns logits (B, K) computed from its input.",
        )
    return found


def worst_logits(out: Span, y: Tensor, through: Through) -> Tensor:
    """`(B, K)`: 0 at the label, elsewhere an upper bound of how far that class can be ahead.

    The last affine layers are merged with each difference, so that what two logits share cancels.

    Args:
        out: of a network on boxes.
        y: `(B,)` labels.
        through: how the rest is bounded, see `Tape.upper`.
    """
    eye = torch.eye(out.shape[1], dtype=out.dtype, device=out.device)
    ways = eye[:, None] - eye[y.clamp(min=0)][None]  # (K, B, K)
    return out.tape.upper(out.position, ways, through).T


@register(
    "objective", cites="ibp-training", name="ibp",
    says="A mixture of the clean loss and the loss of the worst logits that interval bounds allow.",
)  # fmt: skip
@settings
class BoundTraining(Objective):
    """IBP training: minimises the loss at the worst logits that a box of inputs can reach.

    The bound lies above the loss of every admissible change, so what is minimised is a proof in
    the making. Interval bounds explode through an untrained network: so the radius is 0 at first,
    then grows linearly over the run (`wait` to `end`), while the share of the clean loss falls
    to `clean`. Gradients flow through the boxes and |W|. While training, batch normalisation
    uses the statistics of the inputs themselves for box and point. At radius 0 and with
    `clean` at 1 this is plain training.

    CROWN-IBP is the same with `linear` at 1: one backward pass of linear bounds over the boxes
    found is mixed in, which is much tighter while boxes are wide; its share falls to 0 over the
    ramp. Where the share is 0 that pass is left out.

    Cost per batch: three forward passes, and K rows of coefficients through the last layers;
    while linear bounds count, through all layers.

    Args:
        threat: which changes are admissible; a maximum-norm ball.
        loss: between logits and labels.
        clean: share of the clean loss behind the ramp.
        linear: share of linear bounds before the ramp.
        wait: share of the run with radius 0.
        end: share of the run at which the radius is full.
        excess: factor on the radius: a little more than what will be certified helps.

    Raises:
        Unsupported: for other threats, or functions that have no rule for boxes.
    """

    threat: Part[Threat] = LInf()
    loss: Part[Loss] = "loss:cross-entropy"
    clean: Share = 0.5
    linear: Share = 0.0
    wait: Share = 0.1
    end: Share = 0.6
    excess: NonNegative = 1.0

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x, threat, loss = tensor_of(batch), resolve(self.threat), resolve(self.loss)
        if not isinstance(threat, LInf):
            raise Unsupported(
                f"training on boxes does not cover {threat.spec}", fix="Train against linf:8/255."
            )
        grown = ramp(run.progress, self.wait, self.end)
        radius = threat.radius * self.excess * grown
        low = torch.minimum((x - radius).clamp(min=threat.low), x)
        high = torch.maximum((x + radius).clamp(max=threat.high), x)
        out = spanned(run.model, x, low, high)
        share = 1 - (1 - self.clean) * grown
        plain = per_row(loss(out.step.point, batch.y), batch.y)
        if share == 1:
            return plain
        worst = worst_logits(out, batch.y, "stop")
        lines = self.linear * (1 - grown)
        if lines:
            worst = (1 - lines) * worst + lines * worst_logits(out, batch.y, "relax")
        return share * plain + (1 - share) * per_row(loss(worst, batch.y), batch.y)


CROWN_IBP = register(
    "objective", cites="crown-ibp", name="crown-ibp",
    says="IBP training that starts from linear bounds, which stay tight while boxes are wide.",
)(BoundTraining(linear=1.0, clean=0.0))  # fmt: skip
