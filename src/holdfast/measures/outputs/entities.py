"""Named entities: F1 of spans, and in which ways two sets of tags differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ShapeError
from holdfast.core.records import Reading
from holdfast.ops.entities import Span, spans
from holdfast.ops.statistics import bootstrap_mean
from holdfast.run.reading import proportion

ERRORS = ("missing", "non-entity", "wrong type", "partial")


class Scores(NamedTuple):
    """Precision, recall and F1 of entities."""

    precision: float
    recall: float
    f1: float


def counts(tags: Tensor, gold: Tensor) -> Tensor:
    """`(B, 3)`: entities found rightly, found, and there, by exact span and type.

    Tokens without a gold label (-100) are outside in both.
    """
    if tags.shape != gold.shape or tags.dim() != 2:
        raise ShapeError(
            f"tags must be (B, T) on both sides, got {tuple(tags.shape)} for gold tags "
            f"{tuple(gold.shape)}",
            fix="Give both as (texts, tokens) of the same texts.",
        )
    seen = torch.where(gold < 0, 0, tags)
    rows = []
    for a, b in zip(seen.tolist(), gold.tolist(), strict=True):
        one, two = set(spans(a)), set(spans(b))
        rows.append((len(one & two), len(one), len(two)))
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, 3)


def entity_f1(tags: Tensor, gold: Tensor) -> Scores:
    """Micro precision, recall and F1 of entities `(B, T)` tags; with none in either all are 1.

    Args:
        tags: `(B, T)` tags of the model.
        gold: `(B, T)` true tags; -100 does not count.

    Raises:
        ShapeError: unless both are `(B, T)`.
    """
    right, found, there = counts(tags, gold).sum(0).tolist()
    if found == there == 0:
        return Scores(1.0, 1.0, 1.0)
    return Scores(right / max(found, 1), right / max(there, 1), 2 * right / (found + there))


@dataclass(frozen=True, eq=False)
class NoiseProfile:
    """How noisy tags differ from clean ones.

    Args:
        scores: of the noisy tags as if they were predictions.
        errors: count of each kind of error.
        entities: clean ones.
        each: `(B, 3)` entities rightly found, found and there, by row.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the bootstrap.
    """

    scores: Scores
    errors: dict[str, int]
    entities: int
    each: Tensor
    name: str
    alpha: float
    seed: int

    @property
    def level(self) -> float:
        """1 - F1: the noise level."""
        return 1 - self.scores.f1

    def readings(self) -> tuple[Reading, ...]:
        """The level, and each kind of error per clean entity."""
        kinds = tuple(
            proportion(f"{self.name}.{kind.replace(' ', '_')}", min(self.errors[kind], n), n,
                       bound="exact", better="lower", alpha=self.alpha, seed=self.seed)
            for kind, n in ((k, self.entities) for k in ERRORS) if kind != "non-entity"
        )  # fmt: skip
        low, high = self._interval()
        level = Reading(name=f"{self.name}.level", value=self.level, low=min(low, self.level),
                        high=max(high, self.level), n=len(self.each), better="lower",
                        seed=self.seed)  # fmt: skip
        return level, *kinds

    def _interval(self) -> tuple[float, float]:
        """Of the level, by linearising F1 = 2 R / (F + T) in the sums over rows."""
        n = len(self.each)
        if not n or not float(self.each[:, 1:].sum()):
            return 0.0, 1.0
        right, both = self.each[:, 0], self.each[:, 1] + self.each[:, 2]
        part = (2 * right - self.scores.f1 * both) / both.mean()
        low, high = bootstrap_mean(part, seed=self.seed, alpha=self.alpha)
        return max(0.0, self.level - float(high)), min(1.0, self.level - float(low))


def _kind(own: Span, others: list[Span]) -> str:
    """What became of a clean entity that is not found as it is."""
    over = [o for o in others if o.start < own.stop and own.start < o.stop]
    if any((o.start, o.stop) == (own.start, own.stop) for o in over):
        return "wrong type"
    return "partial" if over else "missing"


@register("measure", cites="noisebench", says="Noise level of entity tags, and kinds of errors.")
def noise_profile(
    tags: Tensor,
    gold: Tensor,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "noise",
) -> NoiseProfile:
    """Level and kinds of the errors of noisy entity tags against clean ones.

    The level is 1 minus the F1 of whole entities. A clean entity that is not there as it is has
    the wrong type (same tokens), is partial (other tokens, with overlap) or is missing; a noisy
    one that overlaps no clean one is a non-entity.

    Args:
        tags: `(B, T)` noisy: 0 outside, 2 t + 1 begins an entity of type t, 2 t + 2 goes on.
        gold: `(B, T)` clean, in the same numbers; -100 for tokens that do not count.
        alpha: intervals cover with probability at least 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        ShapeError: if the two do not have the same tokens.
    """
    each = counts(tags, gold)
    errors = dict.fromkeys(ERRORS, 0)
    seen = torch.where(gold < 0, 0, tags)
    for a, b in zip(seen.tolist(), gold.tolist(), strict=True):
        noisy, clean = spans(a), spans(b)
        for own in set(clean) - set(noisy):
            errors[_kind(own, noisy)] += 1
        errors["non-entity"] += sum(_kind(o, clean) == "missing" for o in set(noisy) - set(clean))
    return NoiseProfile(entity_f1(tags, gold), errors, int(each[:, 2].sum()), each, name, alpha,
                        seed)  # fmt: skip
