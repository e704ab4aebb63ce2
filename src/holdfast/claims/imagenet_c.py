"""Common corruptions cost accuracy, and more of it at higher severity."""

from __future__ import annotations

from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits, error, trained
from holdfast.core.catalog import find
from holdfast.core.dice import Dice

SHIFTS = (
    "shift:gaussian-noise", "shift:shot-noise", "shift:impulse-noise", "shift:motion-blur",
    "shift:fog", "shift:contrast", "shift:brightness", "shift:pixelate", "shift:jpeg",
)  # fmt: skip


def _mean_error(seed: int, severity: float, mutant: str) -> float:
    model, (_, test) = trained(seed), digits(seed)
    test = test.take(slice(0, 300))
    used = {"forgets-severity": 0.2, "upside-down": 1 - severity}.get(mutant, severity)
    wrong = []
    for name in SHIFTS:
        out = find(name).thing(test.whole, used, Dice(seed, test.index))
        x: Tensor = out.x
        wrong.append(error(model, x, out.y))
    return sum(wrong) / len(wrong)


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean error over nine corruptions at level 5 against level 1, and level 1 against none."""
    worst, mild = _mean_error(seed, 1.0, mutant), _mean_error(seed, 0.2, mutant)
    clean = _mean_error(seed, 0.0, "")
    return Trial(worst, mild, worst > mild + 0.03 and mild > clean)


CLAIM = Claim(
    paper="imagenet-c",
    methods=SHIFTS,
    says="Mean error over the corruptions is higher at level 5 than at level 1, and there than "
    "without any.",
    left="mean error over nine corruptions at level 5 (share)",
    right="the same at level 1 (share)",
    trial=trial,
    mutants=("forgets-severity", "upside-down"),
    seconds=10,
)
