"""Gradients that explode through time: cut to a length they train, uncut they do not."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Later, settings
from holdfast.core.kinds import Hook, Run
from holdfast.hooks.clip import ClipNorm
from holdfast.run.loop import Training
from holdfast.run.training import TrainingRun

SIZE, TIME, LIMIT = 6, 20, 0.2


@settings
class _Each(ClipNorm):
    """Bug: cuts every number by itself, which turns the gradient."""

    @torch.no_grad()
    def gradients(self, run: Run) -> None:
        for p in run.model.parameters():
            if p.grad is not None:
                p.grad.clamp_(-self.limit, self.limit)


@settings
class _Tensors(ClipNorm):
    """Bug: cuts every tensor by itself, which turns the gradient as a whole."""

    @torch.no_grad()
    def gradients(self, run: Run) -> None:
        for p in run.model.parameters():
            if p.grad is not None:
                p.grad.mul_((self.limit / p.grad.norm()).clamp(max=1))


@settings
class _Idle(ClipNorm):
    """Bug: never cuts."""

    def gradients(self, run: Run) -> None:
        return None


MUTANTS: dict[str, type[ClipNorm]] = {
    "cuts-each-number": _Each, "cuts-each-tensor": _Tensors, "never-cuts": _Idle,
}  # fmt: skip


class _Recurrent(nn.Module):
    """A state that is multiplied by the same matrix twenty times and read off at the end."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        w = torch.randn(SIZE, SIZE, generator=g, dtype=torch.float64)
        self.step = nn.Parameter(1.3 * w / torch.linalg.eigvals(w).abs().max())
        self.read = nn.Parameter(torch.randn(SIZE, 2, generator=g, dtype=torch.float64) / SIZE)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(TIME):
            x = x @ self.step
        return x @ self.read


def _data(seed: int) -> Batches:
    g = torch.Generator().manual_seed(seed + 1000)
    x = torch.randn(64, SIZE, generator=g, dtype=torch.float64)
    return Batches(x=x, y=torch.randint(2, (64,), generator=g), size=64)


def _final(seed: int, hooks: tuple[Hook, ...]) -> float:
    """Training loss of the last epoch, 1e9 where it explodes; chance is log 2."""
    plan = Training(
        optimizer=Later("torch:SGD", lr=0.2), epochs=120, schedule="constant", hooks=hooks
    )
    try:
        return plan(_Recurrent(seed), _data(seed)).history[-1]["loss"]
    except Unsupported:  # the loop ends a run whose loss is not finite
        return 1e9


def _turned(seed: int, hook: Hook) -> tuple[float, float]:
    """Angle (1 - cosine) and length, relative to the limit, that a long gradient is left with."""
    model = _Recurrent(seed)
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(1), 1)
    nn.functional.cross_entropy(model(_data(seed).whole.x), _data(seed).y).backward()

    def flat() -> Tensor:
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    before = flat().clone()
    hook.gradients(run)
    after = flat()
    cosine = float(before @ after / (before.norm() * after.norm()))
    return 1 - cosine, float(after.norm()) / LIMIT


def trial(seed: int, mutant: str = "") -> Trial:
    """Final training loss of a linear recurrent net, with and without cutting."""
    hook = MUTANTS.get(mutant, ClipNorm)(limit=LIMIT)
    angle, length = _turned(seed, hook)
    left, right = _final(seed, (hook,)), _final(seed, ())
    kept = abs(angle) <= 1e-9 and abs(length - 1) <= 1e-9
    return Trial(left, right, kept and left < 2 * math.log(2) and right > 10 * math.log(2))


CLAIM = Claim(
    paper="pascanu2013difficulty",
    methods=("hook:clip-norm",),
    says="Cutting keeps the direction to 1e-9, and where plain training of a recurrent net ends "
    "above ten times the loss of guessing, training with it ends below twice that loss.",
    left="final training loss with cutting (guessing: 0.693)",
    right="final training loss without",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=tuple(MUTANTS),
    seconds=5,
)
