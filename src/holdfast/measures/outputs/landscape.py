"""Many models on their own and on foreign data: does the one tell the other?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.inputs import some_models
from holdfast.core.records import Cell, Reading
from holdfast.run.reading import average

Scale = Literal["logit", "linear"]
Table = Mapping[str, Tensor]


def _scaled(share: Tensor, scale: Scale) -> Tensor:
    return torch.logit(share, eps=1e-6) if scale == "logit" else share


def _least_squares(columns: Tensor, y: Tensor) -> tuple[Tensor, float]:
    """Coefficients, and the adjusted R^2."""
    w = torch.linalg.lstsq(columns, y[:, None], driver="gelsd").solution[:, 0]
    rest, spread = (y - columns @ w).square().sum(), (y - y.mean()).square().sum()
    n, k = columns.shape
    share = 1 - float(rest / spread.clamp(min=1e-300))
    return w, 1 - (1 - share) * (n - 1) / max(n - k, 1)


@dataclass(frozen=True, eq=False)
class Landscape:
    """A line through models, and how far each lies above it.

    Args:
        slope: of the line, on its scale.
        offset: of the line, on its scale.
        r2: adjusted share of the variance that the line explains, over all models.
        r2_tags: the same when every tag may have an offset of its own.
        above: `(M,)` foreign score minus what the line says: effective robustness.
        outside: `(M,)` bool, models whose own score the fitted ones do not reach.
        tags: `(M,)` tag of each model.
        follows: how each foreign set correlates with the own score.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the bootstrap.
    """

    slope: float
    offset: float
    r2: float
    r2_tags: float
    above: Tensor
    outside: Tensor
    tags: tuple[str, ...]
    follows: Mapping[str, float]
    name: str
    alpha: float
    seed: int

    @property
    def own_score_alone(self) -> bool:
        """Whether the tags explain next to nothing: less than 0.01 of the adjusted R^2."""
        return self.r2_tags - self.r2 < 0.01

    def of(self, tag: str) -> Tensor:
        """Effective robustness of the models of one tag."""
        return self.above[torch.tensor([t == tag for t in self.tags])]

    def readings(self) -> tuple[Reading, ...]:
        """Mean effective robustness of each tag; models are resampled."""
        found = []
        for tag in sorted(set(self.tags)):
            mask = torch.tensor([t == tag for t in self.tags])
            far = int((mask & self.outside).sum())
            flags = (
                (f"{far} of {int(mask.sum())} models lie outside the fitted range",) if far else ()
            )
            found.append(average(f"{self.name}.{tag or 'all'}", self.above[mask], unit="score",
                                 alpha=self.alpha, seed=self.seed, flags=flags))  # fmt: skip
        return tuple(found)

    def rows(self) -> tuple[dict[str, Cell], ...]:
        """Rows of a table: each tag with its models and its mean."""
        return tuple({"tag": r.name.rpartition(".")[2], "models": r.n, "effective": r.value,
                      "low": r.low, "high": r.high} for r in self.readings())  # fmt: skip


@register("measure", cites="qa-robustness-landscape", says="Effective robustness by kind of model.")
def landscape(
    table: Table,
    tags: Sequence[str] | None = None,
    *,
    fit: tuple[str, ...] = (),
    scale: Scale = "logit",
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "landscape",
) -> Landscape:
    """Fits foreign scores of models by their own score, and says which kinds lie above the line.

    The line is fitted on the models of some tags, on log odds or plainly, and the effective
    robustness of a model is its mean foreign score minus what the line says. If offsets of the
    tags add less than 0.01 to the adjusted R^2, the own score alone explains the foreign one.

    Args:
        table: scores in [0, 1] by data set, `(M,)` each; the first is the models' own.
        tags: kind of each model; all are of one kind unless given.
        fit: tags of the models that the line is fitted on; all unless given.
        scale: of the fit.
        alpha: intervals cover with probability at least 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        ShapeError: for less than two data sets or three fitted models, or unequal columns.
        ConfigError: for scores outside [0, 1].
    """
    columns = [c.detach().double().flatten() for c in table.values()]
    count = len(columns[0]) if columns else 0
    kinds = tuple(tags) if tags is not None else ("",) * count
    if len(columns) < 2 or any(len(c) != count for c in columns) or len(kinds) != count:
        raise ShapeError(
            f"{name}: needs two or more data sets with a score for each model, got "
            f"{[len(c) for c in columns]} scores and {len(kinds)} tags",
            fix="Give a table of two columns or more, as long as the tags.",
        )
    if not all(bool(((c >= 0) & (c <= 1)).all()) for c in columns):
        raise ConfigError(f"{name}: scores must lie in [0, 1]", fix="Divide percentages by 100.")
    own, foreign = columns[0], torch.stack(columns[1:]).mean(0)
    used = torch.tensor([not fit or t in fit for t in kinds], dtype=torch.bool)
    some_models(used.nonzero(), name, 3)
    x, y = _scaled(own, scale), _scaled(foreign, scale)
    line = torch.stack([x, torch.ones_like(x)], 1)
    (slope, offset), _ = _least_squares(line[used], y[used])
    said = slope * x + offset
    above = foreign - (said.sigmoid() if scale == "logit" else said)
    kind = [torch.tensor([t == k for t in kinds]).double() for k in sorted(set(kinds))[1:]]
    r2 = _least_squares(line, y)[1]
    more = _least_squares(torch.cat([line, *(k[:, None] for k in kind)], 1), y)[1]
    follows = {n: float(torch.corrcoef(torch.stack([own, c]))[0, 1])
               for n, c in zip(list(table)[1:], columns[1:], strict=True)}  # fmt: skip
    outside = (own < own[used].min()) | (own > own[used].max())
    return Landscape(float(slope), float(offset), r2, max(more, r2), above, outside, kinds,
                     follows, name, alpha, seed)  # fmt: skip
