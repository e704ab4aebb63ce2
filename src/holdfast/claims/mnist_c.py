"""Corruptions of digits multiply the error of a net that hardly errs without them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits, error, trained
from holdfast.core.catalog import find
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.shifts.mnist_c import RELEASED

ROWS, SIDE, TIMES = 48, 28, 4


class Seen(nn.Module):
    """A net of 8 x 8 pixels that looks at images of 28 x 28."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(F.interpolate(x, (8, 8), mode="bilinear", align_corners=True))
        return out


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean error over the fifteen at their released strengths, against that without any."""
    _, test = digits(seed)
    small: Tensor = test.x  # type: ignore[assignment]
    every = F.interpolate(small, (SIDE, SIDE), mode="bilinear", align_corners=True)
    x = every[:ROWS]
    batch = Batch(x, test.y[:ROWS], test.index[:ROWS])
    model, wrong = Seen(trained(seed)), []
    clean = error(model, every, test.y)
    for name, released in RELEASED.items():
        severity = 0.0 if mutant == "hands-back" else released
        out: Tensor = find(f"shift:{name}").thing(batch, severity, Dice(seed, batch.index)).x
        if mutant == "a-tenth-of-it":
            out = x + (out - x) / 10
        wrong.append(error(model, out, batch.y))
    mean = sum(wrong) / len(wrong)
    never = min(wrong) >= error(model, x, batch.y) - 1 / ROWS  # no corruption helps
    return Trial(mean, TIMES * clean, never and mean >= TIMES * clean)


CLAIM = Claim(
    paper="mnist-c",
    methods=tuple(f"shift:{name}" for name in RELEASED),
    says="The mean error over the fifteen corruptions is at least four times that on clean digits, "
    "and no corruption helps.",
    left="mean error over fifteen corruptions (share)",
    right="four times the error without any (share)",
    trial=trial,
    mutants=("hands-back", "a-tenth-of-it"),
    seconds=5,
)
