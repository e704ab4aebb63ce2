"""The corruptions of MedMNIST-C: for each of twelve data sets its own, with their levels."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.core.inputs import images
from holdfast.ops.batch import take
from holdfast.shifts.medmnist_kinds import KINDS
from holdfast.shifts.medmnist_levels import DATASETS, LEVELS
from holdfast.shifts.published import Published, on_images


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
        x = images(batch.x, "Targeted").clone()
        kinds = medmnist_c(self.dataset)
        which = dice.spawn("which").integers(len(kinds) + 1)
        level = dice.spawn("level").integers(5) + 1
        for number, shift in enumerate(kinds.values()):
            for k in range(1, 6):
                rows = ((which == number) & (level == k)).nonzero()[:, 0]
                if len(rows):
                    changed = shift(batch.take(rows), k / 5, dice.part(rows))
                    x[rows] = take(changed.x, slice(None))  # type: ignore[assignment]
        return batch._replace(x=x)
