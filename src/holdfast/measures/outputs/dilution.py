"""Sources of data as lines of models, and what becomes of the best line in a mixture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.records import Reading
from holdfast.measures.outputs.accuracy_line import AccuracyLine, Scale

DRAWS = 500


@dataclass(frozen=True, eq=False)
class Dilution:
    """A mixture of sources against the line of the best of them.

    Args:
        lines: source -> line of models trained on growing parts of it.
        best: the source that is highest at the mixture's plain accuracies.
        worst: the lowest one.
        below: mean effective robustness of the mixture against the best line; negative: diluted.
        floor: the same of the worst line.
        spread: `(draws, 2)` both again, on resampled models.
        alpha: of the intervals.
        seed: of the bootstrap.
        name: prefix of the readings.
        n: models behind it.
    """

    lines: Mapping[str, AccuracyLine]
    best: str
    worst: str
    below: float
    floor: float
    spread: Tensor
    alpha: float
    seed: int
    name: str
    n: int

    @property
    def diluted(self) -> bool:
        """Whether the mixture lies between both lines, give or take two standard errors."""
        slack = 2 * self.spread.std(0)
        return bool(self.floor - slack[1] <= self.below <= slack[0])

    def readings(self) -> tuple[Reading, ...]:
        """The mixture and the worst source, in accuracy against the best line."""
        level = torch.tensor([self.alpha / 2, 1 - self.alpha / 2], dtype=torch.float64)
        ends = self.spread.quantile(level, dim=0)
        return tuple(
            Reading(name=f"{self.name}.{word}", value=value,
                    low=min(value, float(ends[0, k])), high=max(value, float(ends[1, k])),
                    n=self.n, seed=self.seed)
            for k, (word, value) in enumerate((("mixture", self.below), ("worst", self.floor)))
        )  # fmt: skip


def _against(
    lines: Mapping[str, AccuracyLine], best: str, worst: str, mixture: Tensor
) -> list[float]:
    plain, shifted = mixture[:, 0], mixture[:, 1]
    low = lines[worst].predict(plain) - lines[best].predict(plain)
    return [float(lines[best].above(plain, shifted).mean()), float(low.mean())]


@register("measure", cites="clip-quality-not-quantity")
def source_dilution(
    sources: Mapping[str, Tensor],
    mixture: Tensor,
    *,
    scale: Scale = "logit",
    rows: int = 10000,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "dilution",
) -> Dilution:
    """Whether a mixture of sources dilutes the robustness of the best of them.

    Models trained on growing parts of one source trace a line of shifted against plain accuracy;
    more of the same moves along the line. The line of a mixture is expected between those of its
    parts. Sources are compared at the plain accuracies of the mixture's models, so lines that
    cross elsewhere do not matter.

    Args:
        sources: source -> `(m, 2)` plain and shifted accuracy of models of different size.
        mixture: `(m', 2)` the same of models trained on a mixture.
        scale: on which lines are straight.
        rows: behind each accuracy.
        alpha: of the intervals, from a bootstrap over models.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        ConfigError: for fewer than two sources.
        ShapeError: for fewer than two models of a source, or none of the mixture.
    """
    if len(sources) < 2:
        raise ConfigError(
            f"{name}: needs at least two sources, got {len(sources)}",
            fix="Give a mapping of two sources or more, each with the accuracies of its models.",
        )
    pairs = {k: v.double().cpu() for k, v in sources.items()}
    mixed = mixture.double().cpu()
    if any(v.dim() != 2 or v.shape[1] != 2 for v in (*pairs.values(), mixed)) or not len(mixed):
        raise ShapeError(
            f"{name}: accuracies must be (models, 2), plain and shifted",
            fix="Give every source and the mixture as (models, 2): plain accuracy, shifted "
            "accuracy.",
        )
    if not all(bool(v.isfinite().all()) for v in (*pairs.values(), mixed)):
        raise ShapeError(f"{name}: an accuracy is not finite", fix="Leave such models out.")
    lines = {k: AccuracyLine.fit(v[:, 0], v[:, 1], scale, rows) for k, v in pairs.items()}
    height = {k: float(line.predict(mixed[:, 0]).mean()) for k, line in lines.items()}
    best, worst = max(height, key=height.__getitem__), min(height, key=height.__getitem__)
    g = Dice.of(0, seed).generator(name)
    again = []
    for _ in range(DRAWS):
        drawn = {}
        for k in (best, worst):
            pick = torch.randint(len(pairs[k]), (len(pairs[k]),), generator=g)
            drawn[k] = AccuracyLine.fit(pairs[k][pick, 0], pairs[k][pick, 1], scale, rows)
        some = mixed[torch.randint(len(mixed), (len(mixed),), generator=g)]
        again.append(_against(drawn, best, worst, some))
    below, floor = _against(lines, best, worst, mixed)
    count = sum(map(len, pairs.values())) + len(mixed)
    return Dilution(lines, best, worst, below, floor, torch.tensor(again).double(), alpha, seed,
                    name, count)  # fmt: skip


def output_mixture(logits: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Answers of models of single sources, mixed: the weighted mean of their logits.

    Args:
        logits: source -> `(B, K)`.
        weights: source -> weight, not negative; they are scaled to sum to one.

    Raises:
        ConfigError: for a weight without source, negative weights, or none above zero.
    """
    total = sum(weights.values())
    if not set(weights) <= set(logits) or total <= 0 or min(weights.values()) < 0:
        raise ConfigError(
            "output_mixture: needs weights >= 0 of sources that there are, got "
            f"{dict(weights)} for {sorted(logits)}",
            fix="Give one positive weight by the name of a source.",
        )
    parts = [logits[k] * (w / total) for k, w in weights.items() if w]
    return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
