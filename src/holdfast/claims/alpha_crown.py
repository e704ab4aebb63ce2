"""alpha-CROWN: sound, and tighter than CROWN."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from holdfast.certify.linear.alpha import AlphaCROWN
from holdfast.certify.linear.ascent import Ascent
from holdfast.certify.linear.crown import CROWN
from holdfast.claims.harness import Claim, Trial
from holdfast.core.goal import Untargeted
from holdfast.testing.worlds import TinyReLU
from holdfast.threats.norms import LInf


class _Unclamped(Ascent):
    """Bug: slopes leave [0, 1], where the line below is no longer below."""

    def __init__(self, free: list[Tensor], ends: Any, rates: list[float]) -> None:
        super().__init__(free, [(-3.0, 3.0)] * len(free), rates)


class _Still(Ascent):
    """Bug: the slopes never move."""

    def __init__(self, free: list[Tensor], ends: Any, rates: list[float]) -> None:
        super().__init__(free, ends, [0.0] * len(rates))


def _net(seed: int) -> nn.Sequential:
    g = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 4)
    ).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g, dtype=torch.float64) * 0.4)
    return model


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean looseness of both; no row may lie below its exact worst margin."""
    model = _net(seed)
    g = torch.Generator().manual_seed(seed + 100)
    x = torch.rand(8, 12, generator=g, dtype=torch.float64)
    with torch.no_grad():
        goal = Untargeted(model(x).argmax(1))
        clean = goal(model(x))
    threat, method = LInf(radius=0.15), AlphaCROWN(steps=4, last=10)
    ascent = {"": Ascent, "unclamped": _Unclamped, "no-ascent": _Still}[mutant]
    with patch("holdfast.certify.linear.ascent.Ascent", ascent):
        found = method(model, x, goal, threat).margin
        sound = True
        for radius in (0.1, 0.2):
            world = TinyReLU.make(seed=seed)
            tiny = method(world.model, world.x, world.goal, LInf(radius=radius)).margin
            sound &= bool((tiny >= world.worst(radius)).all())
    plain = CROWN()(model, x, goal, threat).margin
    left, right = float((found - clean).mean()), float((plain - clean).mean())
    return Trial(left, right, sound and left < 0.95 * right)


CLAIM = Claim(
    paper="alpha-crown",
    methods=("certifier:alpha-crown", "certifier:crown"),
    says="Where many neurons are open, optimised slopes take 5 % of CROWN's looseness away.",
    left="mean distance of the optimised bound from the clean margin",
    right="mean distance of CROWN's bound from the clean margin",
    trial=trial,
    mutants=("unclamped", "no-ascent"),
    seconds=10,
)
