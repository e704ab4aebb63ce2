"""Several ways to train, asked several questions: ranks, and what does not earn its price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.records import Cell, Reading
from holdfast.ops.ranking import ranks
from holdfast.run.reading import average


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Ranks of models by question; 1 is the best.

    Args:
        questions: names of the columns.
        scores: `(questions, M)`, larger is better.
        ranks: `(questions, M)`, equal scores share their mean rank.
        tags: `(M,)` kind of each model.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the bootstrap.
    """

    questions: tuple[str, ...]
    scores: Tensor
    ranks: Tensor
    tags: tuple[str, ...]
    name: str
    alpha: float
    seed: int

    @property
    def mean(self) -> Tensor:
        """`(M,)` mean rank over the questions."""
        return self.ranks.mean(0)

    @property
    def best_at_all(self) -> Tensor:
        """`(M,)` bool: models that no other one beats at any question."""
        return (self.scores >= self.scores.amax(1, keepdim=True)).all(0)

    def behind(self, cheap: str, margin: float = 0.0) -> Tensor:
        """`(M,)` bool: models of other tags that the best of a cheap tag reaches everywhere.

        Args:
            cheap: the tag of what costs little.
            margin: how much a costly model must be ahead at one question to be worth it.

        Raises:
            ConfigError: if no model has the tag.
        """
        own = torch.tensor([t == cheap for t in self.tags])
        if not bool(own.any()):
            raise ConfigError(
                f"{self.name}: no model is tagged {cheap!r}, but {sorted(set(self.tags))}",
                fix="Give one of the tags of the table.",
            )
        best = self.scores[:, own].amax(1, keepdim=True)
        return (self.scores <= best + margin).all(0) & ~own

    def readings(self) -> tuple[Reading, ...]:
        """Mean rank of the models of each tag; models are resampled."""
        return tuple(
            average(f"{self.name}.{tag or 'all'}",
                    self.mean[torch.tensor([t == tag for t in self.tags])],
                    unit="rank", better="lower", alpha=self.alpha, seed=self.seed)
            for tag in sorted(set(self.tags))
        )  # fmt: skip

    def rows(self) -> tuple[dict[str, Cell], ...]:
        """Rows of a table: each model with its rank at every question, and the mean."""
        found: list[dict[str, Cell]] = []
        for i, tag in enumerate(self.tags):
            row: dict[str, Cell] = {"model": i, "tag": tag, "mean": float(self.mean[i])}
            row.update({q: float(self.ranks[k, i]) for k, q in enumerate(self.questions)})
            found.append(row)
        return tuple(found)


@register(
    "measure", cites="regularization-robustness-eval",
    says="Ranks of training methods over many questions.",
)  # fmt: skip
def side_by_side(
    table: Mapping[str, Tensor],
    tags: Sequence[str] | None = None,
    *,
    lower: tuple[str, ...] = (),
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "ranks",
) -> SideBySide:
    """Ranks models by every question, and by the mean over them.

    Cheap regularisers, well combined, are a strong baseline, and none is best at everything: so a
    costly method is worth its price only where it beats the best cheap one at some question,
    which `behind` tells.

    Args:
        table: scores by question, `(M,)` each, one per model.
        tags: kind of each model, such as `cheap`; none unless given.
        lower: questions at which a lower score is better (errors).
        alpha: the intervals cover with probability about 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        ShapeError: without models, or if columns or tags do not have one entry per model.
        ConfigError: if `lower` names no column.
    """
    if lost := [q for q in lower if q not in table]:
        raise ConfigError(f"{name}: there is no column {lost[0]!r}", fix=f"It has {list(table)}.")
    columns = [(-s if q in lower else s).detach().double().cpu() for q, s in table.items()]
    count = len(columns[0]) if columns else 0
    kinds = [""] * count if tags is None else list(tags)
    if not count or any(c.shape != (count,) for c in columns) or len(kinds) != count:
        raise ShapeError(
            f"{name}: every column and the tags need one entry per model, got "
            f"{[tuple(c.shape) for c in columns]} and {len(kinds)} tags for {count} models",
            fix="Give columns (models,) of one length, at least one model.",
        )
    scores = torch.stack(columns)
    if bool(scores.isnan().any()):
        raise ShapeError(
            f"{name}: {int(scores.isnan().sum())} scores are not numbers",
            fix="Leave out models without a score, or fill in the worst one.",
        )
    return SideBySide(tuple(table), scores, ranks(-scores), tuple(kinds), name, alpha, seed)
