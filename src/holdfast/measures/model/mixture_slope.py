"""A bound of the Lipschitz constant of a mixture of experts, in two parts."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.inputs import one_tensor, some_rows
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.measures.model.mixture import entering, mixtures
from holdfast.run.reading import proportion

STEEP = {nn.ReLU: 1.0, nn.Tanh: 1.0, nn.Identity: 1.0, nn.Flatten: 1.0, nn.Sigmoid: 0.25,
         nn.Dropout: 1.0, nn.ELU: 1.0, nn.Softplus: 1.0}  # fmt: skip


def chain_lipschitz(module: nn.Module) -> float:
    """Product of the largest singular values of a chain of linear layers and known activations.

    Raises:
        Unsupported: for any other module.
    """
    if isinstance(module, nn.Sequential):
        return prod(chain_lipschitz(part) for part in module)
    if isinstance(module, nn.Linear):
        return float(torch.linalg.matrix_norm(module.weight.detach().double(), 2))
    if type(module) in STEEP:
        return STEEP[type(module)]
    raise Unsupported(
        f"no Lipschitz constant is known of {type(module).__name__}",
        fix="Experts must be chains of linear layers and activations.",
    )


@dataclass(frozen=True, eq=False)
class MixtureSlope:
    """A bound of the slope of one mixture between any two points of a ball around each row.

    Args:
        experts: the largest Lipschitz constant of an expert.
        routing: `(B,)` what changing shares can add; 0 where the only expert is certain.
        constant: `(B,)` whether the choice of experts is the same all over the ball.
        jump: `(B,)` height by which the answer may jump inside the ball; 0 if constant.
        name: prefix of the readings.
        alpha: of the interval.
    """

    experts: float
    routing: Tensor
    constant: Tensor
    jump: Tensor
    name: str
    alpha: float

    @property
    def bound(self) -> Tensor:
        """`(B,)`: experts plus routing; infinite where the choice may change."""
        return torch.where(self.constant, self.experts + self.routing, torch.inf)

    def readings(self) -> tuple[Reading, ...]:
        """Both parts of the bound, their mean over rows with a constant choice, and its share."""
        n = len(self.routing)

        def one(word: str, value: float) -> Reading:
            return Reading(name=f"{self.name}.{word}", value=value, low=0.0, high=value, n=n,
                           bound="upper", unit="change of output per change of input",
                           better="lower")  # fmt: skip

        kept = self.routing[self.constant]
        found = [one("experts", self.experts)]
        if len(kept):
            found += [one("routing", float(kept.mean())),
                      one("bound", self.experts + float(kept.mean()))]  # fmt: skip
        share = proportion(f"{self.name}.constant", int(self.constant.sum()), n, alpha=self.alpha)
        return (*found, share)


@register("measure", cites="moe-robustness")
def mixture_slope(
    mixture: Model,
    batches: Batches,
    *,
    radius: float = 0.1,
    layer: int = 0,
    alpha: float = 0.05,
    name: str = "mixture-slope",
) -> MixtureSlope:
    """Bounds how fast a mixture changes: by its experts, plus by its router times their quarrel.

    `f(x) - f(x') = sum p_i (f_i - f_i') + sum (p_i - p_i') f_i'`. The first sum is at most the
    largest Lipschitz constant of an expert. The shares' differences add up to zero, so only
    differences between experts count in the second: half the L1 slope of the shares times the
    largest disagreement in the ball. Where all experts agree, no router matters. Softmax shares
    of linear scores have an L1 slope of at most half the largest distance of two of the router's
    rows, for a mean absolute deviation is at most half the range. Of a hard choice this holds on
    the chosen experts as long as no score can overtake within the ball; else the answer may jump
    by the disagreement of those that can change places.

    Args:
        mixture: a model with a mixture of experts inside, whose router is a linear layer and
            whose experts are chains of linear layers and activations.
        batches: rows of one tensor of inputs; labels are not needed.
        radius: of the ball around what enters the mixture, Euclidean.
        layer: which of the model's mixtures.
        alpha: the interval of the share covers with probability at least 1 - alpha.
        name: prefix of the readings.

    Raises:
        ConfigError: for a negative radius or a mixture that does not exist.
        ShapeError: without rows.
        Unsupported: for other routers or experts.

    Cost: one forward pass per row, and each expert on each row once more.
    """
    layers = mixtures(mixture)
    inside("[0, inf)", name, radius=radius)
    if not 0 <= layer < len(layers):
        raise ConfigError(
            f"{name}: there is no mixture {layer}, the model has {len(layers)}",
            fix="Give layer=0 and a model with a TopKMoE inside.",
        )
    part = layers[layer]
    some_rows(batches, name)
    if not isinstance(part.router, nn.Linear):
        raise Unsupported(
            f"{name} needs a linear router, got {type(part.router).__name__}",
            fix="Give TopKMoE a router that is an nn.Linear.",
        )
    steep = torch.tensor([chain_lipschitz(e) for e in part.experts], dtype=torch.float64)
    found = []
    with quiet(mixture), torch.no_grad():
        for batch in batches:
            entered = entering(mixture, one_tensor(batch.x, name), [part])[0]
            found.append(_parts(part, entered, steep, radius))
    routing, constant, jump = (torch.cat(v).cpu() for v in zip(*found, strict=True))
    return MixtureSlope(float(steep.max()), routing, constant, jump, name, alpha)


def _parts(part: Any, x: Tensor, steep: Tensor, radius: float) -> tuple[Tensor, Tensor, Tensor]:
    """Routing term, constancy and jump of each row."""
    shares, rows = part.routing(x), part.router.weight.detach().double()
    scores = part.router(x).double()
    out = torch.stack([e(x).flatten(1).double() for e in part.experts], 1)
    apart = torch.cdist(out, out)
    steep = steep.to(x.device)
    quarrel = apart + radius * (steep[:, None] + steep[None]) * (
        1 - torch.eye(len(steep)).to(apart)
    )
    # Equal experts stay equal all over the ball, whatever their Lipschitz constants are.
    quarrel = quarrel.masked_fill(_twins(part, len(steep)).to(x.device), 0.0)
    lengths = torch.cdist(rows, rows)
    used = shares != 0
    pairs = used[:, :, None] & used[:, None, :]
    overtake = (scores[:, :, None] - scores[:, None, :] <= radius * lengths) & (
        used[:, :, None] & ~used[:, None, :]
    )
    constant = ~overtake.flatten(1).any(1)
    slope = lengths.masked_fill(~pairs, 0.0).flatten(1).amax(1) / 2
    routing = slope / 2 * quarrel.masked_fill(~pairs, 0.0).flatten(1).amax(1)
    jump = quarrel.masked_fill(~overtake, 0.0).flatten(1).amax(1)
    return routing, constant, jump


def _twins(part: Any, count: int) -> Tensor:
    """`(E, E)` bool: experts with the same layers and weights."""
    same = torch.eye(count, dtype=torch.bool)
    states = [e.state_dict() for e in part.experts]
    for i in range(count):
        for j in range(i):
            alike = str(part.experts[i]) == str(part.experts[j]) and all(
                torch.equal(v, states[j][k]) for k, v in states[i].items()
            )
            same[i, j] = same[j, i] = alike
    return same
