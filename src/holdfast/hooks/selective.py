"""Updates for the weights that matter, at random for the others."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.fields import NonNegative, Share, settings
from holdfast.core.kinds import Hook, Run

FLOOR = 1e-12  # chances are never smaller: gradients are divided by them


@register("hook", cites="roast", name="selective", says="Weights that matter little rarely move.")
@settings
class Selective(Hook):
    """Keeps the gradient of a weight with a chance that rises with its importance.

    Importance is the sum of squared gradients over the epoch before. All weights are ranked
    together, u in [0, 1], and kept with chance p = sigmoid(2 beta (u - alpha)); what is kept is
    divided by p, so that the gradient stays the same in the mean. The draw is made once per
    epoch; the first epoch keeps all. Embeddings and the last layer, which are made for the task,
    are never masked.

    Property: with alpha 0 and a large beta all but the least important weight are kept.
    Decoupled weight decay and momentum still move weights whose gradient is masked.

    Unlike the paper: importance is not measured in a pass of its own before training; the first
    batch of an epoch counts like the others.

    Args:
        alpha: rank at which half of the weights are kept.
        beta: how sharply the chance rises.
        unbiased: whether what is kept is divided by its chance.
    """

    alpha: Share = 0.9
    beta: NonNegative = 10.0
    unbiased: bool = True

    @torch.no_grad()
    def gradients(self, run: Run) -> None:
        memory = run.memory(self)
        for name, w in inner(run.model).items():
            if w.grad is None:
                continue
            square = w.grad.detach().square()
            before = memory.get(f"sum/{name}")
            memory[f"sum/{name}"] = square if before is None else before + square
            mask = memory.get(f"mask/{name}")
            if mask is not None:
                w.grad.mul_(mask.to(w.grad))

    @torch.no_grad()
    def epoch(self, run: Run) -> bool | None:
        memory = run.memory(self)
        weights = {n: w for n, w in inner(run.model).items() if f"sum/{n}" in memory}
        if not weights:
            return None
        sums = torch.cat([memory.pop(f"sum/{n}").flatten() for n in weights])
        mask = self.mask(sums, run.dice.generator(f"selective{run.epoch}"))
        parts = mask.split([w.numel() for w in weights.values()])
        for (name, w), part in zip(weights.items(), parts, strict=True):
            memory[f"mask/{name}"] = part.view(w.shape)
        return None

    def chances(self, importance: Tensor) -> Tensor:
        """`(n,)`: chance of each weight to be kept, from its rank; ties by position."""
        rank = importance.argsort(stable=True).argsort().double()
        u = rank / max(len(rank) - 1, 1)
        return torch.sigmoid(2 * self.beta * (u - self.alpha))

    def mask(self, importance: Tensor, generator: torch.Generator) -> Tensor:
        """`(n,)`: what gradients are multiplied by."""
        p = self.chances(importance)
        drawn = torch.rand(p.shape, generator=generator, dtype=p.dtype).to(p.device)
        kept = (drawn < p).to(p)
        return kept / p.clamp(min=FLOOR) if self.unbiased else kept


def inner(model: nn.Module) -> dict[str, nn.Parameter]:
    """Weights that are neither in an embedding nor in the last layer that has any, by name."""
    leaves = [(n, m) for n, m in model.named_modules() if dict(m.named_parameters(recurse=False))]
    outside = {n for n, m in leaves if isinstance(m, nn.Embedding)}
    outside |= {n for n, _ in leaves[-1:]}
    return {
        f"{n}.{k}".lstrip("."): w
        for n, m in leaves if n not in outside
        for k, w in m.named_parameters(recurse=False)
    }  # fmt: skip
