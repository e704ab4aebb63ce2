"""Boosting real-valued functions by medians, so that every perturbation of every row is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

import torch
from torch import Tensor

from holdfast.core.errors import ConfigError, Unsupported

WEAK = 1 / 3  # mass that a weak function may get wrong
TRIES = 50


@dataclass(frozen=True, eq=False)
class Boosted:
    """Functions whose median is the predictor.

    Args:
        chosen: `(T,)` positions in the class; a function may occur several times.
        error: largest distance of the median from the label over all perturbations of all rows.
    """

    chosen: Tensor
    error: float

    def __call__(self, values: Tensor) -> Tensor:
        """The median of the chosen functions.

        Args:
            values: `(F, ...)` of every function of the class.
        """
        return median(values[self.chosen])


def median(values: Tensor) -> Tensor:
    """The middle one of an odd number of values along the first axis, the lower of an even one."""
    return values.median(0).values


def median_boost(
    values: Tensor,
    y: Tensor,
    eta: float,
    generator: torch.Generator,
    *,
    size: int = 4,
    rounds: int = 0,
) -> Boosted:
    """Chooses functions whose median is within eta of the label at every perturbation.

    Weak functions come from subsamples: any member of the class that is within eta at all
    perturbations of a few rows, drawn by weight, and wrong on at most a third of all weight.
    Weights of what it gets right shrink. Then the share of functions that are right at any
    one perturbation exceeds one half after O(log) rounds, and so the median is right there.

    Args:
        values: `(F, n, k)` of every function at k perturbations of n rows.
        y: `(n,)` labels.
        eta: largest distance that counts as right.
        generator: of subsamples and choices.
        size: rows of a subsample.
        rounds: of boosting; 0 takes `10 log(n k)`, an odd number.

    Raises:
        ConfigError: if values and labels do not fit together.
        Unsupported: if no weak function is found: the class does not fit robustly at eta.
    """
    if values.dim() != 3 or values.shape[1] != len(y):
        raise ConfigError(
            f"median_boost: values must be (learners, rows, draws) for {len(y)} labels, "
            f"got {tuple(values.shape)}",
            fix=f"Give values of three axes with {len(y)} rows in the middle.",
        )
    right = (values - y[:, None]).abs() <= eta
    rowwise = right.all(2)
    count = rounds or 2 * ceil(5 * log(max(2, right[0].numel()))) + 1
    weight = torch.full(right.shape[1:], 1 / right[0].numel(), dtype=torch.float64)
    chosen: list[int] = []
    for _ in range(count):
        best = _weak(right, rowwise, weight, size, generator)
        chosen.append(best)
        # Half the log-odds of an error of a third: right ones lose a factor of 2 against wrong.
        weight = torch.where(right[best], weight / 2, weight)
        weight = weight / weight.sum()
    found = torch.tensor(chosen)
    error = float((median(values[found]) - y[:, None]).abs().max())
    return Boosted(found, error)


def _weak(
    right: Tensor, rowwise: Tensor, weight: Tensor, size: int, generator: torch.Generator
) -> int:
    """A function that fits a drawn subsample robustly and errs on a third of the weight at most."""
    for _ in range(TRIES):
        rows = torch.multinomial(weight.sum(1), size, replacement=True, generator=generator)
        fits = rowwise[:, rows].all(1).nonzero().flatten()
        if not len(fits):
            continue
        pick = int(fits[torch.randint(len(fits), (), generator=generator)])
        if float(weight[~right[pick]].sum()) <= WEAK:
            return pick
    raise Unsupported(
        f"median_boost: no function fits {size} drawn rows and most others at this scale",
        fix="Raise eta, or give a richer class.",
    )


def sparsified(boosted: Boosted, values: Tensor, y: Tensor, eta: float,
               generator: torch.Generator) -> Boosted:  # fmt: skip
    """As few of the chosen functions as a search by doubling finds whose median is still right.

    Args:
        boosted: what was chosen.
        values: `(F, n, k)` as for `median_boost`.
        y: `(n,)` labels.
        eta: largest distance that counts as right.
        generator: of the draws.
    """
    count = 1
    while count < len(boosted.chosen):
        for _ in range(TRIES):
            part = torch.randint(len(boosted.chosen), (count,), generator=generator)
            few = boosted.chosen[part]
            error = float((median(values[few]) - y[:, None]).abs().max())
            if error <= eta:
                return Boosted(few, error)
        count = 2 * count + 1
    return boosted
