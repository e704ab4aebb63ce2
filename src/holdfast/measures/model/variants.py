"""What a model loses on changed versions of the same images, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.errors import ShapeError
from holdfast.core.inputs import images
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.records import Cell, Reading
from holdfast.run.forward import correct, outputs
from holdfast.run.reading import average, proportion

Change = Callable[[Batch], Batch]


@dataclass(frozen=True, eq=False)
class Variants:
    """Which rows a model gets right, as they are and in changed versions.

    All versions are of the same rows, so what a change costs is a mean of paired differences.

    Args:
        right: name of a version -> `(B,)` bool; the first one is the reference.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the bootstrap.
    """

    right: Mapping[str, Tensor]
    name: str
    alpha: float = 0.05
    seed: int = 0

    @property
    def reference(self) -> str:
        """The name of the version that drops are counted from."""
        return next(iter(self.right))

    def accuracy(self, version: str) -> float:
        """Share of rows that are right."""
        return float(self.right[version].double().mean())

    def drop(self, version: str, reference: str = "") -> float:
        """What a version costs, as a share of rows."""
        return self.accuracy(reference or self.reference) - self.accuracy(version)

    @property
    def mean_drop(self) -> float:
        """Mean over all versions but the reference."""
        others = list(self.right)[1:]
        return sum(self.drop(v) for v in others) / max(len(others), 1)

    def readings(self) -> tuple[Reading, ...]:
        """Accuracy of every version, and the drop of each but the reference."""
        found = [
            proportion(f"{self.name}.{v}", int(r.sum()), len(r), alpha=self.alpha)
            for v, r in self.right.items()
        ]
        first = self.right[self.reference].double()
        for v in list(self.right)[1:]:
            lost = first - self.right[v].double()
            found.append(
                average(f"{self.name}.{v}.drop", lost, better="lower", seed=self.seed,
                        alpha=self.alpha)
            )  # fmt: skip
        return tuple(found)

    def rows(self) -> tuple[dict[str, Cell], ...]:
        """Rows of a figure of kind `bars`."""
        readings = self.readings()[: len(self.right)]
        return tuple(
            {"label": v, "value": r.value, "low": r.low, "high": r.high, "n": r.n}
            for v, r in zip(self.right, readings, strict=True)
        )


def answered(
    model: Model,
    batches: Iterable[Batch],
    changes: Mapping[str, Change],
    *,
    name: str,
    alpha: float = 0.05,
    seed: int = 0,
) -> Variants:
    """Asks a model about every version of every row.

    Args:
        model: images -> logits.
        batches: labelled rows.
        changes: name of a version -> batch to batch, rows in the same order; the reference first.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the bootstrap.

    Raises:
        Unsupported: if the inputs are not images.
        ShapeError: without rows.

    Cost: one forward pass per row and version.
    """
    right: dict[str, list[Tensor]] = {version: [] for version in changes}
    with quiet(model), torch.no_grad():
        for batch in batches:
            images(batch.x, name)
            for version, change in changes.items():
                seen = change(batch)
                known = correct(outputs(model, seen.x), seen.y.cpu())
                right[version].append(known[seen.y.cpu() != UNLABELLED])
    found = {version: torch.cat(parts) for version, parts in right.items() if parts}
    if not found or not len(next(iter(found.values()))):
        raise ShapeError(
            f"{name}: the data has no rows",
            fix="Give one row of images at least; see that no filter takes them away.",
        )
    return Variants(found, name, alpha, seed)
