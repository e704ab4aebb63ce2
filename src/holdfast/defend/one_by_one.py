"""Calibration class by class: histogram binning and isotonic regression of probabilities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.fields import Count, settings
from holdfast.core.goal import Outputs, logits
from holdfast.core.kinds import Model
from holdfast.defend.trusted import trusted_logits, with_logits

Curves = tuple[tuple[float, ...], ...]
LEAST = 1e-12  # logits stay finite


@dataclass(frozen=True, eq=False)
class Remapped:
    """A model whose probabilities go through one curve per class, then to sum one.

    Args:
        base: the model.
        knots: for each class, rising probabilities; empty leaves the model as it is.
        heights: for each class, what its probability becomes there; between two knots it is
            interpolated, outside the nearest one counts.
    """

    base: Model
    knots: Curves
    heights: Curves

    def __call__(self, x: Any) -> Outputs:
        """The outputs of the base, with the logarithms of the new probabilities for logits."""
        out = self.base(x)
        if not self.knots:
            return out
        z = logits(out)
        if z.shape[-1] != len(self.knots):
            raise Unsupported(
                f"{len(self.knots)} curves do not fit {z.shape[-1]} classes",
                fix="Fit the curves anew on a model of as many classes.",
            )
        p = z.double().softmax(-1)
        new = torch.stack(
            [curve(p[..., k], *pair) for k, pair in enumerate(self._curves(p))], -1
        ).clamp(min=LEAST)
        return with_logits(out, (new / new.sum(-1, keepdim=True)).log().to(z.dtype))

    def _curves(self, p: Tensor) -> list[tuple[Tensor, Tensor]]:
        pairs = zip(self.knots, self.heights, strict=True)
        return [(p.new_tensor(knots), p.new_tensor(heights)) for knots, heights in pairs]


def curve(p: Tensor, knots: Tensor, heights: Tensor) -> Tensor:
    """Heights at `p`, linear between knots; of two equal knots the second counts from there on."""
    if len(knots) == 1:
        return heights.expand(p.shape).clone()
    right = torch.searchsorted(knots, p.contiguous(), right=True).clamp(1, len(knots) - 1)
    low, high = knots[right - 1], knots[right]
    share = ((p - low) / (high - low).clamp(min=1e-300)).clamp(0, 1)
    return heights[right - 1] + share * (heights[right] - heights[right - 1])


def _checked(knots: Curves, heights: Curves) -> None:
    if [len(k) for k in knots] != [len(h) for h in heights] or not all(map(len, knots)):
        raise ShapeError(
            "every class needs as many heights as knots, and one at least, got "
            f"{[len(k) for k in knots]} knots and {[len(h) for h in heights]} heights",
            fix="Give one height per knot in each class.",
        )


@register(
    "defence",
    name="histogram-binning",
    cites="guo2017calibration",
    says="Gives each class the frequencies of trusted rows, bin by bin of its probability.",
)
@settings
class HistogramBinning:
    """Replaces the probability of each class by how often trusted rows of its bin are of it.

    Each class is taken against the rest; the new probabilities are then divided by their sum. A
    bin without trusted rows keeps its middle. The map is flat inside a bin: it has no slope, so
    attacks that climb must climb the base, and rows that share all bins get equal answers.

    Args:
        knots: for each class, the ends of the bins, inner ones twice; none leaves the model.
        heights: for each class, the frequencies at them.
        bins: of equal width, in `fit`.

    Cost: nothing beyond the model; fitting takes one forward pass per trusted row.
    """

    knots: Curves = ()
    heights: Curves = ()
    bins: Count = 15

    def __call__(self, model: Model) -> Remapped:
        """The model with its probabilities binned."""
        _checked(self.knots, self.heights)
        return Remapped(model, self.knots, self.heights)

    def fit(self, model: Model, trusted: Batches) -> HistogramBinning:
        """The frequencies of trusted rows.

        Args:
            model: in eval mode.
            trusted: rows that the model was not trained on; rows without label are left out.

        Raises:
            ShapeError: if no trusted row has a label.
        """
        z, y = trusted_logits(model, trusted, "HistogramBinning.fit")
        p, n = z.softmax(1), self.bins
        place = (p * n).long().clamp(max=n - 1).T
        mine = (y == torch.arange(p.shape[1], device=y.device)[:, None]).double()
        hits = torch.zeros(p.shape[1], n).to(p).scatter_add(1, place, mine.to(p))
        rows = torch.zeros_like(hits).scatter_add(1, place, torch.ones_like(mine).to(p))
        middle = (torch.arange(n).to(p) + 0.5) / n
        share = torch.where(rows > 0, hits / rows.clamp(min=1), middle)
        ends = torch.arange(n + 1, dtype=torch.float64) / n
        knots = tuple(ends.repeat_interleave(2)[1:-1].tolist())
        heights = tuple(tuple(row) for row in share.repeat_interleave(2, 1).tolist())
        return replace(self, knots=(knots,) * len(heights), heights=heights)


@register(
    "defence",
    name="isotonic",
    cites="guo2017calibration",
    says="Bends the probability of each class by the rising curve that fits trusted rows best.",
)
@settings
class Isotonic:
    """Replaces the probability of each class by a rising curve of least squared error.

    Each class is taken against the rest; the new probabilities are then divided by their sum.
    Within a class the order of rows is kept (some become equal), but among the classes of a row
    it can change. Between trusted rows the curve is linear.

    Args:
        knots: for each class, probabilities where its curve bends; none leaves the model.
        heights: for each class, the curve there.

    Cost: nothing beyond the model; fitting takes one forward pass and a sort per trusted row.
    """

    knots: Curves = ()
    heights: Curves = ()

    def __call__(self, model: Model) -> Remapped:
        """The model with its probabilities bent."""
        _checked(self.knots, self.heights)
        return Remapped(model, self.knots, self.heights)

    def fit(self, model: Model, trusted: Batches) -> Isotonic:
        """The rising curves of least squared error on trusted rows.

        Args:
            model: in eval mode.
            trusted: rows that the model was not trained on; rows without label are left out.

        Raises:
            ShapeError: if no trusted row has a label.
        """
        z, y = trusted_logits(model, trusted, "Isotonic.fit")
        found = [_rising(p, y == k) for k, p in enumerate(z.softmax(1).unbind(1))]
        return replace(self, knots=tuple(k for k, _ in found), heights=tuple(h for _, h in found))


def _rising(p: Tensor, hit: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots and heights: pooled neighbours, equal probabilities first taken together."""
    from scipy.optimize import isotonic_regression

    # Equal logits in another order give sums that differ in their last digits.
    knots, place, count = p.cpu().round(decimals=12).unique(return_inverse=True, return_counts=True)
    hits = torch.zeros_like(knots).scatter_add(0, place, hit.cpu().to(knots))
    found = isotonic_regression((hits / count).numpy(), weights=count.double().numpy())
    h = torch.from_numpy(found.x)
    bends = torch.ones(len(h), dtype=torch.bool)  # of a level piece the two ends are enough
    bends[1:-1] = (h[1:-1] != h[:-2]) | (h[1:-1] != h[2:])
    return tuple(knots[bends].tolist()), tuple(h[bends].tolist())
