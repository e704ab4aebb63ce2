"""RAPS with settings of its own data: free ranks and penalty chosen on held rows."""

from __future__ import annotations

import torch

from holdfast.core.data import Batches
from holdfast.core.kinds import Model
from holdfast.detect.conformal import Conformal, Sets
from holdfast.ops.conformal import conformal_threshold


def tuned(
    model: Model, held: Batches, *, alpha: float = 0.1,
    penalties: tuple[float, ...] = (0.001, 0.01, 0.1, 0.2, 0.5), temperature: float = 1.0,
) -> Conformal:  # fmt: skip
    """RAPS with free ranks and penalty chosen on rows that serve for nothing else.

    The free ranks are the conformal quantile of the ranks of the true classes; the penalty is
    the one whose sets, calibrated on every other held row, are smallest on the rest.

    Args:
        model: whose answers are sorted.
        held: labelled rows, apart from trusted and test rows; at least two.
        alpha: as of `Conformal`.
        penalties: tried in turn.
        temperature: the logits are divided by it.

    Cost: `2 * len(penalties) + 1` forward passes per held row.
    """
    plain = Conformal(strangeness="aps", alpha=alpha, temperature=temperature, randomized=False)
    ranks = []
    for batch in held:
        with torch.no_grad():
            every = Sets(model, plain, torch.empty(0)).every(batch.x)
        known = batch.y >= 0
        own = every.gather(1, batch.y.to(every.device).clamp(min=0)[:, None])
        ranks.append((every <= own).sum(1)[known.to(every.device)].cpu())
    limit = conformal_threshold(torch.cat(ranks).double(), alpha)
    free = max(1, int(limit)) if limit < torch.inf else 1
    half, rest = held.take(slice(0, None, 2)), held.take(slice(1, None, 2))

    def size(penalty: float) -> float:
        rule = Conformal(
            strangeness="raps", alpha=alpha, penalty=penalty, free_ranks=free,
            temperature=temperature,
        )  # fmt: skip
        found = rule.fit(model, half)
        return float(torch.cat([found.sets(b.x).sum(1) for b in rest]).double().mean())

    best = min(penalties, key=size)
    return Conformal(
        strangeness="raps", alpha=alpha, penalty=best, free_ranks=free, temperature=temperature
    )
