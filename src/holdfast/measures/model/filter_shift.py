"""How far apart the filters of several nets are distributed, and what the distance goes with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Count
from holdfast.core.inputs import some_models
from holdfast.core.records import Reading
from holdfast.measures.model.filter_basis import (
    filter_shift,
    net_filters,
)


def outlying(distances: Tensor) -> Tensor:
    """`(n,)` bool: distances above the third quartile by more than three quartile distances."""
    ends = torch.tensor([0.25, 0.75], dtype=distances.dtype)
    first, third = distances.quantile(ends)
    far: Tensor = distances > third + 3 * (third - first)
    return far


@dataclass(frozen=True)
class Attribution:
    """With which of two labels of the nets their distance goes.

    Args:
        first: mean distance of pairs that differ in the first label alone.
        second: mean distance of pairs that differ in the second label alone.
        chance: share of shuffled second labels whose gap `second - first` is as large.
    """

    first: float
    second: float
    chance: float


def attributed(
    distances: Tensor,
    first: Sequence[str],
    second: Sequence[str],
    *,
    draws: int = 200,
    seed: int = 0,
) -> Attribution:
    """Compares pairs of nets that differ in one label alone, and tests the gap by shuffling.

    Args:
        distances: `(m, m)` between nets.
        first: label of each net, such as its domain.
        second: another label, such as its architecture.
        draws: shuffles of the second label among nets of equal first label.
        seed: of the shuffles.

    Raises:
        ConfigError: if no pair differs in one label alone.
    """
    a, b = (torch.tensor([sorted(set(v)).index(x) for x in v]) for v in (first, second))
    upper = torch.ones_like(distances, dtype=torch.bool).triu(1)
    g = torch.Generator().manual_seed(seed)

    def means(b: Tensor) -> tuple[float, float]:
        other_a, other_b = a[:, None] != a, b[:, None] != b
        one, two = (distances[upper & m] for m in (other_a & ~other_b, other_b & ~other_a))
        if not len(one) or not len(two):
            raise ConfigError(
                "attributed: no pair of nets differs in one label alone",
                fix="Give two nets whose labels are equal but for one.",
            )
        return float(one.mean()), float(two.mean())

    one, two = means(b)
    as_large = 0
    for _ in range(draws):
        shuffled = b.clone()
        for value in a.unique():
            here = (a == value).nonzero().flatten()
            shuffled[here] = b[here[torch.randperm(len(here), generator=g)]]
        low, high = means(shuffled)
        as_large += high - low >= two - one - 1e-12
    return Attribution(one, two, (1 + as_large) / (1 + draws))


@dataclass(frozen=True, eq=False)
class FilterShifts:
    """Distances between the filters of several nets.

    Args:
        distances: `(m, m)`, symmetric, 0 on the diagonal.
        count: filters of all nets.
        name: prefix of the readings.
    """

    distances: Tensor
    count: int
    name: str

    def readings(self) -> tuple[Reading, ...]:
        """Mean and largest distance of two nets."""
        m = len(self.distances)
        pairs = self.distances[torch.ones(m, m, dtype=torch.bool).triu(1)]
        values = {"mean": float(pairs.mean()), "max": float(pairs.max())}
        return tuple(
            Reading(name=f"{self.name}.{word}", value=v, low=v, high=v, n=self.count,
                    bound="exact", unit="nats", better="neither")
            for word, v in values.items()
        )  # fmt: skip


@register("measure", cites=("cnn-filter-db", "medical-filters"))
def filter_shifts(
    nets: Sequence[nn.Module], *, side: Count = 3, bins: Count = 70, name: str = "filter-shift"
) -> FilterShifts:
    """Divergence between the distributions of filters of each two of several nets.

    Every layer is scaled to its largest weight, so that what is compared is form, not size.
    `attributed` then says whether distances go with the domain of training or with the
    architecture, and `spike_score` which layers heap up.

    Args:
        nets: two or more models with convolutions.
        side: of the kernels that are looked at.
        bins: of the histograms.
        name: prefix of the readings.

    Raises:
        ShapeError: for fewer than two models.
        Unsupported: for a model without such convolutions.

    Cost: one singular value decomposition of nine columns per pair; no data.
    """
    some_models(nets, name, 2)
    rows = [net_filters(net, side) for net in nets]
    distances = torch.zeros(len(nets), len(nets), dtype=torch.float64)
    for i, j in combinations(range(len(nets)), 2):
        distances[i, j] = distances[j, i] = filter_shift(rows[i], rows[j], bins=bins)
    return FilterShifts(distances, sum(len(r) for r in rows), name)
