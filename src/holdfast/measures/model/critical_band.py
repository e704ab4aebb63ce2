"""The octave of frequencies in which noise costs a model most."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.kinds import Model
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.measures.model.spectral_bias import images_of, right_rows
from holdfast.ops.frequency import octave, octave_noise

GREY, CONTRAST = 0.449, 0.2  # as published


@dataclass(frozen=True, eq=False)
class CriticalBand:
    """How much noise in each octave a model bears.

    Args:
        octaves: numbers of the octaves; the middle of number f is `2^f` cycles per image.
        spreads: of the noise, rising.
        accuracy: `(F, S)`.
        sensitivity: `(F,)`, one over the spread at which half of what lies above chance is lost.
        count: rows.
        name: prefix of the readings.
        seed: of the noise.
    """

    octaves: tuple[int, ...]
    spreads: tuple[float, ...]
    accuracy: Tensor
    sensitivity: Tensor
    count: int
    name: str
    seed: int

    def readings(self) -> tuple[Reading, ...]:
        """Centre and width of the sensitivity in octaves, and its peak; 0 where none is seen."""
        at = torch.tensor(self.octaves, dtype=torch.float64)
        share = self.sensitivity / self.sensitivity.sum().clamp(min=1e-300)
        centre = (share * at).sum()
        width = 2.355 * (share * (at - centre) ** 2).sum().sqrt()
        values = {"centre": float(centre), "width": float(width),
                  "peak": float(self.sensitivity.max())}  # fmt: skip
        return tuple(
            Reading(name=f"{self.name}.{word}", value=v, low=v, high=v, n=self.count,
                    bound="exact", unit="octaves" if word != "peak" else "1/sd",
                    better="neither", seed=self.seed)
            for word, v in values.items()
        )  # fmt: skip


def threshold(spreads: Tensor, accuracy: Tensor, level: float) -> float:
    """The spread at which accuracy falls to a level, between two on a logarithmic scale.

    Infinite if it never does.
    """
    for k in range(1, len(spreads)):
        before, after = float(accuracy[k - 1]), float(accuracy[k])
        if after <= level:
            share = (before - level) / (before - after) if before > after else 1.0
            start, end = float(spreads[k - 1]), float(spreads[k])
            # From no noise there is no logarithm: there, in proportion.
            return end * share if start == 0 else float(start * (end / start) ** share)
    return float("inf")


@register("measure", cites="biases-vs-generalization")
def critical_band(
    vision: Model,
    batches: Batches,
    *,
    spreads: tuple[float, ...] = (0.02, 0.04, 0.08, 0.16),
    contrast: float = CONTRAST,
    seed: int = 0,
    name: str = "critical-band",
) -> CriticalBand:
    """The octave of frequencies in which noise costs a model most.

    Images of low contrast about a middle grey get noise of one octave at a time. For each the
    spread is sought at which half of the accuracy above chance is gone; one over it is the
    sensitivity, and its mean and width over the octaves are the band.

    Args:
        vision: images -> logits first.
        batches: labelled images `(B, C, H, W)`.
        spreads: of the noise; none is tried as well.
        contrast: that images are brought to.
        seed: of the noise.
        name: prefix of the readings.

    Raises:
        Unsupported: if there are no labelled images.
        ConfigError: for a spread or contrast that is not positive.

    Cost: one forward pass per row, octave and spread.

    Unlike the paper, octaves are rings of the spectrum instead of levels of a pyramid, half is
    counted above chance, noise that leaves the range is cut, and the band is described by
    moments instead of a fitted Gaussian.
    """
    inside("(0, inf)", name, spreads=spreads, contrast=contrast)
    x, rows = images_of(batches, name)
    grey = x.mean(1, keepdim=True).expand_as(x)
    calm = (grey - grey.mean((1, 2, 3), keepdim=True)) * contrast + GREY
    side = min(x.shape[2:])
    octaves = tuple(
        f for f in range(int(log2(max(side, 2)))) if bool(octave(x.shape[2], x.shape[3], f).any())
    )
    noise = Dice(seed, rows.index, name).normal((1, *x.shape[2:]), dtype=torch.float64)
    every = (0.0, *sorted(spreads))
    table = torch.zeros(len(octaves), len(every), dtype=torch.float64)
    table[:, 0] = right_rows(vision, calm.clamp(0, 1), rows).mean()
    for i, number in enumerate(octaves):
        ring = octave_noise(noise, number).to(x)
        for j, spread in enumerate(every[1:], 1):
            table[i, j] = right_rows(vision, (calm + spread * ring).clamp(0, 1), rows).mean()
    chance = 1 / max(len(rows.y.unique()), 1)
    half = (float(table[0, 0]) + chance) / 2
    steps = torch.tensor(every, dtype=torch.float64)
    seen = torch.tensor([1 / threshold(steps, row, half) for row in table], dtype=torch.float64)
    return CriticalBand(octaves, every, table, seen, len(rows), name, seed)
