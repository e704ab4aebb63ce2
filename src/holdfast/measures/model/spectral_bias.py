"""Which frequencies of an image an answer rests on: low and high passes of its spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.goal import logits
from holdfast.core.inputs import images, labelled_rows
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.core.records import Cell, Reading
from holdfast.ops.batch import chunks
from holdfast.ops.frequency import bandpass
from holdfast.run.reading import average

CUTOFFS = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)


def images_of(batches: Batches, name: str) -> tuple[Tensor, Batches]:
    """The labelled rows, and their images.

    Raises:
        Unsupported: if there are none.
    """
    rows = labelled_rows(batches, name)
    return images(rows.x, name), rows


def right_rows(model: Model, x: Tensor, rows: Batches) -> Tensor:
    """`(B,)` float64: whether the label is strictly ahead."""
    found = []
    with quiet(model), torch.no_grad():
        for part in chunks(len(x), rows.size):
            z, y = logits(model(x[part])), rows.y[part, None]
            other = z.scatter(1, y, -torch.inf).amax(1, keepdim=True)
            found.append((z.gather(1, y) > other).squeeze(1))
    return torch.cat(found).double()


@dataclass(frozen=True, eq=False)
class SpectralBias:
    """Answers on low and high passes.

    Args:
        cutoffs: rising, in (0, 1); both passes keep everything at 1.
        low: `(C, B)` whether each row is right on low passes.
        high: `(C, B)` likewise on high passes.
        alpha: of the intervals.
        name: prefix of the readings.
        seed: of the bootstrap.
    """

    cutoffs: tuple[float, ...]
    low: Tensor
    high: Tensor
    alpha: float
    name: str
    seed: int

    def readings(self) -> tuple[Reading, ...]:
        """Mean accuracy over the cut-offs of each pass."""
        return tuple(
            average(f"{self.name}.{word}", v.mean(0), alpha=self.alpha, seed=self.seed)
            for word, v in (("low", self.low), ("high", self.high))
        )

    def rows(self) -> tuple[dict[str, Cell], ...]:
        """Rows of a figure of kind `lines`."""
        return tuple(
            {"x": c, "y": float(v), "series": word}
            for word, part in (("low pass", self.low), ("high pass", self.high))
            for c, v in zip(self.cutoffs, part.mean(1), strict=True)
        )


@register("measure", cites="biases-vs-generalization")
def spectral_bias(
    vision: Model,
    batches: Batches,
    *,
    cutoffs: tuple[float, ...] = CUTOFFS,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "spectral",
) -> SpectralBias:
    """Accuracy on images with high, or with low, frequencies removed, by the cut-off.

    A model that lives on low frequencies keeps its accuracy on low passes and loses it on high
    ones. Both are clipped to [0, 1]; a high pass loses the mean, so half of it is cut, as
    published.

    Args:
        vision: images -> logits first.
        batches: labelled images `(B, C, H, W)`.
        cutoffs: shares of the spectrum.
        alpha: the intervals aim at a coverage of 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        Unsupported: if there are no labelled images.
        ConfigError: for a cut-off outside (0, 1).

    Cost: two forward passes per row and cut-off.
    """
    inside("(0, 1)", name, cutoffs=cutoffs)
    x, rows = images_of(batches, name)
    low, high = (
        torch.stack(
            [
                right_rows(vision, bandpass(x, c, low=kept).clamp(0, 1), rows)
                for c in sorted(cutoffs)
            ]
        )
        for kept in (True, False)
    )
    return SpectralBias(tuple(sorted(cutoffs)), low, high, alpha, name, seed)
