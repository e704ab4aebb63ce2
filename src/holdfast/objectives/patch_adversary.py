"""Training features from which no single place tells the label."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from holdfast.core.catalog import register, resolve
from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import NonNegative, Part, Positive, Share, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Loss, Objective, Run
from holdfast.objectives.adversarial import tensor_of
from holdfast.objectives.supervised import per_row

Reads = Literal["place", "patch", "deep"]


def weighted_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Linear layers and convolutions by name, in order."""
    return {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}


def weight_of(layer: nn.Module) -> Tensor:
    """The weights of a layer that has some."""
    found: Tensor = layer.weight  # type: ignore[assignment]
    return found


def local_losses(head: nn.Module, weights: Mapping[str, Tensor], h: Tensor, y: Tensor) -> Tensor:
    """`(B,)`: cross-entropy of a local classifier, averaged over places; 0 without a label.

    It sees each row's features at unit size, so that shrinking them is no way to mislead it.
    """
    wide = h if h.dim() == 4 else h.flatten(1)[:, :, None, None]
    size = wide.square().mean((1, 2, 3), keepdim=True).sqrt()
    z = functional_call(head, dict(weights), (wide / size.clamp(min=1e-6),))
    target = y[:, None, None].expand(-1, *z.shape[2:])
    each = F.cross_entropy(z, target, reduction="none", ignore_index=UNLABELLED)
    return each.flatten(1).mean(1)


@register("objective", cites="par-imagenet-sketch", name="patch-adversary")
@settings
class PatchAdversary(Objective):
    """The loss of the labels, less that of a classifier that sees one place of an early layer.

    A local classifier, one for all places, learns to tell the label from the features at a
    single place; the layers below learn to make it fail. So they cannot live on textures, which are
    everywhere, and have to leave the label to form. The classifier's own loss reaches only the
    classifier, the reversed one only the model. It is cut at that of a uniform guess: beyond,
    features would gain by growing without bound.

    Cost: one forward pass of the model, two of the local classifier.

    Args:
        loss: of the outputs.
        weight: of the reversed loss.
        warmup: share of the run before it counts; the classifier learns from the start.
        pace: weight of the classifier's own loss, so that it stays ahead; optimizers that
            divide by the size of gradients do not feel it, give it a turn of its own there.
        layer: name of the layer whose output is read; the first with weights unless given.
        reads: what the classifier sees: one place, a patch of 3 by 3, or one place through a
            net of three layers.
    """

    loss: Part[Loss] = "loss:cross-entropy"
    weight: NonNegative = 1.0
    warmup: Share = 0.2
    pace: Positive = 3.0
    layer: str = ""
    reads: Reads = "place"

    def site(self, model: nn.Module) -> nn.Module:
        """The layer that is read.

        Raises:
            Unsupported: if no layer has weights.
            ConfigError: for a layer that does not exist.
        """
        layers = weighted_layers(model)
        if not layers:
            raise Unsupported(
                "PatchAdversary needs a linear layer or a convolution",
                fix="Give a model with an nn.Linear or nn.Conv2d inside.",
            )
        if self.layer and self.layer not in layers:
            raise ConfigError(
                f"PatchAdversary: there is no layer {self.layer!r}",
                fix=f"Layers are: {', '.join(layers)}.",
            )
        return layers[self.layer] if self.layer else next(iter(layers.values()))

    def parts(self, model: nn.Module) -> nn.Module:
        """The local classifier, with as many outputs as the model's last layer."""
        first = weight_of(self.site(model))
        last = weight_of(list(weighted_layers(model).values())[-1])
        classes, channels = len(last), len(first)
        side = 3 if self.reads == "patch" else 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            if self.reads == "deep":
                made: nn.Module = nn.Sequential(
                    nn.Conv2d(channels, 2 * channels, 1), nn.ReLU(),
                    nn.Conv2d(2 * channels, channels, 1), nn.ReLU(),
                    nn.Conv2d(channels, classes, 1),
                )  # fmt: skip
            else:
                made = nn.Conv2d(channels, classes, side, padding=side // 2)
        return made.to(first.dtype)

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        seen: list[Tensor] = []
        handle = self.site(run.model).register_forward_hook(lambda m, i, out: seen.append(out))
        try:
            z = logits(run.model(tensor_of(batch)))
        finally:
            handle.remove()
        head = run.parts[next(k for k in run.parts)]
        h, own = seen[-1], dict(head.named_parameters())
        still = {name: w.detach() for name, w in own.items()}
        plain = per_row(resolve(self.loss)(z, batch.y), batch.y)
        learned = local_losses(head, own, h.detach(), batch.y)
        fooled = local_losses(head, still, h, batch.y).clamp(max=log(z.shape[-1]))
        weight = self.weight if run.progress >= self.warmup else 0.0
        return plain - weight * fooled + self.pace * learned
