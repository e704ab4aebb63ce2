"""Are generated rows like real ones, all kinds of them, and not copies?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.fields import Count, Inner
from holdfast.core.inputs import one_tensor
from holdfast.core.records import Reading
from holdfast.run.reading import average, proportion


@dataclass(frozen=True, eq=False)
class GeneratedRows:
    """Generated rows beside real ones, by nearest neighbours.

    Args:
        precision: share of generated rows within the ball of a real one.
        recall: share of real rows within the ball of a generated one.
        density: mean count of real balls around a generated row, over what is usual: about 1 for
            rows of the same distribution.
        coverage: share of real rows whose ball holds a generated one.
        copies: share of generated rows that lie much nearer to a real one than real ones do to
            each other.
    """

    precision: Reading
    recall: Reading
    density: Reading
    coverage: Reading
    copies: Reading

    def readings(self) -> tuple[Reading, ...]:
        """All five."""
        return self.precision, self.recall, self.density, self.coverage, self.copies


def radii(x: Tensor, neighbours: int) -> Tensor:
    """`(n,)`: distance of each row to its k-th nearest other one."""
    return torch.cdist(x, x).kthvalue(neighbours + 1, 1).values  # the first is the row itself


@register("measure", cites="generated-robustness")
def generated_rows(
    real: Batches,
    made: Batches,
    *,
    neighbours: Count = 5,
    near: Inner = 0.1,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "generated",
) -> GeneratedRows:
    """Precision, recall, density, coverage and copies of generated rows.

    Every real row has a ball that reaches to its k-th neighbour; generated rows outside of all
    balls are not like real ones, and balls that hold none are kinds that are not made. A generator
    that repeats its training rows gets full marks in all of it: the share of copies tells.

    Args:
        real: rows of one tensor, in a space where distances mean something: pixels of small
            images, or features.
        made: generated rows of the same form.
        neighbours: k.
        near: share of the usual distance of real neighbours, below which a row is a copy.
        alpha: each interval covers with probability at least 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        Unsupported: if inputs are not one tensor, or there are not more rows than neighbours.
        ShapeError: if both have rows of different sizes.

    Cost: all distances between the rows.
    """
    sides = one_tensor(real.x, f"{name} (real)"), one_tensor(made.x, f"{name} (made)")
    if min(len(real), len(made)) <= neighbours:
        raise Unsupported(
            f"{name}: {neighbours} neighbours need more rows than that on both sides, got "
            f"{len(real)} real and {len(made)} made",
            fix=f"Give neighbours={max(min(len(real), len(made)) - 1, 1)}, or more rows.",
        )
    a, b = (side.double().flatten(1) for side in sides)
    if a.shape[1] != b.shape[1]:
        raise ShapeError(
            f"{name}: real rows of {a.shape[1]} numbers, generated of {b.shape[1]}",
            fix="Generate rows in the form of the real ones.",
        )
    reach, own = radii(a, neighbours), radii(b, neighbours)
    far = torch.cdist(b, a)
    inside = far <= reach
    usual = radii(a, 1).median()
    shares = {
        "precision": inside.any(1), "recall": (far <= own[:, None]).any(0),
        "coverage": inside.any(0), "copies": far.amin(1) < near * usual,
    }  # fmt: skip
    found = {
        word: proportion(f"{name}.{word}", int(v.sum()), len(v), alpha=alpha,
                         better="lower" if word == "copies" else "higher")
        for word, v in shares.items()
    }  # fmt: skip
    count = inside.double().sum(1) / neighbours
    dense = average(f"{name}.density", count, unit="ratio", alpha=alpha, seed=seed)
    return GeneratedRows(density=dense, **found)
