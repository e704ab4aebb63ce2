"""Several nets that see the input in different domains, merged by how sure each is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.fields import Ingredient, ingredient, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.ops.laplace import entropy_shares

Merge = Literal["sureness", "mean", "surest"]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Models whose probabilities are added by weight.

    Args:
        members: at least one.
        merge: how the weights are found.
    """

    members: tuple[Model, ...]
    merge: Merge

    def __call__(self, x: Tensor) -> Tensor:
        """`(B, K)` logarithms of the mixture; a single member's own logits."""
        if len(self.members) == 1:
            return logits(self.members[0](x))
        z = torch.stack([logits(m(x)) for m in self.members])
        share = entropy_shares(z)
        if self.merge == "mean":
            share = torch.full_like(share, 1 / len(z))
        if self.merge == "surest":
            share = torch.zeros_like(share).scatter(0, share.argmax(0, keepdim=True), 1.0)
        mixed: Tensor = (z.log_softmax(-1) + share.log()[..., None]).logsumexp(0)
        return mixed


@register(
    "defence", cites="cross-domain-ensembles", name="cross-domain",
    says="Merges nets that see the input in other domains by how sure they are.",
)  # fmt: skip
@settings
class CrossDomain:
    """A net and others behind fixed filters, each counting as much as it is sure.

    A change that ruins edges may leave low frequencies alone, and the other way round; nets
    behind different filters (`layers.domains.InDomain`) therefore fail on different rows, more than
    nets that differ by their start only. Probabilities are mixed by the inverse square of each
    member's entropy. That only works if sureness means something off the training distribution:
    divide the logits of each path by a temperature that was fitted on distorted rows
    (`defence:temperature`), which is what sigma training is for a classifier. Compare with as
    many nets in one domain, never with a single one.

    Unlike the paper: its pixel-wise regression is merged by `ops.laplace.by_inverse_variance`;
    there is no learned merging net, and no consistency between tasks.

    Cost: a forward pass of each path.

    Args:
        paths: further models of the same inputs and classes, each with its filter inside; none
            gives the model itself.
        merge: by `sureness`, all alike (`mean`), or the `surest` alone.
    """

    paths: Ingredient[tuple[Model, ...]] = ingredient()
    merge: Merge = "sureness"

    def __call__(self, model: Model) -> Ensemble:
        """The model and its other paths as one model."""
        return Ensemble((model, *(self.paths or ())), self.merge)
