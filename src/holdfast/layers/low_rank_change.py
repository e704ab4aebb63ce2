"""Changes of a few matrices by matrices of low rank, and nothing else trained."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from holdfast.core.errors import ConfigError
from holdfast.core.ranges import inside


class LowRankChange(nn.Module):
    """A matrix plus the product of two thin ones; the second starts at zero.

    Args:
        weight: `(n, m)` the matrix, for its shape and type.
        rank: of the change.
        generator: of the first start.
    """

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        n, m = weight.shape
        start = torch.randn(rank, m, generator=generator) / m**0.5
        self.first = nn.Parameter(start.to(weight))
        self.second = nn.Parameter(weight.new_zeros(n, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """The changed matrix."""
        return weight + self.second @ self.first


def with_low_rank(
    model: nn.Module, layers: Sequence[str] = (), rank: int = 8, seed: int = 0
) -> nn.Module:
    """A copy whose linear layers learn changes of low rank; the weights themselves are frozen.

    Before training the copy computes the same.

    Args:
        model: any model; it stays as it is.
        layers: names of linear layers; without any all of them.
        rank: of the changes.
        seed: of their start.

    Raises:
        ConfigError: for a name that is no linear layer, or a rank below 1.
    """
    copy = deepcopy(model).requires_grad_(False)
    known = {n: m for n, m in copy.named_modules() if isinstance(m, nn.Linear)}
    if lost := [n for n in layers if n not in known]:
        raise ConfigError(
            f"with_low_rank: {lost[0]!r} is no linear layer of the model",
            fix=f"Give names of its linear layers, such as {', '.join([*known][:3]) or 'none'}.",
        )
    inside("[1, inf]", "with_low_rank", rank=rank)
    if not known:
        raise ConfigError(
            "with_low_rank: the model has no linear layer",
            fix="Give a model with an nn.Linear inside.",
        )
    generator = torch.Generator().manual_seed(seed)
    for name in layers or known:
        made = LowRankChange(known[name].weight, rank, generator)
        parametrize.register_parametrization(known[name], "weight", made)
    return copy
