"""Rankings: gain, rank of the first hit, and how far they fall when something changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.records import Reading
from holdfast.measures.outputs.retrieval import Gain, drop_rate, ndcg
from holdfast.run.reading import average, proportion


@dataclass(frozen=True, eq=False)
class Promoted:
    """Ranks of target documents before and after they were edited.

    Args:
        before: `(Q,)` ranks.
        after: `(Q,)` ranks.
        edited: `(Q,)` share of the words that were replaced.
    """

    before: Tensor
    after: Tensor
    edited: Tensor

    def readings(self, name: str, alpha: float, seed: int) -> tuple[Reading, ...]:
        """Share of targets that rose, by how many places, at which share of words."""
        n = len(self.before)
        up = int((self.after < self.before).sum())
        rose = proportion(f"{name}.success", up, n, better="lower", alpha=alpha, seed=seed)
        if not n:
            return (rose,)
        boost = (self.before - self.after).double()
        return (
            rose,
            average(f"{name}.boost", boost, better="lower", unit="ranks", alpha=alpha, seed=seed),
            average(f"{name}.edited", self.edited.double(), better="neither", alpha=alpha,
                    seed=seed),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class RankingRobustness:
    """A ranker's gains per query, and what changes of the queries do to them.

    Args:
        first: `(Q,)` gain per query, NaN where nothing is relevant.
        changed: `(V, Q)` gains under variants of the queries.
        below: level under which a query counts as failed.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the bootstrap.
    """

    first: Tensor
    changed: Tensor
    below: float
    name: str
    alpha: float
    seed: int

    @property
    def known(self) -> Tensor:
        """`(Q,)` bool: queries with a relevant document."""
        return ~self.first.isnan()

    @property
    def variance(self) -> float:
        """Population variance of the gain over queries."""
        return float(self.first[self.known].var(correction=0))

    def drops(self) -> Tensor:
        """`(V,)`: drop rate of each variant."""
        mean = float(self.first[self.known].mean())
        return torch.tensor([drop_rate(float(c[self.known].mean()), mean) for c in self.changed])

    def readings(self) -> tuple[Reading, ...]:
        """Mean gain, spread, failed queries; with variants the loss, also of the worst of each."""
        rows, n = self.known, int(self.known.sum())
        lost = len(rows) - n
        flags = (f"{lost} of {len(rows)} queries have no relevant document",) if lost else ()
        failed = proportion(f"{self.name}.failed", int((self.first[rows] < self.below).sum()), n,
                            better="lower", alpha=self.alpha, seed=self.seed)  # fmt: skip
        if not n:
            return (failed,)
        gain = self.first[rows]
        mean = average(f"{self.name}.gain", gain, alpha=self.alpha, seed=self.seed, flags=flags)
        spread = average(f"{self.name}.variance", (gain - gain.mean()).square(), better="lower",
                         alpha=self.alpha, seed=self.seed)  # fmt: skip
        if not len(self.changed):
            return mean, spread, failed
        kept = self.changed[:, rows]
        each = {"loss": kept.mean(0), "worst": kept.amin(0)}
        return mean, spread, failed, *(
            average(f"{self.name}.queries.{word}", gain - value, better="lower", alpha=self.alpha,
                    seed=self.seed)
            for word, value in each.items()
        )  # fmt: skip


@register("measure", cites="ranking-robustness", says="Variance and losses of rankings by query.")
def ranking_robustness(
    rankings: Tensor,
    relevance: Tensor,
    variants: Sequence[Tensor] = (),
    *,
    k: int = 10,
    gain: Gain = "exp2",
    below: float = 0.5,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "ranking",
) -> RankingRobustness:
    """Discounted gain of every query, its variance, and what variants of the queries cost.

    A low variance alone is no merit: a useless ranker has one. So the mean stands beside it.

    Args:
        rankings: `(Q, n)` scores of the documents for each query.
        relevance: `(Q, n)`, 0 or larger.
        variants: scores `(Q, n)` for changed queries, the documents in the same places.
        k: documents that count.
        gain: 2^relevance - 1, or the relevance itself.
        below: gain under which a query counts as failed.
        alpha: intervals cover with probability at least 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        ShapeError: if scores and relevance do not fit.
    """
    first = ndcg(rankings, relevance, k=k, gain=gain)
    made = [ndcg(v, relevance, k=k, gain=gain) for v in variants]
    changed = torch.stack(made) if made else first.new_zeros(0, len(first))
    return RankingRobustness(first.cpu(), changed.cpu(), below, name, alpha, seed)
