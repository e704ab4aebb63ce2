"""Leaving out whole neurons."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.compress.magnitude import smallest
from holdfast.compress.sites import copied
from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Share, settings
from holdfast.core.kinds import Rewrite

Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def hidden(model: nn.Module) -> list[tuple[Layer, list[Tensor]]]:
    """Layers whose neurons may go, with all tensors that belong to these neurons.

    All linear and convolutional layers but the last: weight, bias, and scale and offset of the
    batch normalisation that follows. What a removed neuron hands on is then exactly 0.

    Raises:
        Unsupported: if there is no layer before the last one.
    """
    order = [m for m in model.modules() if isinstance(m, (*Layer.__args__, *_NORMS))]
    layers = [i for i, m in enumerate(order) if isinstance(m, Layer)]
    found: list[tuple[Layer, list[Tensor]]] = []
    for i in layers[:-1]:
        layer, follows = order[i], order[i + 1]
        owned = [layer, follows] if isinstance(follows, _NORMS) else [layer]
        own = [t for m in owned for t in (m.weight, m.bias) if isinstance(t, Tensor)]
        if isinstance(layer, Layer):
            found.append((layer, own))
    if not found:
        raise Unsupported("the model has no hidden layer", fix="Compress a deeper model.")
    return found


@torch.no_grad()
def silence(model: nn.Module, kept: list[Tensor]) -> None:
    """Set to zero what belongs to neurons that are not kept."""
    for (_, own), keep in zip(hidden(model), kept, strict=True):
        for t in own:
            t.mul_(keep.to(t).reshape(-1, *[1] * (t.dim() - 1)))


def strongest(model: nn.Module, share: float) -> list[Tensor]:
    """Per hidden layer which neurons are kept: all but the share with the shortest weights."""
    return [
        smallest(layer.weight.detach().flatten(1).norm(dim=1), 1 - share)
        for layer, _ in hidden(model)
    ]


@register("rewrite", cites="adasap", says="Silence the neurons with the shortest weights.")
@settings
class NeuronPruning(Rewrite):
    """Structured pruning: silence in each hidden layer the neurons with the shortest weights.

    A neuron goes as a whole (its weights, its bias, its batch normalisation), so what it hands on
    is exactly 0 and its column in the next layer has no effect: the net that is left is a smaller
    dense one. The modules stay, with zeros in them. The last layer is never touched. Counted by
    rank, never by a threshold.

    Cost: the lengths of the weights; no data.

    Args:
        share: of the neurons of each hidden layer that go, rounded down.
    """

    share: Share = 0.5

    def __call__(
        self, model: nn.Module, batches: Batches | None = None, *, dice: Dice | None = None
    ) -> nn.Module:
        new = copied(model)
        silence(new, strongest(new, self.share))
        return new
