"""The last linear layer of a model by itself: features in, logits out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from holdfast.core.data import Batches
from holdfast.core.errors import Unsupported
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import modules_of, quiet
from holdfast.detect.features import ANSWER, LAST, features

TOLERANCE = 1e-4  # of the largest logit: what float32 may lose


@dataclass(frozen=True, eq=False)
class Head:
    """A linear layer in float64.

    Args:
        weight: `(K, D)`.
        bias: `(K,)`.
    """

    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        return features @ self.weight.T + self.bias


def head(model: Model, trusted: Batches) -> Head:
    """The linear layer that a model ends in.

    It is tried on trusted rows: what it makes of the features must be what the model answers.

    Raises:
        Unsupported: without trusted rows, or if the model does not end in a linear layer.

    Cost: two forward passes of one batch.
    """
    batch = next(iter(trusted), None)
    if batch is None:
        raise Unsupported("a detector needs trusted rows to learn from", fix="Pass --reference.")
    called: list[nn.Linear] = []
    linear = [m for part in modules_of(model) for m in part.modules() if isinstance(m, nn.Linear)]
    with quiet(model), torch.no_grad():
        hooks = [m.register_forward_pre_hook(lambda m, _: called.append(m)) for m in linear]
        try:
            z = logits(model(batch.x))
        finally:
            for hook in hooks:
                hook.remove()
    if called and z.dim() == 2:
        last = called[-1]
        weight = last.weight.detach().double()
        bias = weight.new_zeros(len(weight)) if last.bias is None else last.bias.detach().double()
        own = Head(weight, bias)
        found, answers = features(model, batch.x, LAST), features(model, batch.x, ANSWER)
        fits = found.shape[1] == weight.shape[1] and answers.shape[1] == len(weight)
        if fits:
            good = found.isfinite().all(1) & answers.isfinite().all(1)
            gap = (own(found) - answers)[good].abs()
            if not gap.numel() or gap.max() <= TOLERANCE * (1 + answers[good].abs().max()):
                return own
    raise Unsupported(
        "the model does not end in a linear layer whose outputs are its logits",
        fix="Use detector:energy, detector:knn or detector:mahalanobis.",
    )
