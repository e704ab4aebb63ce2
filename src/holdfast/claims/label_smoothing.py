"""Smoothed labels keep a net from growing overconfident, and deceive attacks on the loss."""

from __future__ import annotations

from functools import cache, partial

import torch

from holdfast.attacks.pgd import PGD
from holdfast.claims.digits import net, split
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.robust_scene import hardened, robust
from holdfast.core.fields import Later
from holdfast.losses.smoothed import label_smoothing
from holdfast.measures.outputs.reliability import Binning
from holdfast.objectives.supervised import Supervised
from holdfast.threats.norms import LInf

EPOCHS, THREAT = 60, LInf(radius=0.08)
ON_LOSS = PGD(steps=10, travel=2.5, climb="probability")
ON_MARGIN = PGD(steps=20, restarts=3, travel=2.5, climb="margin")
AMOUNTS = {"": 0.1, "smooths-nothing": 0.0, "smooths-nearly-all": 0.95}


@cache
def _seen(seed: int, amount: float) -> tuple[float, float]:
    """Calibration error, and what an attack on probabilities leaves that one on margins breaks."""
    data, test = split(seed, 640, noise=0.2)
    model = net(seed, 128)
    loss = partial(label_smoothing, amount=amount)
    hardened(model, data, Supervised(loss=loss), EPOCHS, optimizer=Later("torch:Adam", lr=1e-3))
    with torch.no_grad():
        sure, said = model(test.x).softmax(1).max(1)
    error = Binning().error(sure, (said == test.y).float())
    gap = robust(model, test, THREAT, ON_LOSS) - robust(model, test, THREAT, ON_MARGIN)
    return error, gap


def trial(seed: int, mutant: str = "") -> Trial:
    """Calibration errors on clean rows."""
    ours, plain = _seen(seed, AMOUNTS[mutant])[0], _seen(seed, 0.0)[0]
    return Trial(ours, plain, ours < plain)


CLAIM = Claim(
    paper="label-smoothing",
    methods=("loss:label-smoothing", "recipe:label-smoothing-at"),
    says="Where a fifth of the labels is drawn at random, smoothing by 0.1 lowers the calibration "
    "error on held-out rows.",
    left="expected calibration error with smoothed labels",
    right="expected calibration error with plain labels",
    trial=trial,
    seeds=(31, 32, 33),
    mutants=("smooths-nothing", "smooths-nearly-all"),
    seconds=20,
    quick=False,
)
