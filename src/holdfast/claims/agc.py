"""Large rates without normalisation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from holdfast.claims.digits import split
from holdfast.claims.harness import Claim, Trial
from holdfast.core.fields import Later, settings
from holdfast.core.kinds import Hook, Run
from holdfast.hooks import clip
from holdfast.run.loop import Training


@settings
class Blind(clip.AdaptiveClip):
    """The mutant: clips by the least length whatever the weights are."""

    @torch.no_grad()
    def gradients(self, run: Run) -> None:
        for p in run.model.parameters():
            if isinstance(p.grad, Tensor):
                length = clip.unit_norms(p.grad).clamp(min=1e-12)
                p.grad.mul_((self.limit * self.floor / length).clamp(max=1.0))


@settings
class Idle(clip.AdaptiveClip):
    """The mutant: never clips."""

    def gradients(self, run: Run) -> None:
        return None


def _deep(seed: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers: list[nn.Module] = [nn.Linear(64, 48), nn.ReLU()]
        for _ in range(8):
            layers += [nn.Linear(48, 48), nn.ReLU()]
        model = nn.Sequential(*layers, nn.Linear(48, 10))
        for layer in model:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return model


def _final(seed: int, hooks: tuple[Hook, ...]) -> float:
    data, _ = split(seed, 512)
    plan = Training(optimizer=Later("torch:SGD", lr=1.0), epochs=8, schedule="cosine", hooks=hooks)
    loss = plan(_deep(seed), data).history[-1]["loss"]
    return loss if math.isfinite(loss) else 1e9


def trial(seed: int, mutant: str = "") -> Trial:
    """Training loss of a deep net without normalisation at rate 1, with and without clipping."""
    kinds = {"": clip.AdaptiveClip, "forgets-the-weights": Blind, "never-clips": Idle}
    left, right = _final(seed, (kinds[mutant](limit=0.02),)), _final(seed, ())
    return Trial(left, right, left < 0.7 < right)


CLAIM = Claim(
    paper="agc",
    methods=("hook:adaptive-clip",),
    says="At a rate at which a deep net without normalisation fails, it learns with clipping.",
    left="training loss with adaptive clipping, in nats",
    right="training loss without, in nats",
    trial=trial,
    seeds=(11, 12, 13),
    mutants=("forgets-the-weights", "never-clips"),
    seconds=10,
)
