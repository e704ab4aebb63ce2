"""Which channels of a layer bear noise before the answer suffers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.measures.model.site import Site

Threshold = Literal["batch", "sample", "channel"]


def information(noise: Tensor, variance: Tensor) -> Tensor:
    """KL divergence, in nats, of noise of this variance from the feature's own; 0 where equal."""
    share = (variance + 1e-10) / (noise + 1e-10)
    return 0.5 * (variance / (noise + 1e-10) - share.log() - 1)


def variances(features: Tensor) -> Tensor:
    """`(B, C)`: variance of each channel over its places.

    Raises:
        Unsupported: for features with a single place.
    """
    flat = features.flatten(2) if features.dim() > 2 else features[..., None]
    if flat.shape[2] < 2:
        raise Unsupported(
            "channels with one place have no variance of their own, got features "
            f"{tuple(features.shape)}",
            fix="Watch a layer before the pooling, with two places or more per channel.",
        )
    return flat.var(2)


@dataclass(frozen=True, eq=False)
class Channels:
    """A layer's channels, told apart by the noise they bear.

    Args:
        features: `(B, C, ...)` at the layer.
        noise: `(B, C)` standard deviation of the noise that the answer bears.
        variance: `(B, C)` of the features.
        robust: `(B, C)` bool, channels that bear more noise than features vary.
    """

    features: Tensor
    noise: Tensor
    variance: Tensor
    robust: Tensor

    def part(self, robust: bool) -> Tensor:
        """The features with the other channels set to zero."""
        mask = self.robust if robust else ~self.robust
        return self.features * _over(mask.to(self.features), self.features)


def _over(values: Tensor, features: Tensor) -> Tensor:
    return values.reshape(*values.shape, *[1] * (features.dim() - 2))


def channels(
    site: Site,
    x: Tensor,
    y: Tensor,
    *,
    steps: int = 200,
    rate: float = 0.1,
    weight: float = 0.3,
    threshold: Threshold = "batch",
    variance: Tensor | None = None,
    dice: Dice,
) -> Channels:
    """Learns how much noise each channel of each row bears before its answer suffers.

    Cross-entropy under noise plus `weight` times the information that is left: the second pulls
    the noise towards the feature's own variance, the first resists where the answer needs the
    channel. With a threshold of its own, a row's result does not depend on the others.

    Args:
        site: the layer.
        x: inputs.
        y: `(B,)` labels that the answer is held to.
        steps: of Adam.
        rate: of Adam.
        weight: of the information, averaged over channels.
        threshold: the variance above which noise makes a channel robust: the largest of the
            batch, of the row's channels, or its own.
        variance: `(B, C)`; over the places of each channel unless given.
        dice: keyed draws of the rows.

    Cost: `steps + 1` forward and `steps` backward passes.
    """
    with torch.no_grad():
        z = site.both(x)[0].detach()
    v = (variances(z) if variance is None else variance).detach()
    with torch.enable_grad():
        raw = torch.zeros_like(v, requires_grad=True)
        optimizer = torch.optim.Adam([raw], lr=rate)
        for _ in range(steps):
            draw = dice.normal(z.shape[1:], device=z.device, dtype=z.dtype)
            scale = F.softplus(raw)
            out = site.head(x, z + _over(scale, z) * draw)
            loss = F.cross_entropy(out, y, reduction="none")
            # A sum over rows: Adam's step then does not depend on how many there are.
            cost = (loss + weight * information(scale.square(), v).mean(1)).sum()
            (raw.grad,) = torch.autograd.grad(cost, raw)
            optimizer.step()
    noise = F.softplus(raw.detach())
    level = {"batch": v.max() if v.numel() else v.sum(), "sample": v.amax(1, keepdim=True),
             "channel": v}[threshold]  # fmt: skip
    return Channels(z, noise, v, noise.square() > level)
