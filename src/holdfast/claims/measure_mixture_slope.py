"""No slope of a mixture exceeds the bound from its experts and its router."""

from __future__ import annotations

from unittest.mock import patch

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.layers.mixture import TopKMoE
from holdfast.measures.model import mixture_slope as file
from holdfast.measures.model.mixture_slope import mixture_slope

ROWS, PAIRS, RADIUS = 50, 20, 0.3


def _mixture(seed: int, k: int, same: bool, quarrel: float = 1.0) -> TopKMoE:
    """Four linear experts of four inputs; all the same one where said."""
    g = torch.Generator().manual_seed(seed)
    experts = [nn.Linear(4, 3).double() for _ in range(4)]
    router = nn.Linear(4, 4).double()
    with torch.no_grad():
        for i, part in enumerate((*experts, router)):
            for p in part.parameters():
                p.copy_(torch.randn(p.shape, generator=g, dtype=p.dtype))
            if i in range(1, 4) and same:
                part.load_state_dict(experts[0].state_dict())
            elif i < 4:
                part.bias.mul_(quarrel)
        router.weight.mul_(3)
    return TopKMoE(experts, router, k=k).eval()


def _slopes(model: nn.Module, x: Tensor, g: torch.Generator) -> Tensor:
    """`(B,)`: the steepest of some slopes between two points of the ball around each row."""
    best = x.new_zeros(len(x))
    for pair in range(PAIRS):
        way = nn.functional.normalize(torch.randn(x.shape, generator=g, dtype=x.dtype), dim=1)
        a = x + RADIUS * torch.rand(len(x), 1, generator=g, dtype=x.dtype) * way
        b = a - 1e-5 * way if pair % 2 else x - RADIUS * way
        with torch.no_grad():
            slope = (model(a) - model(b)).norm(dim=1) / (a - b).norm(dim=1)
        best = torch.maximum(best, slope)
    return best


def _strangers(part: object, count: int) -> Tensor:
    """Bug: equal experts are taken for different ones."""
    return torch.eye(count, dtype=torch.bool)


def trial(seed: int, mutant: str = "") -> Trial:
    """Sampled slopes over bounds, for soft and hard choices; equal and quarrelling experts."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(ROWS, 4, generator=g, dtype=torch.float64)
    rows = Batches(x=x, y=torch.zeros(ROWS, dtype=torch.int64))
    twins = _strangers if mutant == "differences-forgotten" else file._twins
    worst = 0.0
    with patch.object(file, "_twins", twins):
        for k, quarrel in ((0, 1.0), (0, 30.0), (2, 1.0), (1, 9.0)):
            model = _mixture(seed, k, False, quarrel)
            found = mixture_slope(model, rows, radius=RADIUS)
            bound = found.bound
            if mutant == "router-forgotten":
                bound = torch.full_like(bound, found.experts)
            if mutant == "jumps-forgotten":
                bound = found.experts + found.routing
            worst = max(worst, float((_slopes(model, x, g) / bound).max()))
        alike = mixture_slope(_mixture(seed, 0, True), rows, radius=RADIUS)
        loud = mixture_slope(_mixture(seed, 0, False, 30.0), rows, radius=RADIUS)
    zero = bool((alike.routing == 0).all()) and bool((loud.routing > loud.experts).all())
    return Trial(worst, 1.0, worst <= 1 + 1e-9 and zero)


CLAIM = Claim(
    paper="measure:mixture-slope",
    methods=("measure:mixture-slope",),
    says="No slope between two of 1,000 pairs of points exceeds the bound, for soft and hard "
    "choices; equal experts make the router's part exactly zero, quarrelling ones let it prevail.",
    left="largest slope seen over its bound",
    right="1",
    trial=trial,
    mutants=("router-forgotten", "jumps-forgotten", "differences-forgotten"),
    seconds=3,
)
