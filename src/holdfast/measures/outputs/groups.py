"""Accuracy group by group: who is served worst, and by how much."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.goal import Outputs
from holdfast.core.inputs import some_rows
from holdfast.core.records import Cell, Reading
from holdfast.measures.outputs.labelled import labelled
from holdfast.run.reading import proportion

DRAWS = 1000


@dataclass(frozen=True, eq=False)
class GroupReport:
    """Which rows are right, and which groups they belong to.

    Args:
        right: `(n,)` bool.
        member: `(n, G)` bool; a row may belong to several groups, or to none.
        weights: `(G,)` share of each group where the model learned, or None.
        least: rows from which a group counts in the worst accuracy.
        alpha: of the intervals.
        seed: of the resampling.
        name: prefix of the readings.
        flags: reasons to trust the numbers less.
    """

    right: Tensor
    member: Tensor
    weights: Tensor | None
    least: int
    alpha: float
    seed: int
    name: str
    flags: tuple[str, ...] = ()

    @property
    def count(self) -> Tensor:
        """`(G,)` rows of each group."""
        return self.member.sum(0)

    @property
    def accuracy(self) -> Tensor:
        """`(G,)` share of right rows; NaN for an empty group."""
        return (self.right.double() @ self.member.double()) / self.count

    def _judged(self) -> Tensor:
        """`(G,)` groups that are large enough; all that have rows if none is."""
        large = self.count >= self.least
        return large if bool(large.any()) else self.count > 0

    @property
    def worst(self) -> float:
        """Lowest accuracy of a group that is large enough."""
        return float(self.accuracy[self._judged()].min())

    @property
    def gap(self) -> float:
        """Highest minus lowest accuracy of groups that are large enough."""
        return float(self.accuracy[self._judged()].max()) - self.worst

    @property
    def adjusted(self) -> float:
        """Mean of the accuracies, groups weighted as where the model learned; else alike."""
        full = self.count > 0
        weights = torch.ones(len(full)) if self.weights is None else self.weights
        own = weights.to(self.accuracy)[full]
        return float((own * self.accuracy[full]).sum() / own.sum())

    def percentile(self, share: float = 0.1) -> float:
        """Accuracy below which this share of the groups lies (tail of users, regions ...)."""
        return float(self.accuracy[self._judged()].quantile(share))

    def readings(self) -> tuple[Reading, ...]:
        """Average over rows, worst group, gap, tenth percentile, adjusted average."""
        n = len(self.right)
        small = int(((self.count > 0) & (self.count < self.least)).sum())
        flags = self.flags + ((f"{small} groups have fewer than {self.least} rows",) * bool(small))
        found = [proportion(f"{self.name}.average", int(self.right.sum()), n, alpha=self.alpha,
                            seed=self.seed, flags=self.flags)]  # fmt: skip
        values = (self.worst, self.gap, self.percentile(), self.adjusted)
        level = torch.tensor([self.alpha / 2, 1 - self.alpha / 2], dtype=torch.float64)
        for word, value, again in zip(
            ("worst", "gap", "q10", "adjusted"), values, self._again(), strict=True
        ):
            ends = (2 * value - again.quantile(level)).tolist()
            found.append(Reading(
                name=f"{self.name}.{word}", value=value, low=max(0.0, min(value, ends[1])),
                high=min(1.0, max(value, ends[0])), n=n, seed=self.seed, flags=flags,
                better="lower" if word == "gap" else "higher",
            ))  # fmt: skip
        return tuple(found)

    def _again(self) -> tuple[Tensor, ...]:
        """The four numbers when rows are drawn anew within each pattern of membership.

        The lowest of many accuracies is too low on average; so is that of a resample, which is
        why intervals are basic ones (2 v - quantile).
        """
        kinds, own = self.member.cpu().double().unique(dim=0, return_inverse=True)
        size = own.bincount(minlength=len(kinds)).double()
        hit = torch.zeros(len(kinds), dtype=torch.float64).index_add(
            0, own, self.right.cpu().double()
        )
        g = Dice.of(0, self.seed).generator(self.name)
        share = (hit / size).expand(DRAWS, -1).contiguous()
        drawn = torch.binomial(size.expand(DRAWS, -1).contiguous(), share, generator=g)
        every = (drawn @ kinds) / (size @ kinds)
        judged, full = self._judged().cpu(), (size @ kinds) > 0
        some = every[:, judged]
        weights = torch.ones(len(full)) if self.weights is None else self.weights.cpu()
        own_weights = weights.double()[full]
        adjusted = every[:, full] @ own_weights / own_weights.sum()
        low = some.amin(1)
        return low, some.amax(1) - low, some.quantile(0.1, dim=1), adjusted

    def rows(self) -> tuple[dict[str, Cell], ...]:
        """Rows of a figure of kind `bars`, the worst group first."""
        found = [
            (g, proportion("", int(self.right[self.member[:, g]].sum()), int(n), alpha=self.alpha))
            for g, n in enumerate(self.count.tolist()) if n
        ]  # fmt: skip
        found.sort(key=lambda pair: pair[1].value)
        return tuple(
            {"label": f"group {g}", "value": r.value, "low": r.low, "high": r.high, "n": r.n}
            for g, r in found
        )


def _member(groups: Tensor | None, y: Tensor, labels: Tensor, name: str) -> Tensor:
    """`(n, G)` membership of labelled rows."""
    if groups is None:
        return torch.nn.functional.one_hot(labels).bool()
    known = y.flatten() != UNLABELLED
    if groups.shape == y.shape and groups.dtype != torch.bool:
        own = groups.flatten()[known.to(groups.device)].long()
        if len(own) and int(own.min()) < 0:
            raise ShapeError(f"{name}: group {int(own.min())}", fix="Number the groups from 0.")
        return torch.nn.functional.one_hot(own).bool()
    if groups.dtype == torch.bool and groups.shape[:-1] == y.shape and groups.dim() > y.dim():
        return groups.flatten(0, -2)[known.to(groups.device)]
    raise ShapeError(
        f"{name}: groups {groups.dtype} {tuple(groups.shape)} do not fit labels {tuple(y.shape)}",
        fix="Pass whole numbers like the labels, or a mask (B, G).",
    )


@register("measure", cites=("worst-group", "accuracy-disparity-at"))
def group_accuracy(
    outputs: Outputs,
    y: Tensor,
    *,
    groups: Tensor | None = None,
    weights: Tensor | None = None,
    least: int = 10,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "groups",
) -> GroupReport:
    """Accuracy of every group: the worst, the spread, the tail, and the mean over all rows.

    The average is over rows, not over groups; `adjusted` weighs groups as where the model
    learned. Groups may overlap. A worst group found on the rows that chose the model is too
    good: choose on others.

    Args:
        outputs: logits `(..., K)`, classes last.
        y: `(...)` labels; -100 does not count.
        groups: `(...)` number of the group of each row, or `(..., G)` bool for groups that
            overlap; the classes unless given.
        weights: `(G,)` share of each group where the model learned.
        least: rows from which a group counts; smaller ones are flagged.
        alpha: intervals aim at a coverage of 1 - alpha.
        seed: of the resampling within groups.
        name: prefix of the readings.

    Raises:
        ShapeError: if outputs, labels and groups do not fit, or no labelled row has a group.
        ConfigError: if there are not as many weights as groups, or groups with rows have none.
    """
    found = labelled(outputs, y)
    some_rows(found.y, name, what="labelled row")
    member = _member(groups, y, found.y, name).to(found.y.device)
    some_rows(member.any(1).nonzero(), name, what="labelled row of a group")
    if weights is not None and weights.shape != (member.shape[1],):
        raise ConfigError(f"{name}: {tuple(weights.shape)} weights for {member.shape[1]} groups",
                          fix="Give one weight per group.")  # fmt: skip
    if weights is not None and not float(weights.to(member.device)[member.any(0)].sum()) > 0:
        raise ConfigError(f"{name}: all weight lies on empty groups", fix="Weigh one with rows.")
    return GroupReport(found.correct, member, weights, least, alpha, seed, name, found.flags)
