"""What moving between domains costs: against where a model comes from, and where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.ranges import inside
from holdfast.core.records import Cell, Reading
from holdfast.run.reading import proportion

Scenario = Literal["classic", "observed", "unobserved", "none"]
DRAWS = 1000


@dataclass(frozen=True, eq=False)
class DomainDrops:
    """Performance of models from each domain on each domain.

    Args:
        performance: `(D, D)`, row: where the model comes from, column: where it is tried.
        tolerance: drops up to it count as none.
        domains: names.
        alpha: of the intervals.
        seed: of the bootstrap over domains.
        name: prefix of the readings.
    """

    performance: Tensor
    tolerance: float
    domains: tuple[str, ...]
    alpha: float
    seed: int
    name: str

    @property
    def source(self) -> Tensor:
        """`(D, D)` source drop P[s, s] - P[s, t]: what is seen when a model is moved."""
        return self.performance.diagonal()[:, None] - self.performance

    @property
    def target(self) -> Tensor:
        """`(D, D)` target drop P[t, t] - P[s, t]: what learning in the target would have given."""
        return self.performance.diagonal()[None] - self.performance

    @property
    def off(self) -> Tensor:
        """`(D, D)` bool: the shifts, all ordered pairs of two domains."""
        return ~torch.eye(len(self.performance), dtype=torch.bool)

    def scenario(self, s: int, t: int) -> Scenario:
        """`classic`: both drops; `observed`: a harder target explains what is seen;
        `unobserved`: an easier target hides a loss; `none`: no drop.
        """
        seen = bool(self.source[s, t] > self.tolerance)
        lost = bool(self.target[s, t] > self.tolerance)
        if seen and lost:
            return "classic"
        if seen:
            return "observed"
        return "unobserved" if lost else "none"

    def shares(self) -> dict[Scenario, int]:
        """How many shifts fall into each scenario."""
        found: dict[Scenario, int] = {"classic": 0, "observed": 0, "unobserved": 0, "none": 0}
        for s, t in self.off.nonzero().tolist():
            found[self.scenario(s, t)] += 1
        return found

    def readings(self) -> tuple[Reading, ...]:
        """Mean drop (that of sources equals that of targets), worst ones, share of scenarios."""
        off, n = self.off, int(self.off.sum())
        sd, td = self.source, self.target
        mean = float(td[off].mean())
        low, high = self._mean_again()
        worst = [("worst_source", float(sd[off].max())), ("worst_target", float(td[off].max()))]
        found = [
            Reading(name=f"{self.name}.drop", value=mean, low=min(low, mean),
                    high=max(high, mean), n=n, better="lower", seed=self.seed),
            *(Reading(name=f"{self.name}.{word}", value=v, low=v, high=v, n=n, bound="exact",
                      better="lower") for word, v in worst),
        ]  # fmt: skip
        return (*found, *(
            proportion(f"{self.name}.{word}", count, n, better="neither", alpha=self.alpha)
            for word, count in self.shares().items()
        ))  # fmt: skip

    def _mean_again(self) -> tuple[float, float]:
        """The mean drop over resampled domains."""
        d = len(self.performance)
        pick = torch.randint(d, (DRAWS, d), generator=Dice.of(0, self.seed).generator(self.name))
        off = pick[:, :, None] != pick[:, None]
        drop = self.target[pick[:, :, None], pick[:, None]]
        count = off.sum((1, 2))
        mean = ((drop * off).sum((1, 2)) / count.clamp(min=1))[count > 0]
        ends = mean.quantile(torch.tensor([self.alpha / 2, 1 - self.alpha / 2]).double())
        return float(ends[0]), float(ends[1])

    def rows(self) -> tuple[dict[str, Cell], ...]:
        """Rows of a figure of kind `table`: one per shift, largest target drop first."""
        td, sd, p = self.target, self.source, self.performance.diagonal()
        pairs = sorted(self.off.nonzero().tolist(), key=lambda st: -float(td[st[0], st[1]]))
        return tuple(
            {"from": self.domains[s], "to": self.domains[t], "source drop": float(sd[s, t]),
             "target drop": float(td[s, t]), "relative source drop": float(sd[s, t] / p[s]),
             "relative target drop": float(td[s, t] / p[t]), "scenario": self.scenario(s, t)}
            for s, t in pairs
        )  # fmt: skip


@register("measure", cites="domain-robustness-sd-td")
def domain_drops(
    performance: Tensor,
    *,
    tolerance: float = 0.0,
    domains: Sequence[str] = (),
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "domains",
) -> DomainDrops:
    """Source drop and target drop of every move from one domain to another.

    The source drop mixes failure of the model with the target being harder; the target drop does
    not. Their difference is P[s, s] - P[t, t], and their means over all moves are equal, so what
    counts is each move and the share of those on which the two disagree.

    Args:
        performance: `(D, D)` of a model from the row's domain on rows of the column's that it has
            not seen; all models from equally many rows.
        tolerance: drops up to it count as none, for example a standard error.
        domains: names; numbers unless given.
        alpha: intervals aim at a coverage of 1 - alpha.
        seed: of the bootstrap over domains.
        name: prefix of the readings.

    Raises:
        ShapeError: unless it is a square matrix of finite numbers of at least two domains.
        ConfigError: for names that do not fit or a negative tolerance.
    """
    p = performance.detach().double().cpu()
    if p.dim() != 2 or p.shape[0] != p.shape[1] or len(p) < 2 or not bool(p.isfinite().all()):
        raise ShapeError(
            f"{name}: {tuple(p.shape)} is no finite (D, D) of two domains or more",
            fix="Give a square table of finite scores: rows trained on, columns tested on.",
        )
    named = tuple(domains) or tuple(str(k) for k in range(len(p)))
    inside("[0, inf]", name, tolerance=tolerance)
    if len(named) != len(p):
        raise ConfigError(
            f"{name}: {len(named)} names for {len(p)} domains",
            fix="Give one name per row of the table, or none.",
        )
    return DomainDrops(p, tolerance, named, alpha, seed, name)
