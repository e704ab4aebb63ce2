"""Presets of adversarial training: what they are, and the curve of fine-tuning's rate."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from holdfast.core import catalog
from holdfast.core.data import Batches
from holdfast.run.schedule import rate
from holdfast.threats.norms import LInf

NAMES = (
    "mart", "adr", "dafa", "doubly-robust", "ema-at", "swa-at", "label-smoothing-at",
    "adversarial-fine-tuning", "fast-at", "n-fgsm", "ema-n-fgsm", "grad-align",
    "free-at",
    "awp-at", "trades-awp",
)  # fmt: skip


def test_the_rate_starts_slowly_and_falls_fast() -> None:
    curve = [rate("slowfast", step, 100, 0.0) for step in range(101)]
    assert curve[0] == 1e-4 and curve[30] == 1.0 and curve[100] == pytest.approx(1e-3)
    assert all(a < b for a, b in pairwise(curve[:31])) and curve[15] == pytest.approx(0.5)
    assert all(a > b for a, b in pairwise(curve[30:]))
    half = [rate("slowfast", step, 100, 0.5) for step in range(100)]
    assert max(half) == half[50] == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_aimed_and_built_from_text(name: str) -> None:
    recipe = catalog.build(f"recipe:{name}", epochs="2").against(LInf(radius=0.05))
    assert recipe.objective.threat == LInf(radius=0.05)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Linear(4, 2)
    x = torch.rand(16, 4, generator=torch.Generator().manual_seed(1))
    run = recipe(model, Batches(x=x, y=(x[:, 0] > 0.5).long(), size=8))
    assert run.step == 4 and all(bool(p.isfinite().all()) for p in model.parameters())
