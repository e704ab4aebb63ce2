"""Calibration measures agree over a population of nets, except for the largest gap."""

from __future__ import annotations

from functools import cache
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.claims.digits import drawn
from holdfast.claims.harness import Claim, Trial
from holdfast.defend.temperature import best_temperature
from holdfast.measures.outputs import calibration_suite as suite
from holdfast.measures.outputs.calibration_suite import agreement, calibration_suite
from holdfast.measures.outputs.reliability import Binning

MODELS, ROWS, TEST, WIDTH, STEPS = 30, 150, 800, 12, 80
NAMES = ("ece.15", "ece-mass.15", "mce.15", "ks")


@cache
def _population(seed: int) -> tuple[Tensor, Tensor]:
    """Logits `(M, n, 10)` of nets that differ in decay, length of training and label noise."""
    g = torch.Generator().manual_seed(seed)
    x, y = drawn(g)
    noise = torch.where(torch.rand(MODELS, ROWS, generator=g) < 0.2, 1, 0)
    noise *= (torch.arange(MODELS) % 2)[:, None]
    labels = (y[:ROWS] + noise * torch.randint(10, noise.shape, generator=g)) % 10
    decay = 10 ** (-5 + 3 * torch.rand(MODELS, 1, 1, generator=g))
    last = torch.randint(10, STEPS, (MODELS,), generator=g)
    shapes = ((MODELS, 64, WIDTH), (MODELS, 1, WIDTH), (MODELS, WIDTH, 10), (MODELS, 1, 10))
    scale = (0.15, 0.0, 0.25, 0.0)
    weights = [(s * torch.randn(*w, generator=g)).requires_grad_() for w, s in
               zip(shapes, scale, strict=True)]  # fmt: skip

    def answers(x: Tensor) -> Tensor:
        hidden = (x @ weights[0] + weights[1]).relu()
        return hidden @ weights[2] + weights[3]

    step = torch.optim.Adam(weights, lr=0.04)
    kept = torch.empty(MODELS, TEST, 10)
    for t in range(STEPS):
        step.zero_grad()
        z = answers(x[:ROWS].expand(MODELS, -1, -1))
        ridge = sum((decay * w.square()).sum() for w in weights)
        (F.cross_entropy(z.flatten(0, 1), labels.flatten()) * MODELS + ridge).backward()
        step.step()
        if bool((last == t).any()):
            with torch.no_grad():
                kept[last == t] = answers(x[-TEST:].expand(MODELS, -1, -1))[last == t]
    return kept.double(), y[-TEST:]


def _suite(z: Tensor, y: Tensor) -> dict[str, float]:
    found = calibration_suite(z, y, bins=(15,), draws=2)
    return {name: found[name] for name in NAMES}


@cache
def _taus(seed: int, mutant: str) -> tuple[float, float, float, float]:
    """Agreement of ECE with KS, with equal mass and with MCE; and before with after scaling."""
    every, y = _population(seed)
    half = TEST // 4
    before, after = [], []
    for z in every:
        t = 1.0 if mutant == "forgets-to-scale" else best_temperature(z[:half], y[:half])
        before.append(_suite(z[half:], y[half:]))
        after.append(Binning().error(*Binning().pairs(z[half:] / t, y[half:])))
    values = {n: torch.tensor([b[n] for b in before]).double() for n in NAMES}
    tau = agreement(values | {"after": torch.tensor(after).double()})
    return (
        tau["ece.15", "ks"],
        tau["ece.15", "ece-mass.15"],
        tau["ece.15", "mce.15"],
        tau["ece.15", "after"],
    )


def _unsorted(confidence: Tensor, hit: Tensor) -> float:
    """Bug: residuals are cumulated in the order of the rows, and each by itself."""
    return float((hit - confidence).abs().max() / len(hit))


def trial(seed: int, mutant: str = "") -> Trial:
    """Kendall's tau over 30 nets."""
    free = {"ks": _unsorted if mutant == "no-cumulation" else suite.FREE["ks"]}
    binned = {name: suite.BINNED[name] for name in ("ece", "ece-mass", "mce")}
    if mutant == "largest-gap-is-a-mean":
        binned["mce"] = Binning()
    with patch.dict(suite.FREE, free, clear=True), patch.dict(suite.BINNED, binned, clear=True):
        ks, mass, mce, scaled = _taus(seed, mutant)
    agree = min(ks, mass)
    return Trial(agree, mce, agree > 0.6 and mce < agree and scaled < agree)


CLAIM = Claim(
    paper="calibration-benchmark",
    methods=("measure:calibration-suite",),
    says="Over 30 nets the expected calibration error ranks as the Kolmogorov error and equal-mass "
    "bins do (tau above 0.6), better than as the maximum error does, or as itself after a "
    "temperature.",
    left="the smaller tau of the expected error with the Kolmogorov error and with equal mass",
    right="tau of the expected and the maximum error",
    trial=trial,
    mutants=("no-cumulation", "largest-gap-is-a-mean", "forgets-to-scale"),
    seconds=5,
)
