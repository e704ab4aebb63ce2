"""Layers of a low rank in place of full ones."""

from __future__ import annotations

from torch import nn

from holdfast.compress.sites import copied
from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Share, settings
from holdfast.core.kinds import Rewrite
from holdfast.layers.low_rank import LowRank


@register("rewrite", cites="condlr", name="low-rank", says="Give layers a low rank, in factors.")
@settings
class LowRankFactors(Rewrite):
    """Replace linear and convolutional layers by factors `U S V^T` of a low rank.

    Each layer becomes the closest matrix of that rank (the largest singular values are kept), and
    stays of that rank however the factors are trained. At full rank the model is the same function.
    Layers whose factors would be no smaller in rank than one, grouped convolutions and transposed
    ones stay as they are.

    Cost: one singular value decomposition per layer; no data.

    Args:
        kept: share of the full rank of each layer that is kept, rounded down, at least 1.
        spare_head: leave the last layer as it is, if there are others.
    """

    kept: Share = 0.2
    spare_head: bool = True

    def __call__(
        self, model: nn.Module, batches: Batches | None = None, *, dice: Dice | None = None
    ) -> nn.Module:
        new = copied(model)
        found = [n for n, m in new.named_modules() if _factorable(m)]
        if not found:
            raise Unsupported("the model has no layer to factor", fix="Compress another model.")
        for name in found[:-1] if self.spare_head and len(found) > 1 else found:
            layer = new.get_submodule(name)
            if not isinstance(layer, nn.Linear | nn.Conv2d):
                continue
            full = min(layer.weight.flatten(1).shape)
            made = LowRank(layer, max(1, int(self.kept * full + 1e-9))).train(layer.training)
            if not name:
                return made
            above, _, own = name.rpartition(".")
            setattr(new.get_submodule(above), own, made)
        return new


def _factorable(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        return module.groups == 1 and module.padding_mode == "zeros"
    return isinstance(module, nn.Linear)
