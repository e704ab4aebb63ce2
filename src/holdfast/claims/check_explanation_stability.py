"""The stability of reasons: whole for a linear model, lost under ripples, nil for other weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.checks.explanation_stability import ExplanationStability
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import settings
from holdfast.core.kinds import Explainer, Model, Readout
from holdfast.core.records import Subject
from holdfast.testing.worlds import linear_layer

ROWS, SIZE, NOISE = 40, 64, 0.02


@settings
class _Blind(Explainer):
    """Bug: shows the input whatever the model is."""

    def __call__(
        self, model: Model, x: Tensor, readout: Readout, *, baseline: Tensor | None = None,
        dice: Dice | None = None,
    ) -> Tensor:  # fmt: skip
        return x


class _Rippled(nn.Module):
    """A linear model with ripples far narrower than the noise: tiny in height, steep in slope."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        ripple = 0.01 * (2000 * x).sin().sum(1)
        out: Tensor = self.inner(x) + torch.stack([ripple, -ripple], 1)
        return out


def _linear(seed: int) -> nn.Linear:
    g = torch.Generator().manual_seed(seed)
    return linear_layer(torch.randn(2, SIZE, generator=g), torch.zeros(2))


def trial(seed: int, mutant: str = "") -> Trial:
    """Stability of a linear model and of the same with ripples, and the control."""
    g = torch.Generator().manual_seed(seed + 500)
    x = 0.1 + 0.8 * torch.rand(ROWS, SIZE, generator=g, dtype=torch.float64)
    noise = 1e-9 if mutant == "hardly-any-noise" else NOISE
    explainer = _Blind() if mutant == "ignores-the-model" else "explainer:saliency"
    check = ExplanationStability(explainer=explainer, noise=noise)

    def asked(model: nn.Module) -> dict[str, float]:
        batches = Batches(x=x, y=torch.zeros(ROWS, dtype=torch.long))
        subject = Subject(model=model, batches=batches, make=lambda s: _linear(s + 99), seed=seed)
        return {r.name: r.value for f in check(subject) for r in f.readings}

    plain, rippled = asked(_linear(seed)), asked(_Rippled(_linear(seed)))
    left, right = plain["explanations.stability"], rippled["explanations.stability"]
    control = abs(plain["explanations.control"])
    # The rank correlation of independent maps of 64 values has a standard deviation of 0.126,
    # and all rows of one answer share their map.
    return Trial(left, right, left > 1 - 1e-9 and right < 0.5 and control < 4 * 0.126)


CLAIM = Claim(
    paper="check:explanation-stability",
    methods=("check:explanation-stability",),
    says="Gradients of a linear model keep a rank correlation of 1 under noise, those of the same "
    "model with narrow ripples less than 0.5, and fresh weights share less than chance allows.",
    left="stability of the linear model",
    right="stability of the same with ripples",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("hardly-any-noise", "ignores-the-model"),
    seconds=3,
)
