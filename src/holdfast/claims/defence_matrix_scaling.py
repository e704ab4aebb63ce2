"""Where classes take confidence from each other, matrix scaling does what vector scaling cannot."""

from __future__ import annotations

from dataclasses import replace

import torch

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.unsure import Unsure, drawn, nats
from holdfast.defend.matrix import MatrixScaling
from holdfast.defend.vector import VectorScaling

MIX = torch.eye(4).double() + 0.8 * torch.eye(4).double().roll(1, 1)


def trial(seed: int, mutant: str = "") -> Trial:
    """Loss on new rows after either."""
    true, y = drawn(seed)
    scene = Unsure(true @ MIX, y)
    fitted = scene.fitted(MatrixScaling())
    if mutant == "forgets-the-others":
        own = tuple(
            tuple(v if i == j else 0.0 for j, v in enumerate(row))
            for i, row in enumerate(fitted.weights)
        )
        fitted = replace(fitted, weights=own)
    if mutant == "transposed":
        fitted = replace(fitted, weights=tuple(zip(*fitted.weights, strict=True)))
    left, right = (scene.after(f, nats) for f in (fitted, scene.fitted(VectorScaling())))
    best = nats(true[scene.cut :], y[scene.cut :])
    return Trial(left, right, left < right - 0.05 and left < best + 0.03)


CLAIM = Claim(
    paper="defence:matrix-scaling",
    methods=("defence:matrix-scaling",),
    says="Logits that were mixed are brought back to within 0.03 nats of the truth on new rows, at "
    "least 0.05 nats better than class by class.",
    left="cross-entropy after matrix scaling, in nats",
    right="cross-entropy after vector scaling, in nats",
    trial=trial,
    mutants=("forgets-the-others", "transposed"),
    seconds=2,
)
