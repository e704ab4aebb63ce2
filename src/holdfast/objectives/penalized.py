"""What is minimised besides the loss: any objective plus a weight times another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.errors import ConfigError
from holdfast.core.fields import NonNegative, Part, settings
from holdfast.core.kinds import Objective, Run


@register(
    "objective", cites="jacobian-regularization", name="penalized",
    says="One objective plus a weight times another one, its penalty.",
)  # fmt: skip
@settings
class Penalized(Objective):
    """The sum of an objective and a weighted penalty, row by row.

    A penalty is an objective like any other: one number per row, which may read the slope of the
    model, its weights, or second views of the row. So every penalty goes with every objective,
    adversarial ones included, and several are added by putting one inside the other. At weight 0
    it is the base alone, and the penalty is not computed. Running statistics of
    normalisation layers are those of the base's passes; the passes of the penalty leave none.

    Cost: that of both.

    Args:
        base: what is learned.
        penalty: what shall stay small.
        weight: of the penalty.

    Raises:
        ConfigError: if both train parts of their own.
    """

    base: Part[Objective] = "objective:supervised"
    penalty: Part[Objective] = "objective:jacobian"
    weight: NonNegative = 0.01

    @property
    def coupled(self) -> bool:
        """Whether a row's number depends on the other rows."""
        return any(getattr(resolve(p), "coupled", False) for p in (self.base, self.penalty))

    def parts(self, model: nn.Module) -> nn.Module | None:
        """What the base or the penalty trains besides the model."""
        each = [resolve(p) for p in (self.base, self.penalty)]
        made = [e.parts(model) for e in each if hasattr(e, "parts")]
        found = [part for part in made if part is not None]
        if len(found) > 1:
            raise ConfigError(
                "Penalized: base and penalty both train parts of their own",
                fix="Train one of them as a Turn.",
            )
        return found[0] if found else None

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        losses: Tensor = resolve(self.base)(run, batch)
        if not self.weight:
            return losses
        with own_statistics(run.model):
            return losses + self.weight * resolve(self.penalty)(run, batch)


@contextmanager
def own_statistics(model: nn.Module) -> Iterator[None]:
    """Let normalisation layers keep running statistics elsewhere, and forget them.

    They are exchanged, not written back: slopes of slopes still read those of their own pass.
    """
    norms = [m for m in model.modules() if isinstance(m, _NormBase)]
    kept = [dict(m._buffers) for m in norms]
    try:
        for m, buffers in zip(norms, kept, strict=True):
            m._buffers.update({k: None if b is None else b.clone() for k, b in buffers.items()})
        yield
    finally:
        for m, buffers in zip(norms, kept, strict=True):
            m._buffers.update(buffers)


def leaf(x: Tensor) -> Tensor:
    """Inputs at which slopes are taken: cut from what made them, asking for a gradient."""
    return x.detach().requires_grad_()


def slope(value: Tensor, x: Tensor) -> Tensor:
    """`(B, n)`: gradient of one number per row in its own input, differentiable in the weights.

    Args:
        value: `(B,)`, row i from row i of `x` only (batch normalisation mixes them).
        x: `(B, ...)` inputs that ask for a gradient.
    """
    (found,) = torch.autograd.grad(value.sum(), x, create_graph=True, allow_unused=True)
    if found is None:
        return torch.zeros_like(x).flatten(1)
    return found.flatten(1)
