"""Generalised cross-entropy under label noise."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.noisy_labels import learned, plain
from holdfast.core.kinds import Loss
from holdfast.losses.generalized import generalized_cross_entropy


def _sharpened(outputs: Tensor, target: Tensor) -> Tensor:
    """The mutant: weighs a row by how little it is believed."""
    p = outputs.softmax(1).gather(1, target[:, None]).squeeze(1)
    return -(torch.log(p.clamp(min=1e-6)) * (1 - p).detach())


def trial(seed: int, mutant: str = "") -> Trial:
    """Clean test accuracy after long training on labels of which 60 % are wrong."""
    losses: dict[str, Loss] = {
        "": generalized_cross_entropy,
        "power-vanishes": partial(generalized_cross_entropy, power=1e-3),
        "doubts-the-wrong-rows": _sharpened,
    }
    robust, usual = learned(seed, losses[mutant])[0], plain(seed)[0]
    return Trial(robust, usual, robust > usual + 0.1)


CLAIM = Claim(
    paper="gce",
    methods=("loss:generalized-cross-entropy", "recipe:generalized-cross-entropy"),
    says="With 60 % wrong labels it ends more than 10 points above cross-entropy.",
    left="clean test accuracy with the generalised loss",
    right="clean test accuracy with cross-entropy",
    trial=trial,
    seeds=(31, 32, 33),
    mutants=("power-vanishes", "doubts-the-wrong-rows"),
    seconds=40,
    quick=False,
)
