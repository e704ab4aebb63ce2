"""Adversarial training in which classes that are alike trade radius and weight."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.errors import Unsupported
from holdfast.core.fields import NonNegative, Part, Share, settings
from holdfast.core.goal import Outputs, logits
from holdfast.core.inputs import one_label_each
from holdfast.core.kinds import Model, Objective, Run, Threat
from holdfast.run.ranks import sum_over_ranks
from holdfast.threats.norms import LInf
from holdfast.threats.rowwise import Rowwise, by_class


@register("objective", cites="dafa", name="dafa", says="Alike classes trade radius and weight.")
@settings
class DistanceAware(Objective):
    """DAFA: after a warm-up, harder classes take robustness from easier ones that are alike.

    During the warm-up it is its base, and the mean probabilities P_ij that attacked rows of
    class i give to class j are gathered. From then on class i has a fixed weight, which scales
    the radius of its rows and their loss against the label: 1, plus `strength * P_ij P_jj` for
    each easier class j, minus `strength * P_ji P_ii` for each harder one. What one class gains
    another loses, so the weights add up to the number of classes.

    Cost: that of the base.

    Unlike the paper: the warm-up ends at the first epoch that starts after its share of the run;
    classes that are equally hard trade nothing; no weight falls below 0.

    Args:
        base: an objective with an attack, a threat and a loss.
        threat: which changes are admissible, at weight 1; replaces that of the base.
        strength: of the trade; 0 is the base throughout.
        warmup: share of the run before classes have weights.
    """

    base: Part[Objective] = "objective:trades"
    threat: Part[Threat] = LInf()
    strength: NonNegative = 1.0
    warmup: Share = 0.6

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        base: Any = resolve(self.base)
        if not (hasattr(base, "threat") and hasattr(base, "loss")):
            raise Unsupported(
                f"{type(base).__name__} has no threat or no loss to be weighted",
                fix="Use objective:pgd-at, objective:trades or objective:mart as the base.",
            )
        weights = self._weights(run)
        if weights is None:
            watched = _Watched(
                resolve(self.threat), torch.ones(len(batch.index), device=batch.index.device)
            )
            losses: Tensor = replace(base, threat=watched)(run, batch)
            self._gather(run, watched.seen, batch.y)
            return losses
        factors, loss = by_class(weights, batch.y), resolve(base.loss)
        own = Rowwise(resolve(self.threat), factors)

        def weighted(outputs: Outputs, target: Tensor) -> Tensor:
            return by_class(weights, target) * loss(outputs, target)  # type: ignore[no-any-return]

        weighed: Tensor = replace(base, threat=own, loss=weighted)(run, batch)
        return weighed

    def _gather(self, run: Run, seen: Tensor | None, y: Tensor) -> None:
        """Add up what attacked rows of each class answer, anew in every epoch."""
        if seen is None:
            raise Unsupported(
                "DAFA needs a base that applies the threat, and this one attacked no row",
                fix='Give base="objective:pgd-at".',
            )
        one_label_each(y, "DAFA")
        memory = run.memory(self)
        if memory.get("epoch") != run.epoch or "sums" not in memory:
            memory["epoch"] = run.epoch
            memory["sums"] = torch.zeros(seen.shape[1], seen.shape[1] + 1, device=y.device).double()
        known = y != UNLABELLED
        one = F.one_hot(y[known], seen.shape[1]).double()
        p = F.pad(seen[known].double().softmax(1), (0, 1), value=1.0)  # the last column counts
        memory["sums"] = memory["sums"] + one.T @ p

    def _weights(self, run: Run) -> Tensor | None:
        """`(K,)`: the weights once the warm-up is over; they are made when an epoch begins."""
        memory = run.memory(self)
        over = run.progress >= self.warmup and memory.get("epoch", run.epoch) != run.epoch
        if "weights" not in memory and over:
            sums = sum_over_ranks(memory["sums"])
            memory["weights"] = class_weights(
                sums[:, :-1] / sums[:, -1:].clamp(min=1), self.strength
            )
        found: Tensor | None = memory.get("weights")
        return found


class _Watched(Rowwise):
    """A threat that keeps the outputs of the last inputs it changed."""

    seen: Tensor | None = None

    def through(self, model: Model, x: Tensor, change: Tensor) -> Outputs:
        outputs = super().through(model, x, change)
        self.seen = logits(outputs).detach()
        return outputs


def class_weights(p: Tensor, strength: float) -> Tensor:
    """`(K,)`: the weight of each class; they add up to K unless one would be negative.

    Args:
        p: `(K, K)`, mean probability that rows of class i (attacked) give to class j.
        strength: of the trade.
    """
    own = p.diagonal()
    harder = own[:, None] < own[None, :]
    gained = torch.where(harder, p * own[None, :], 0.0)
    lost = torch.where(harder.T, p.T * own[:, None], 0.0)
    return (1 + strength * (gained - lost).sum(1)).clamp(min=0)
