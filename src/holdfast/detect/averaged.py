"""How strange classes are on average, while an input is moved by noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import logits
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.detect.conformal import Conformal
from holdfast.ops.batch import Inputs

if TYPE_CHECKING:
    from holdfast.detect.robust_conformal import RobustConformal

NUMBERS = 2**21  # input numbers per forward pass


@dataclass(frozen=True, eq=False)
class Averaged:
    """Strangeness under noise, mapped to [0, 1].

    Args:
        model: the base model.
        rule: settings.
        ranks: sorted strangeness of held rows, or None for the plain one.
        samples: draws per row.
    """

    model: Model
    rule: RobustConformal
    ranks: Tensor | None
    samples: int

    def __call__(self, x: Inputs, dice: Dice) -> tuple[Tensor, Tensor, Tensor]:
        """`(B, K)` each: mean and unbiased variance of what is mapped, and the plain mean."""
        x = one_tensor(x, "detector:robust-conformal", floating=True)
        per = max(1, NUMBERS // max(1, x[:1].numel() * self.samples))
        parts = [
            self._some(x[i : i + per], dice.part(slice(i, i + per)))
            for i in range(0, max(1, len(x)), per)
        ]
        return tuple(torch.cat(p) for p in zip(*parts, strict=True))  # type: ignore[return-value]

    def _some(self, x: Tensor, dice: Dice) -> tuple[Tensor, Tensor, Tensor]:
        shape = (self.samples, *x.shape[1:])
        noise = self.rule.sigma * dice.normal(shape, device=x.device, dtype=x.dtype)
        with quiet(self.model):
            z = logits(self.model((x[:, None] + noise).flatten(0, 1)))
        if z.dim() != 2:
            raise Unsupported(
                f"detector:robust-conformal needs logits (B, K), got {z.dim()} axes",
                fix="Give a model that returns logits (B, K).",
            )
        base = Conformal(strangeness=self.rule.strangeness)
        plain = base.of(z, torch.ones(len(z), device=z.device)).clamp(0, 1)
        plain = plain.masked_fill(~z.isfinite().all(1, keepdim=True), torch.nan)
        plain = plain.unflatten(0, (len(x), self.samples))
        mapped = self.mapped(plain.detach())
        mean = mapped.mean(1)
        variance = (mapped - mean[:, None]).square().sum(1) / max(1, self.samples - 1)
        return mean, variance, plain.mean(1)

    def mapped(self, plain: Tensor) -> Tensor:
        """The rising map of strangeness into [0, 1]; NaN stays NaN."""
        if self.ranks is None:
            return plain
        below = torch.searchsorted(self.ranks.to(plain.device), plain.contiguous(), right=True)
        share = below / len(self.ranks) - (1 - self.rule.alpha)
        found = torch.sigmoid(self.rule.steepness * share.double())
        return found.masked_fill(plain.isnan(), torch.nan)

    def knee(self, limit: float) -> float:
        """The plain strangeness around which classes leave the sets."""
        if self.ranks is None or not len(self.ranks):
            return min(limit, 1.0)
        return float(self.ranks.quantile(1 - self.rule.alpha))


def own_means(averaged: Averaged, rows: Batches, dice: Dice) -> Tensor:
    """`(n,)` mean strangeness of the true classes of labelled rows."""
    found = [torch.empty(0, dtype=torch.float64)]
    with torch.no_grad():
        for batch in rows:
            mean = averaged(batch.x, dice.keyed(batch.index))[0].cpu()
            known = batch.y.cpu() != UNLABELLED
            found.append(mean[known].gather(1, batch.y.cpu()[known].long()[:, None]).squeeze(1))
    return torch.cat(found)
