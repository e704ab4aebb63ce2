"""CROWN: sound, and much tighter than intervals."""

from __future__ import annotations

from unittest.mock import patch

import torch

from holdfast.certify.linear.crown import CROWN
from holdfast.certify.linear.ibp import IBP
from holdfast.certify.network import bends
from holdfast.claims.harness import Claim, Trial
from holdfast.core.goal import Untargeted
from holdfast.ops.interval import Box
from holdfast.ops.linear import Lines, relu_lines
from holdfast.testing.worlds import TinyReLU, deep_relu
from holdfast.threats.norms import LInf


def _no_offset(box: Box) -> Lines:
    """Bug: the chord loses its offset, so that it cuts through the function."""
    lines = relu_lines(box)
    return Lines(lines.lower_slope, lines.upper_slope, torch.zeros_like(lines.upper_offset))


def _loose(box: Box) -> Lines:
    """Bug: the line above is the constant end of the interval, as in interval bounds."""
    top = box.high.clamp(min=0)
    return Lines(torch.zeros_like(top), torch.zeros_like(top), top)


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean looseness of CROWN and of intervals; no row may lie below its exact worst margin."""
    model = deep_relu(12, 24, 24, 4, seed=seed)
    g = torch.Generator().manual_seed(seed + 100)
    x = torch.rand(16, 12, generator=g, dtype=torch.float64)
    with torch.no_grad():
        goal = Untargeted(model(x).argmax(1))
        clean = goal(model(x))
    threat = LInf(radius=0.02)
    lines = {"": relu_lines, "no-offset": _no_offset, "constant-lines": _loose}[mutant]
    with patch.object(bends, "relu_lines", lines):
        crown = CROWN()(model, x, goal, threat).margin
        sound = True
        for radius in (0.05, 0.1, 0.2):
            world = TinyReLU.make(seed=seed)
            tiny = CROWN()(world.model, world.x, world.goal, LInf(radius=radius)).margin
            sound &= bool((tiny >= world.worst(radius)).all())
    box = IBP()(model, x, goal, threat).margin
    left, right = float((crown - clean).mean()), float((box - clean).mean())
    return Trial(left, right, sound and left < right / 2)


CLAIM = Claim(
    paper="crown",
    methods=("certifier:crown", "certifier:ibp"),
    says="Backward linear bounds are sound and less than half as loose as interval bounds.",
    left="mean distance of CROWN's bound from the clean margin",
    right="mean distance of the interval bound from the clean margin",
    trial=trial,
    mutants=("no-offset", "constant-lines"),
    seconds=3,
)
