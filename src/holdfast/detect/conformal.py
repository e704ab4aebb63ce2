"""Split conformal prediction: sets of classes that hold the true one as often as promised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Inner, Natural, NonNegative, Positive, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Detector, Model
from holdfast.core.quiet import quiet
from holdfast.core.row_keys import row_keys
from holdfast.ops.batch import Inputs
from holdfast.ops.conformal import conformal_threshold

SLOPE = 0.1  # width of the smooth steps that stand in for the count of classes


@register(
    "detector",
    cites="split-conformal",
    says="Sets of classes that hold the true one with a promised probability.",
)
@settings
class Conformal(Detector):
    """Keeps every class whose strangeness does not exceed that of most trusted rows.

    The threshold is the k-th smallest strangeness of the true classes of n trusted rows,
    `k = ceil((n + 1)(1 - alpha))`. For a new row exchangeable with them the set holds the true
    class with probability at least `1 - alpha`, whatever the model, and at most
    `1 - alpha + 1 / (n + 1)` if no two rows are equally strange. With fewer than `1 / alpha - 1`
    rows the set is full. The model must not have learnt from these rows.

    Strangeness of class y, with probabilities p sorted downwards and y at rank r: `lac` is
    `1 - p_y` (smallest sets on average); `aps` is `p_(1) + ... + p_(r-1) + u p_(r)` (sets grow
    with difficulty); `raps` adds `penalty * max(0, r - free_ranks)`. The number u is uniform
    and drawn from the contents of the row, one for all its classes: a fixed function of the
    input, so that trusted and new rows are scored alike in any batch.

    As a score of trust the result is the size of the set, the empty set counting as all classes,
    and a fraction that orders sets of equal size.

    Cost: one forward pass per row.

    Args:
        strangeness: `lac`, `aps` or `raps`.
        alpha: admissible share of sets that miss the true class.
        penalty: of `raps`, for each rank beyond the free ones.
        free_ranks: ranks of `raps` without a penalty.
        randomized: whether u is drawn; otherwise u = 1, and sets are somewhat too large.
        by_class: one threshold per class (Mondrian): the promise then holds for each class by
            itself; a class with fewer than `1 / alpha - 1` trusted rows is always in the set.
        temperature: the logits are divided by it; never chosen on the trusted rows.
        seed: of u.
    """

    strangeness: Literal["lac", "aps", "raps"] = "lac"
    alpha: Inner = 0.1
    penalty: NonNegative = 0.01
    free_ranks: Natural = 5
    randomized: bool = True
    by_class: bool = False
    temperature: Positive = 1.0
    seed: int = 0

    def fit(self, model: Model, trusted: Batches) -> Sets:
        """Thresholds from trusted rows; rows without a label are left out.

        Raises:
            Unsupported: if the model does not give one row of logits per input.
        """
        open_set = Sets(model, self, torch.empty(0, dtype=torch.float64))
        own, labels = [torch.empty(0, dtype=torch.float64)], [torch.empty(0, dtype=torch.int64)]
        classes = 0
        for batch in trusted:
            with torch.no_grad():
                every = open_set.every(batch.x).cpu()
            known = batch.y.cpu() != UNLABELLED
            classes = every.shape[1]
            labels.append(batch.y.cpu()[known].long())
            own.append(every[known].gather(1, labels[-1][:, None]).squeeze(1))
        scores, y = torch.cat(own), torch.cat(labels)
        groups = [scores[y == k] for k in range(classes)] if self.by_class else [scores]
        limits = [conformal_threshold(group, self.alpha) for group in groups or [scores]]
        return Sets(model, self, torch.tensor(limits, dtype=torch.float64))

    def of(self, z: Tensor, u: Tensor) -> Tensor:
        """`(B, K)`: the strangeness of every class.

        Args:
            z: `(B, K)` logits.
            u: `(B,)` draws in [0, 1).
        """
        p = (z.double() / self.temperature).softmax(1)
        if self.strangeness == "lac":
            return 1 - p
        ranked, order = p.sort(dim=1, descending=True, stable=True)
        found = ranked.cumsum(1) - (1 - u.to(p)[:, None]) * ranked
        if self.strangeness == "raps":
            rank = torch.arange(1, p.shape[1] + 1, device=p.device, dtype=p.dtype)
            found = found + self.penalty * (rank - self.free_ranks).clamp(min=0)
        return torch.empty_like(found).scatter_(1, order, found)


@dataclass(frozen=True, eq=False)
class Sets:
    """Calibrated sets of classes.

    Args:
        model: whose answers they hold.
        rule: how strange a class is.
        limits: `(1,)` or `(K,)`: the largest strangeness of a class in the set.
    """

    model: Model
    rule: Conformal
    limits: Tensor

    def every(self, x: Inputs) -> Tensor:
        """`(B, K)` strangeness of every class; NaN where the logits are not finite."""
        with quiet(self.model):
            z = logits(self.model(x))
        if z.dim() != 2:
            raise Unsupported(
                f"detector:conformal needs logits (B, K), got {tuple(z.shape)}",
                fix="Read the answer of one position off the outputs first.",
            )
        draws = Dice(self.rule.seed, row_keys(x), "conformal")
        u = draws.uniform(device=z.device, dtype=torch.float64) if self.rule.randomized else None
        found = self.rule.of(z, torch.ones(len(z), device=z.device) if u is None else u)
        return found.masked_fill(~z.isfinite().all(1, keepdim=True), torch.nan)

    def sets(self, x: Inputs) -> Tensor:
        """`(B, K)` bool: the classes in the set of each row; all where logits are not finite."""
        with torch.no_grad():
            every = self.every(x)
        return (every <= self.limits.to(every.device)) | every.isnan()

    def __call__(self, x: Inputs, y: Tensor | None = None) -> Tensor:
        """`(B,)`: the strangeness of the given classes, or the size of the set.

        A fraction below one is added to sizes, the mean of smooth steps at the limits: it orders
        rows whose sets are equally large, and has a slope where a count has none.
        """
        every = self.every(x)
        if y is not None:
            own = every.gather(1, y.to(every.device).clamp(min=0)[:, None]).squeeze(1)
            return torch.where(own.isnan(), torch.inf, own)
        gap = self.limits.to(every.device) - every
        size = (gap >= 0).sum(1).to(every)
        size = torch.where(size == 0, every.shape[1], size) + torch.sigmoid(gap / SLOPE).mean(1)
        return torch.where(every.isnan().any(1), torch.inf, size)
