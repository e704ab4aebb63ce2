"""The calibration check finds the temperature of trusted rows and says what it would repair."""

from __future__ import annotations

from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.checks import calibration
from holdfast.checks.calibration import Calibration
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.records import Subject
from holdfast.defend.temperature import best_temperature

ROWS, CLASSES = 2500, 6


def _rows(temperature: float, g: torch.Generator) -> Batches:
    """Logits as inputs, and labels drawn from them at a temperature."""
    z = 4 * torch.randn(ROWS, CLASSES, generator=g, dtype=torch.float64)
    y = torch.multinomial((z / temperature).softmax(1), 1, generator=g).squeeze(1)
    return Batches(x=z, y=y)


def _inverse(z: Tensor, y: Tensor) -> float:
    """Bug: multiplies where it should divide."""
    return 1 / best_temperature(z, y)


def _errors(measured: Batches, trusted: Batches, mutant: str) -> tuple[float, float]:
    """Calibration error before and after, as the check reports them."""
    if mutant == "fits-on-measured-rows":
        trusted = measured
    fit = _inverse if mutant == "temperature-upside-down" else best_temperature
    subject = Subject(model=lambda x: x, batches=measured, trusted=trusted)
    with patch.object(calibration, "best_temperature", fit):
        findings = list(Calibration()(subject))
    found = {r.name: r.value for f in findings for r in f.readings}
    return found["calibration.ece"], found["calibration.ece_after_temperature"]


def trial(seed: int, mutant: str = "") -> Trial:
    """Trusted rows like the measured ones, and trusted rows that need another temperature."""
    g = torch.Generator().manual_seed(seed)
    before, after = _errors(_rows(2.0, g), _rows(2.0, g), mutant)
    first, second = _errors(_rows(2.0, g), _rows(1.0, g), mutant)
    # Trusted rows at temperature 1 ask for no change: what is measured must stay as bad.
    kept = abs(second / first - 1)
    return Trial(after, 0.3 * before, after < 0.3 * before and kept < 0.1)


CLAIM = Claim(
    paper="check:calibration",
    methods=("check:calibration",),
    says="With logits twice too large the error falls below 0.3 of itself after a temperature "
    "from trusted rows, and stays within 10 % where the trusted rows need none.",
    left="calibration error after the temperature",
    right="0.3 of the one before",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("fits-on-measured-rows", "temperature-upside-down"),
    seconds=4,
)
