"""Sharpness over relative changes of the weights ignores the scale of the layers."""

from __future__ import annotations

import torch
from torch import nn

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits
from holdfast.measures.model.sharpness import sharpness


def trial(seed: int, mutant: str = "") -> Trial:
    """Relative change of sharpness when one layer is scaled by 5 and the next by 1 / 5."""
    g = torch.Generator().manual_seed(seed)
    first, last = nn.Linear(64, 32, bias=False), nn.Linear(32, 10, bias=False)
    model = nn.Sequential(nn.Flatten(), first, nn.ReLU(), last)
    rows = digits(seed)[0].take(slice(0, 200))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.2 * torch.randn(p.shape, generator=g))
    adaptive = mutant != "absolute-changes"
    before = [sharpness(model, rows, radius=0.5, adaptive=k).value for k in (adaptive, False)]
    with torch.no_grad():
        first.weight *= 5
        last.weight /= 1 if mutant == "changes-the-function" else 5
    after = [sharpness(model, rows, radius=0.5, adaptive=k).value for k in (adaptive, False)]
    relative, absolute = (abs(a - b) / b for a, b in zip(after, before, strict=True))
    return Trial(relative, absolute, relative < 1e-2 < absolute)


CLAIM = Claim(
    paper="asam",
    methods=("measure:sharpness",),
    says="Scaling layers without changing the function moves adaptive sharpness by less than 1 % "
    "and plain sharpness by more.",
    left="relative change of adaptive sharpness",
    right="relative change of plain sharpness",
    trial=trial,
    mutants=("absolute-changes", "changes-the-function"),
    seconds=3,
)
