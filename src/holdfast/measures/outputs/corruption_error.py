"""Errors under corruptions, against those of a model that everybody knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.records import Reading
from holdfast.run.reading import average

CLEAN = "clean"
# Mean top-1 errors of AlexNet over the five levels of ImageNet-C, as published with it; the last
# digits of the error without corruption are not known.
ALEXNET: dict[str, float] = {
    "gaussian-noise": 0.886428, "shot-noise": 0.894468, "impulse-noise": 0.922640,
    "defocus-blur": 0.819880, "glass-blur": 0.826268, "motion-blur": 0.785948,
    "zoom-blur": 0.798360, "snow": 0.866816, "frost": 0.826572, "fog": 0.819324,
    "brightness": 0.564592, "contrast": 0.853204, "elastic-transform": 0.646056,
    "pixelate": 0.717840, "jpeg": 0.606500, CLEAN: 0.435,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class CorruptionErrors:
    """Errors of every row under every corruption.

    Args:
        wrong: kind -> `(n,)` share of the levels at which the row is wrong.
        clean: `(n,)` whether it is wrong without corruption.
        reference: kind -> mean error of the reference over the levels, and `clean`; or None.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the bootstrap.
    """

    wrong: Mapping[str, Tensor]
    clean: Tensor
    reference: Mapping[str, float] | None
    name: str
    alpha: float
    seed: int

    def _mean(self, what: str, rows: Tensor, unit: str = "share") -> Reading:
        return average(
            f"{self.name}.{what}", rows, better="lower", unit=unit, alpha=self.alpha,
            seed=self.seed,
        )  # fmt: skip

    def corruption_error(self, kind: str) -> Tensor:
        """`(n,)`: what each row adds to the error of a kind over that of the reference."""
        return self.wrong[kind] / self._of(kind)

    def relative_error(self, kind: str) -> Tensor:
        """`(n,)`: the same for the errors that the corruption adds to those without it."""
        return (self.wrong[kind] - self.clean) / (self._of(kind) - self._of(CLEAN))

    def _of(self, kind: str) -> float:
        return 1.0 if self.reference is None else self.reference[kind]

    def readings(self) -> tuple[Reading, ...]:
        """Mean error, errors by kind; with a reference mCE, relative mCE and CE by kind."""
        kinds = list(self.wrong)
        every = torch.stack([self.wrong[k] for k in kinds])
        found = [self._mean("mean", every.mean(0)), self._mean(CLEAN, self.clean)]
        found += [self._mean(f"error.{k}", self.wrong[k]) for k in kinds]
        if self.reference is None:
            return tuple(found)
        ce = torch.stack([self.corruption_error(k) for k in kinds])
        unit = "errors of the reference"
        found.append(self._mean("mce", ce.mean(0), unit))
        if CLEAN in self.reference:
            more = torch.stack([self.relative_error(k) for k in kinds])
            found.append(self._mean("relative_mce", more.mean(0), unit))
        found += [self._mean(f"ce.{k}", row, unit) for k, row in zip(kinds, ce, strict=True)]
        return tuple(found)


@register("measure", cites=("imagenet-c", "mnist-c"))
def corruption_error(
    wrong: Mapping[str, Tensor],
    clean: Tensor,
    *,
    reference: Mapping[str, float] | None = None,
    name: str = "corruption",
    alpha: float = 0.05,
    seed: int = 0,
) -> CorruptionErrors:
    """Mean corruption error (mCE) and relative mCE: errors in units of a reference's errors.

    The error of a kind is summed over its levels and divided by that of the reference model; the
    mean over kinds is the mCE. The relative one does the same with the errors that corruption
    adds. Both are means over rows, so that intervals resample rows. The reference itself has 1.

    Args:
        wrong: kind -> `(levels, n)` whether each row is answered wrongly.
        clean: `(n,)` the same without corruption.
        reference: kind -> mean error of the reference model over the levels, in [0, 1], and its
            error without corruption under `clean` (`ALEXNET` holds those for ImageNet-C); None
            for plain errors alone.
        name: prefix of the readings.
        alpha: intervals cover with probability about 1 - alpha.
        seed: of the bootstrap.

    Raises:
        ShapeError: if there are no kinds or rows, or they do not fit.
        ConfigError: if the reference lacks a kind, or has no error (or adds none) there.
    """
    if not wrong or not len(clean) or any(w.shape[1:] != clean.shape for w in wrong.values()):
        raise ShapeError(
            "corruption_error: needs kinds -> (levels, n) and clean (n,), n >= 1; got "
            f"clean {tuple(clean.shape)} and {[tuple(w.shape) for w in wrong.values()]}",
            fix="Give for every kind a tensor (levels, n) of the rows of clean.",
        )
    if reference is not None:
        base = reference.get(CLEAN)
        lost = [k for k in wrong if k not in reference]
        bad = [k for k in wrong if k in reference and reference[k] <= 0]
        same = [k for k in wrong if base is not None and reference.get(k) == base]
        if lost or bad or same:
            raise ConfigError(
                f"corruption_error: no usable reference error for {(lost + bad + same)[0]!r}",
                fix="Give a mean error above 0, and other than the clean one, for every kind.",
            )
    shares = {k: w.double().mean(0) for k, w in wrong.items()}
    return CorruptionErrors(shares, clean.double(), reference, name, alpha, seed)
