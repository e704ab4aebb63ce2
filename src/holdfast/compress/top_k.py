"""A model in which only the largest activations go on."""

from __future__ import annotations

from torch import nn

from holdfast.compress.sites import copied
from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Count, settings
from holdfast.core.kinds import Rewrite
from holdfast.layers.top_k import TopK


@register("rewrite", cites="lazy-neuron", name="top-k", says="Only the k largest units go on.")
@settings
class TopKActivations(Rewrite):
    """Puts a layer behind every ReLU that lets only the k largest activations pass.

    Trained nets use few units per token anyway; made exact, this saves the multiplications behind
    the layer, and keeps a net from learning noise by heart. The copy has the same weights under
    other names, and is meant to be trained or tuned afterwards. With k at least the width
    nothing changes.

    Args:
        k: units that pass, per token or place.
        layers: names of the rectifiers; without any all of them.
    """

    k: Count = 32
    layers: tuple[str, ...] = ()

    def __call__(
        self, model: nn.Module, batches: Batches | None = None, *, dice: Dice | None = None
    ) -> nn.Module:
        new = copied(model)
        named = dict(new.named_modules())
        if lost := [n for n in self.layers if n not in named]:
            raise ConfigError(
                f"top-k: the model has no module {lost[0]!r}",
                fix="Name modules as model.named_modules() does.",
            )
        found = self.layers or tuple(n for n, m in named.items() if isinstance(m, nn.ReLU) and n)
        if not found:
            raise Unsupported("top-k: no ReLU inside the model", fix="Name layers=(...).")
        for name in found:
            parent, _, own = name.rpartition(".")
            setattr(named[parent], own, nn.Sequential(named[name], TopK(self.k)))
        return new
