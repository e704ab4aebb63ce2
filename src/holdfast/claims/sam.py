"""SAM against its base where one minimum is sharp and another is flat."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.core.fields import Later
from holdfast.optim.sam import SAM


class Unscaled(SAM):
    """The mutant: moves by the gradient itself, not by a fixed length along it."""

    @torch.no_grad()
    def _climb(self) -> list[tuple[nn.Parameter, Tensor]]:
        slopes = {p: float(p.grad.norm()) for g in self.param_groups for p in g["params"]}
        moved = super()._climb()
        for p, before in moved:
            p.copy_(before + (p - before) * 0.1 * slopes[p])
        return moved


class Stays(SAM):
    """The mutant: forgets to move before the second evaluation."""

    def _climb(self) -> list[tuple[nn.Parameter, Tensor]]:
        return []


def _valleys(w: Tensor) -> Tensor:
    """A wide valley around 0 with a narrow, deeper hole at 1 cut into its slope."""
    return 0.1 * w.square().sum() - 0.2 * torch.exp(-((w - 1) ** 2).sum() / (2 * 0.15**2))


def trial(seed: int, mutant: str = "") -> Trial:
    """Where SAM and its base end, started in the hole; distance from its centre."""
    ends = []
    kinds: dict[str, type[SAM]] = {
        "": SAM,
        "forgets-to-normalise": Unscaled,
        "forgets-to-move": Stays,
    }
    for kind, radius in ((kinds[mutant], 0.4), (SAM, 0.0)):
        g = torch.Generator().manual_seed(seed)
        w = nn.Parameter(1.05 + 0.1 * torch.rand(1, generator=g, dtype=torch.float64))
        optimizer = kind([w], base=Later("torch:SGD", lr=0.05), radius=radius)

        def closure(w: nn.Parameter = w) -> float:
            w.grad = None
            loss = _valleys(w)
            loss.backward()
            return float(loss.detach())

        for _ in range(150):
            optimizer.step(closure)
        ends.append(abs(float(w.detach()) - 1.0))
    return Trial(ends[0], ends[1], ends[0] > 0.3 and ends[1] < 0.1)


CLAIM = Claim(
    paper="sam",
    methods=("optimizer:sam",),
    says="It leaves a sharp minimum, in which gradient descent stays, for a flat one.",
    left="distance from the sharp minimum after SAM",
    right="distance from it after gradient descent",
    trial=trial,
    seeds=(11, 12, 13),
    mutants=("forgets-to-normalise", "forgets-to-move"),
    seconds=5,
)
