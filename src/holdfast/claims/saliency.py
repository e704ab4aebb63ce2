"""Pixels with large gradient times input matter more than others."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits, trained
from holdfast.core.goal import Outputs, logits
from holdfast.explain.saliency import Saliency

TOP = 8


def trial(seed: int, mutant: str = "") -> Trial:
    """Fall of the answer's logit when the top eighth of the pixels, or random ones, are erased."""
    model, (_, test) = trained(seed), digits(seed)
    x = test.x if isinstance(test.x, Tensor) else torch.empty(0)
    with torch.no_grad():
        before, answer = model(x).max(1)
    asked = (answer + 1) % 10 if mutant == "explains-another-class" else answer

    def readout(outputs: Outputs) -> Tensor:
        return logits(outputs).gather(1, asked[:, None]).squeeze(1)

    method = Saliency(form="times-input")
    found = method(model, x, readout).flatten(1)
    if mutant == "sign-lost":
        found = -found
    dice = torch.rand(found.shape, generator=torch.Generator().manual_seed(seed))
    dice = dice * (x.flatten(1) > 0)  # erasing what is black anyway would be too easy to beat
    falls = []
    for ranking in (found, dice):
        erased = x.flatten(1).scatter(1, ranking.topk(TOP, dim=1).indices, 0.0).reshape(x.shape)
        with torch.no_grad():
            after = model(erased).gather(1, answer[:, None]).squeeze(1)
        falls.append(float((before - after).mean()))
    return Trial(falls[0], 2 * falls[1], falls[0] > 2 * falls[1])


CLAIM = Claim(
    paper="saliency",
    methods=("explainer:saliency",),
    says="Erasing the top eighth of the pixels by gradient times input lowers the answer's logit "
    "more than twice as far as erasing random bright ones.",
    left="fall of the logit, top pixels",
    right="twice the fall, random bright pixels",
    trial=trial,
    mutants=("explains-another-class", "sign-lost"),
    seconds=2,
)
