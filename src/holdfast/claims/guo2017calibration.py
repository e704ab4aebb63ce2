"""Temperature scaling: one number lowers the loss on new rows and changes no decision."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.defend.temperature import Temperature


def trial(seed: int, mutant: str = "") -> Trial:
    """Overconfident logits, fitted on one half and judged on the other."""
    g = torch.Generator().manual_seed(seed)
    true = torch.randn(2000, 5, generator=g, dtype=torch.float64)
    y = torch.multinomial(true.softmax(1), 1, generator=g)[:, 0]
    z = 3 * true
    fitted = Temperature().fit(lambda x: x, Batches(x=z[:1000], y=y[:1000]))
    if mutant == "multiplies":
        fitted = Temperature(temperature=1 / fitted.temperature)
    after = fitted(lambda x: x)(z[1000:])
    if not isinstance(after, torch.Tensor):
        return Trial(float("nan"), float("nan"), False)
    if mutant == "per-class":
        after = after + torch.randn(5, generator=g, dtype=torch.float64)
    left = float(F.cross_entropy(after, y[1000:]))
    right = float(F.cross_entropy(z[1000:], y[1000:]))
    same = bool(torch.equal(after.argmax(1), z[1000:].argmax(1)))
    return Trial(left, right, same and left < right)


CLAIM = Claim(
    paper="guo2017calibration",
    methods=("defence:temperature",),
    says="A fitted temperature lowers the loss on new rows and changes no decision.",
    left="cross-entropy with the fitted temperature, in nats",
    right="cross-entropy without, in nats",
    trial=trial,
    mutants=("multiplies", "per-class"),
    seconds=1,
)
