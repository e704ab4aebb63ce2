"""The corruptions of MedMNIST-C: for each of twelve data sets its own, with their levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt

import torch
from torch import Tensor

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.ops.batch import take
from holdfast.ops.filters import gaussian_taps, padded, smooth
from holdfast.ops.image import coarse
from holdfast.ops.jpeg import jpeg
from holdfast.shifts.blur import focused, rushing, smeared
from holdfast.shifts.digital import saturated
from holdfast.shifts.medical import bent, bubbled, cornered, lettered, stained
from holdfast.shifts.medmnist_levels import DATASETS, LEVELS
from holdfast.shifts.noise import counted, peppered, speckled
from holdfast.shifts.published import Published, Row, on_images

Operation = Callable[[Tensor, Row, Dice], Tensor]
GREY = (0.299, 0.587, 0.114)


def _thermal(x: Tensor, row: Row, dice: Dice) -> Tensor:
    return x + row[0] * dice.normal(x.shape[1:], device=x.device, dtype=x.dtype)


def _pixelated(x: Tensor, row: Row, dice: Dice) -> Tensor:
    return coarse(x, row[0])


def _recoded(x: Tensor, row: Row, dice: Dice) -> Tensor:
    return jpeg(x, row[0])


def _defocused(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """A disk of radius `row[0]`; below one pixel a Gaussian of the same spread."""
    return focused(x, row, dice) if row[0] >= 1 else smooth(x, row[0] / 2)


def blurred(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """A Gaussian whose kernel has `2 row[0] + 1` taps, and the width that goes with them."""
    reach = ceil(row[0] - 1e-9)
    taps = gaussian_taps(0.3 * (row[0] - 1) + 0.8, reach).to(x)
    big = padded(x, reach, reach, "mirror")
    down = big.unfold(2, len(taps), 1) @ taps
    return down.unfold(3, len(taps), 1) @ taps


def brightened(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Every value times `row[0]`."""
    return x * row[0]


def contrasted(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """Values pulled to, or pushed from, the image's mean grey, rounded to whole 255ths."""
    weights = torch.tensor(GREY if x.shape[1] == len(GREY) else (1 / x.shape[1],) * x.shape[1])
    grey = (x * weights.to(x)[:, None, None]).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    middle = (grey * 255).round() / 255
    return middle + row[0] * (x - middle)


def stronger(x: Tensor, row: Row, dice: Dice) -> Tensor:
    """The saturation of each pixel raised by `row[0]`; greys turn red, whose hue is 0.

    Raises:
        Unsupported: for images of other than three channels.
    """
    if x.shape[1] != len(GREY):
        raise Unsupported("saturation needs images of three colours", fix="Repeat the channel.")
    return saturated(x, (1.0, row[0]), dice)


@dataclass(frozen=True)
class Kind:
    """How one kind of corruption is done.

    Args:
        operation: (images, parameters, dice) -> images.
        none: parameters at which nothing changes, as in `Published`.
        lengths: for each parameter, whether it is a length in pixels.
        whole: whether levels are taken as they are, never one between two.
    """

    operation: Operation
    none: tuple[float | None, ...]
    lengths: tuple[bool, ...] = ()
    whole: bool = False


KINDS: dict[str, Kind] = {
    "pixelate": Kind(_pixelated, (1.0,)),
    "jpeg": Kind(_recoded, (100.0,)),
    "gaussian-noise": Kind(_thermal, (0.0,)),
    "speckle-noise": Kind(speckled, (0.0,)),
    "impulse-noise": Kind(peppered, (0.0,)),
    "shot-noise": Kind(counted, (0.0,)),
    "defocus-blur": Kind(_defocused, (0.0, 0.0), (True, True)),
    "motion-blur": Kind(smeared, (None, 0.0), (True, True)),
    "zoom-blur": Kind(rushing, (None, 0.0), whole=True),
    "gaussian-blur": Kind(blurred, (0.0,), (True,)),
    "brightness-up": Kind(brightened, (1.0,)),
    "brightness-down": Kind(brightened, (1.0,)),
    "contrast-up": Kind(contrasted, (1.0,)),
    "contrast-down": Kind(contrasted, (1.0,)),
    "gamma-up": Kind(bent, (1.0,)),
    "gamma-down": Kind(bent, (1.0,)),
    "saturate": Kind(stronger, (0.0,)),
    "stain-deposit": Kind(stained, (0.0, 3.0)),
    "bubble": Kind(bubbled, (None, 0.0), whole=True),
    "black-corner": Kind(cornered, (sqrt(2),)),
    "characters": Kind(lettered, (0.0, None, None), whole=True),
}


@dataclass(frozen=True)
class Medical:
    """One corruption of one data set; a shift.

    Severity k / 5 is the published level k; lengths are scaled from 224 pixels.

    Args:
        dataset: as MedMNIST names them, without `mnist` (`path`, `organa` ...).
        name: of the kind.
    """

    dataset: str
    name: str

    def __call__(self, batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
        """The batch with its images changed.

        Args:
            batch: images `(B, C, H, W)` in [0, 1].
            severity: in [0, 1].
            dice: one row per image.

        Raises:
            Unsupported: if the inputs are not images.
        """
        kind = KINDS[self.name]
        table = Published(
            none=kind.none, tables={224: LEVELS[self.dataset, self.name]},
            lengths=kind.lengths, whole=kind.whole,
        )  # fmt: skip
        return on_images(batch, severity, dice, self.name, table, kind.operation)


def medmnist_c(dataset: str) -> dict[str, Medical]:
    """The corruptions that were published for a data set, by name.

    Args:
        dataset: one of `path blood derma retina tissue oct breast chest pneumonia organa organc
            organs`.

    Raises:
        ConfigError: for another name.
    """
    if dataset not in DATASETS:
        raise ConfigError(
            f"medmnist_c: no data set {dataset!r}", fix=f"Known are {', '.join(DATASETS)}."
        )
    return {name: Medical(dataset, name) for name in DATASETS[dataset]}


@dataclass(frozen=True)
class Targeted:
    """An augmentation: one random corruption of the data set for each image, or none.

    For `Batches.augment`. Kind and level are drawn per image, from all kinds, none, and five
    levels.

    Args:
        dataset: whose corruptions; see `medmnist_c`.

    Unlike the paper: levels are drawn from the five, not from all between the first and the
    last; and impulses fall on other pixels every time.
    """

    dataset: str

    def __call__(self, batch: Batch, dice: Dice) -> Batch:
        """The batch with each image changed in its own way."""
        if not isinstance(batch.x, Tensor):
            raise Unsupported("Targeted changes images (B, C, H, W)")
        kinds = medmnist_c(self.dataset)
        which = dice.spawn("which").integers(len(kinds) + 1)
        level = dice.spawn("level").integers(5) + 1
        x = batch.x.clone()
        for number, shift in enumerate(kinds.values()):
            for k in range(1, 6):
                rows = ((which == number) & (level == k)).nonzero()[:, 0]
                if len(rows):
                    changed = shift(batch.take(rows), k / 5, dice.part(rows))
                    x[rows] = take(changed.x, slice(None))  # type: ignore[assignment]
        return batch._replace(x=x)
