"""Accuracy under shift against accuracy without: the line of models, and who stands above it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError
from holdfast.core.ranges import inside, one_of
from holdfast.core.records import Cell, Reading
from holdfast.measures.outputs.accuracy_line import AccuracyLine, Scale

DRAWS, TIGHT, LEAST = 500, 0.5, 3


@dataclass(frozen=True, eq=False)
class Effective:
    """Models against the line of the standard ones.

    Args:
        line: of all standard models.
        above: `(m,)` effective robustness; a standard model is held against the line of the others.
        standard: `(m,)` bool.
        low: `(m,)` lower ends of the intervals.
        high: `(m,)` upper ends.
        r2: interval of the line's fit.
        seed: of the bootstrap over standard models.
        name: prefix of the readings.
    """

    line: AccuracyLine
    above: Tensor
    standard: Tensor
    low: Tensor
    high: Tensor
    r2: tuple[float, float]
    seed: int
    name: str

    def readings(self) -> tuple[Reading, ...]:
        """Fit of the line; effective robustness of each other model, else of the extremes."""
        m = int(self.standard.sum())
        loose = (f"the line explains only {self.line.r2:.2f} of the variance",)
        flags = loose if self.line.r2 < TIGHT else ()
        fit = Reading(
            name=f"{self.name}.r2", value=self.line.r2, low=min(self.r2[0], self.line.r2),
            high=max(self.r2[1], self.line.r2), n=m, better="neither", seed=self.seed, flags=flags,
        )  # fmt: skip
        others = (~self.standard).nonzero().flatten().tolist()
        chosen = {f"model{i}": i for i in others} or {
            "lowest": int(self.above.argmin()), "highest": int(self.above.argmax()),
        }  # fmt: skip
        return (fit, *(
            Reading(name=f"{self.name}.{word}", value=float(self.above[i]), low=float(self.low[i]),
                    high=float(self.high[i]), n=m, seed=self.seed, flags=flags)
            for word, i in chosen.items()
        ))  # fmt: skip

    def rows(self, accuracies: Tensor) -> tuple[dict[str, Cell], ...]:
        """Rows of a figure of kind `lines`."""
        return tuple(
            {"x": float(a[0]), "y": float(a[-1]), "series": "standard" if s else "others"}
            for a, s in zip(accuracies, self.standard.tolist(), strict=True)
        )


@register("measure", cites="effective-robustness")
def effective_robustness(
    accuracies: Tensor,
    *,
    standard: Tensor | None = None,
    scale: Scale = "logit",
    rows: int = 10000,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "effective",
) -> Effective:
    """How much more accurate under shift a model is than standard ones of its plain accuracy.

    Standard models lie on a line on the logit (or probit) scale; what is above the line is
    robustness, what is along it is accuracy. A model is never held against a line to which it
    belongs. Relative robustness is simply a difference: with less without an intervention, and an
    intervention is useful only if both are positive. Without a tight line the number means
    nothing, and is flagged. Accuracies must be of the same classes on both sides.

    Args:
        accuracies: `(m, 1 + k)` of each model: on k plain data sets (one, usually), then under
            shift; average over several shifts first.
        standard: `(m,)` bool, models the line is fitted to; all unless given.
        scale: on which the line is straight.
        rows: behind each accuracy; keeps 0 and 1 finite.
        alpha: of the intervals, from a bootstrap over standard models.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        ShapeError: for accuracies that are none, or too few standard models.
        ConfigError: for a scale that does not exist.
    """
    one_of(get_args(Scale), name, scale=scale)
    inside("[1, inf]", name, rows=rows)
    if accuracies.dim() != 2 or accuracies.shape[1] < 2:
        raise ShapeError(
            f"{name}: accuracies {tuple(accuracies.shape)} must be (models, 1 + k)",
            fix="Give a table (models, 1 + k): accuracy in distribution, then under each of "
            "k shifts.",
        )
    plain, shifted = accuracies[:, :-1].double().cpu(), accuracies[:, -1].double().cpu()
    own = torch.ones(len(plain), dtype=torch.bool) if standard is None else standard.cpu().bool()
    if own.shape != shifted.shape or int(own.sum()) < max(LEAST, plain.shape[1] + 2):
        raise ShapeError(f"{name}: {int(own.sum())} standard models are too few for a line",
                         fix="Give at least three, one flag per model.")  # fmt: skip
    line = AccuracyLine.fit(plain[own], shifted[own], scale, rows)
    above = line.above(plain, shifted)
    for i in own.nonzero().flatten().tolist():
        rest = own.clone()
        rest[i] = False
        one = AccuracyLine.fit(plain[rest], shifted[rest], scale, rows)
        above[i] = one.above(plain[i : i + 1], shifted[i : i + 1])[0]
    lines = _again(plain[own], shifted[own], scale, rows, seed, name)
    every = torch.stack([line_.above(plain, shifted) for line_ in lines])
    ends = torch.tensor([alpha / 2, 1 - alpha / 2], dtype=torch.float64)
    spread = every.quantile(ends, dim=0)
    fit = torch.tensor([line_.r2 for line_ in lines]).double().quantile(ends).tolist()
    return Effective(line, above, own, spread[0].minimum(above), spread[1].maximum(above),
                     (fit[0], fit[1]), seed, name)  # fmt: skip


def _again(
    plain: Tensor, shifted: Tensor, scale: Scale, rows: int, seed: int, name: str
) -> list[AccuracyLine]:
    g = Dice.of(0, seed).generator(name)
    picks = torch.randint(len(plain), (DRAWS, len(plain)), generator=g)
    return [AccuracyLine.fit(plain[p], shifted[p], scale, rows) for p in picks]


def agreement_line(plain: Tensor, shifted: Tensor, scale: Scale = "probit") -> AccuracyLine:
    """The line of how often pairs of models agree: where accuracies lie on a line, it is theirs.

    So shifted accuracies can be told from plain ones without labels under shift.

    Args:
        plain: `(m, n)` answers of each model without shift.
        shifted: `(m, n')` answers under shift.
        scale: on which the line is straight.
    """
    i, j = torch.triu_indices(len(plain), len(plain), 1)
    same = [(answers[i] == answers[j]).double().mean(1) for answers in (plain, shifted)]
    return AccuracyLine.fit(same[0], same[1], scale, min(plain.shape[1], shifted.shape[1]))
