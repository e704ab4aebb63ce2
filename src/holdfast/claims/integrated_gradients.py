"""Integrated gradients add up to the change of the output."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits, trained
from holdfast.core.goal import Outputs, logits
from holdfast.explain.integrated_gradients import IntegratedGradients
from holdfast.explain.saliency import Saliency


def trial(seed: int, mutant: str = "") -> Trial:
    """Gap between the sum of the attributions and the change of the probability, relative, mean."""
    model, (_, test) = trained(seed), digits(seed)
    x = test.x[:200] if isinstance(test.x, Tensor) else torch.empty(0)
    with torch.no_grad():
        answer = model(x).argmax(1)

    def readout(outputs: Outputs) -> Tensor:
        return logits(outputs).softmax(1).gather(1, answer[:, None]).squeeze(1)

    found = IntegratedGradients(steps=32)(model, x, readout)
    if mutant == "forgets-the-way":
        found = found / x.clamp(min=1 / 16)
    if mutant == "gradient-at-the-input":
        found = Saliency(form="times-input")(model, x, readout)
    with torch.no_grad():
        change = readout(model(x)) - readout(model(torch.zeros_like(x)))
    gap = (found.flatten(1).sum(1) - change).abs() / change.abs().clamp(min=1e-6)
    value = float(gap.median())
    return Trial(value, 0.02, value < 0.02)


CLAIM = Claim(
    paper="integrated-gradients",
    methods=("explainer:integrated-gradients",),
    says="With 32 steps the attributions of a ReLU net add up to the change of the "
    "probability within 2 %, in the median.",
    left="relative gap between sum and change (median)",
    right="0.02",
    trial=trial,
    mutants=("forgets-the-way", "gradient-at-the-input"),
    seconds=2,
)
