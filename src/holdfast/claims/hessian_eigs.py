"""Twenty products find the largest eigenvalue of the Hessian of a trained net."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits, trained
from holdfast.core.data import Batches
from holdfast.measures.model.sharpness import curvature


def _dense(model: nn.Module, rows: Batches) -> Tensor:
    shapes = {k: p.shape for k, p in model.named_parameters()}

    def loss(vector: Tensor) -> Tensor:
        parts = vector.split([s.numel() for s in shapes.values()])
        own = {k: p.reshape(s) for (k, s), p in zip(shapes.items(), parts, strict=True)}
        return F.cross_entropy(functional_call(model, own, (rows.x,)), rows.y)

    centre = torch.cat([p.detach().flatten() for p in model.parameters()])
    found: Tensor = torch.func.hessian(loss)(centre)
    return found


def trial(seed: int, mutant: str = "") -> Trial:
    """Relative error of the largest eigenvalue against the dense Hessian of 374 weights."""
    rows = digits(seed)[0].take(slice(0, 100))
    model = trained(seed, hidden=6, steps=60)
    with torch.no_grad():
        true = float(torch.linalg.eigvalsh(_dense(model, rows).double())[-1])
    asked = rows.take(slice(0, 50)) if mutant == "half-of-the-rows" else rows
    steps = 2 if mutant == "stops-at-once" else 20
    found = curvature(model, asked, steps=steps, draws=2, seed=seed).top.value
    off = abs(found - true) / true
    return Trial(off, 1e-3, off < 1e-3)


CLAIM = Claim(
    paper="hessian-eigs",
    methods=("measure:curvature",),
    says="Twenty Hessian-vector products give the largest eigenvalue within 0.1 %.",
    left="relative error of the largest eigenvalue",
    right="0.001",
    trial=trial,
    mutants=("half-of-the-rows", "stops-at-once"),
    seconds=5,
)
