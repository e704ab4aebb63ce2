"""Certificates from Lipschitz constants: how far the margin can move at most."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from holdfast.certify.linear.region import region
from holdfast.certify.lipschitz.chain import Link, linked
from holdfast.certify.lipschitz.modules import chain
from holdfast.certify.lipschitz.values import Evaluated, reach
from holdfast.certify.reading.reader import read, training_parts
from holdfast.core.catalog import register
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.fields import settings
from holdfast.core.goal import Goal, logits
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.threats.norms import L2


@register("certifier", name="lipschitz", cites="gloro")
@settings
class Lipschitz(Certifier):
    """Bounds the margin by its value at the input plus the radius times its Lipschitz constant.

    Sound because Euclidean constants of layers multiply along a path and add where paths meet,
    and each is a proved upper bound: exact spectral norms verified by a factorisation, and for
    large convolutions those of all frequencies on a torus. The layers behind the last bend are
    merged with each way to win, so that what two logits share cancels. Loose for networks that
    were not trained for it; a certificate costs no more than one forward pass, whatever the
    radius. Other norms are covered by the Euclidean ball around the box they reach.

    Unlike the paper, whose power iteration stays below the true norm, nothing here does, and
    the rounding of the model's own arithmetic is included.

    Cost: one forward pass per row in float64, and the norms of all layers once.
    """

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """Upper bounds of the margin; for an L2 threat also the radius that would be proved.

        Args:
            model: in eval mode, made of Linear, Conv, ReLU, MinMax and alike, or any network
                of affine operators and ReLUs that can be read.
            x: `(B, ...)` inputs.
            goal: linear in the logits.
            threat: a norm ball.
            dice: not used.

        Raises:
            Unsupported: for a layer, goal or threat that cannot be bounded.
        """
        if not isinstance(x, Tensor) or not x.dtype.is_floating_point:
            raise ShapeError(
                "Lipschitz bounds need one floating point tensor", fix="Pass x.float()."
            )
        space = region(threat, x.detach())
        with torch.no_grad():
            links = _links(model, x)
            known = Evaluated.of(links, x)
            c, constant = (v.to(x.device).double() for v in goal.linear(prod(links[-1].shape)))
            slope = known.slope(c)
            margin = known.margin(c, constant, slope, reach(space))
            radius = None
            if isinstance(threat, L2):
                first = known.radius(c, constant, slope, torch.zeros_like(reach(space)))
                radius = _stored(known.radius(c, constant, slope, first), x)
        return Certificate(model, threat, margin, radius)


def _stored(radius: Tensor, x: Tensor) -> Tensor:
    """The radius less what a change can grow by when it is added and stored in the type of x."""
    eps = torch.finfo(x.dtype).eps
    length = torch.linalg.vector_norm(x.double().flatten(1), dim=1)
    found: Tensor = (radius * (1 - 33 * eps) - eps * length).clamp(0, 1e30)
    return found


def _links(model: Model, x: Tensor) -> list[Link]:
    """The model as links, which must answer as the model does where it can be compared."""
    if names := training_parts(model):
        raise Unsupported(
            f"Lipschitz bounds do not cover {names[0]} in training mode",
            fix="Call model.eval() before certifying.",
        )
    try:
        links = chain(model, tuple(x.shape[1:]), exact=True)
    except Unsupported as unknown:
        try:
            return linked(read(model, x))
        except Unsupported:
            raise unknown from None
    if len(links[-1].shape) != 1:
        raise Unsupported(f"outputs of shape {links[-1].shape}", fix="Return logits (B, K).")
    rows = x[:8]
    with quiet(model) if isinstance(model, nn.Module) else torch.no_grad(), torch.no_grad():
        theirs = logits(model(rows))
    if theirs.dtype != x.dtype:
        raise Unsupported(f"inputs are {x.dtype} but logits {theirs.dtype}", fix="Use one type.")
    known = Evaluated.of(links, rows)
    gap = torch.linalg.vector_norm(theirs.double() - known.values[-1], dim=1)
    if bool((gap > known.error(torch.zeros_like(gap))).any()):
        raise Unsupported(
            f"{type(model).__name__} does not compute what its layers say",
            fix="Remove hooks and overridden methods.",
        )
    return links
