"""The corruption check counts what is known to be lost: grey images and a rule on brightness."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.checks.corruptions import Corruptions
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.records import Subject

SHIFTS = (
    "shift:gaussian-noise", "shift:shot-noise", "shift:impulse-noise", "shift:motion-blur",
    "shift:fog", "shift:contrast", "shift:brightness", "shift:pixelate", "shift:jpeg",
)  # fmt: skip
ROWS, GREY = 24, 0.4


def _bright(x: Tensor) -> Tensor:
    """Says 1 for images brighter than a half."""
    over = x.mean((1, 2, 3)) - 0.5
    return torch.stack([-over, over], 1)


def trial(seed: int, mutant: str = "") -> Trial:
    """Of nine corruptions at three severities only brightness crosses a half: at the last two."""
    g = torch.Generator().manual_seed(seed)
    x = GREY + 0.02 * torch.rand(ROWS, 1, 32, 32, generator=g, dtype=torch.float64)
    batches = Batches(x=x, y=torch.zeros(ROWS, dtype=torch.long), size=10)
    shifts: tuple[str, ...] = SHIFTS
    severities: tuple[float, ...] = (0.2, 0.6, 1.0)
    if mutant == "leaves-one-out":
        shifts = tuple(s for s in SHIFTS if s != "shift:brightness")
    if mutant == "forgets-severity":
        severities = (0.2, 0.2, 0.2)
    if mutant == "mild-only":
        severities = (0.2,)
    check = Corruptions(shifts=shifts, severities=severities)
    findings = list(check(Subject(model=_bright, batches=batches, seed=seed)))
    found = {r.name: r.value for f in findings for r in f.readings}
    right = 25 / 27
    off = max(abs(found["corruptions.mean"] - right), abs(found["corruptions.worst"]))
    kinds = [v for k, v in found.items() if k not in ("corruptions.mean", "corruptions.worst")]
    planned = sorted(kinds) == [1 / 3, *[1.0] * (len(SHIFTS) - 1)]
    return Trial(found["corruptions.mean"], right, off < 1e-9 and planned)


CLAIM = Claim(
    paper="check:corruptions",
    methods=("check:corruptions",),
    says="Of grey images judged by brightness exactly 25 of 27 cells survive, and the worst cell "
    "is brightness with none.",
    left="mean accuracy over nine corruptions and three severities",
    right="25 / 27",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("leaves-one-out", "forgets-severity", "mild-only"),
    seconds=3,
)
