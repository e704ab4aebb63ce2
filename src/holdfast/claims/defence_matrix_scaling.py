"""Where classes take confidence from each other, matrix scaling does what vector scaling cannot."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.defend.matrix import MatrixScaling
from holdfast.defend.vector import VectorScaling

MIX = torch.eye(4).double() + 0.8 * torch.eye(4).double().roll(1, 1)


def _same(x: Tensor) -> Tensor:
    return x


def trial(seed: int, mutant: str = "") -> Trial:
    """Loss on new rows after either."""
    g = torch.Generator().manual_seed(seed)
    true = 1.5 * torch.randn(6000, 4, generator=g, dtype=torch.float64)
    y = torch.multinomial(true.softmax(1), 1, generator=g)[:, 0]
    z = true @ MIX
    data = Batches(x=z[:4000], y=y[:4000])
    fitted = MatrixScaling().fit(_same, data)
    if mutant == "forgets-the-others":
        own = tuple(
            tuple(v if i == j else 0.0 for j, v in enumerate(row))
            for i, row in enumerate(fitted.weights)
        )
        fitted = replace(fitted, weights=own)
    if mutant == "transposed":
        fitted = replace(fitted, weights=tuple(zip(*fitted.weights, strict=True)))
    other = VectorScaling().fit(_same, data)
    left, right = (
        float(F.cross_entropy(model(_same)(z[4000:]), y[4000:]))  # type: ignore[arg-type]
        for model in (fitted, other)
    )
    best = float(F.cross_entropy(true[4000:], y[4000:]))
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
