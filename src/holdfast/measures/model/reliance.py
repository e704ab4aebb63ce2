"""Which coordinates an answer rests on: accuracy when their values are swapped between rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.core.goal import logits
from holdfast.core.inputs import labelled_rows, one_tensor
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.records import Reading
from holdfast.ops.batch import chunks
from holdfast.run.reading import proportion


@dataclass(frozen=True, eq=False)
class Reliance:
    """Accuracy as the rows are, without a set of coordinates, and with nothing but it.

    Args:
        whole: on the rows as they are.
        without: after values of the coordinates were swapped between rows.
        alone: after those of all others were.
    """

    whole: Reading
    without: Reading
    alone: Reading

    @property
    def drops(self) -> tuple[float, float]:
        """Points lost without the coordinates, and without the others."""
        return self.whole.value - self.without.value, self.whole.value - self.alone.value

    def readings(self) -> tuple[Reading, ...]:
        """All three accuracies."""
        return self.whole, self.without, self.alone


def swapped(x: Tensor, coordinates: Tensor, order: Tensor, turn: Tensor | None = None) -> Tensor:
    """Rows in which some coordinates come from other rows.

    Args:
        x: `(n, ...)`.
        coordinates: places in a flattened row, or in the row turned back.
        order: `(n,)` the row from which each row takes them.
        turn: `(d, d)` orthogonal matrix by which flattened rows were turned, if they were.
    """
    flat = x.flatten(1)
    rows = flat if turn is None else (flat.double() - 0.5) @ turn.T
    rows = rows.clone()
    rows[:, coordinates] = rows[order][:, coordinates]
    back = rows if turn is None else (rows @ turn + 0.5).to(x.dtype)
    return back.reshape(x.shape)


@register("measure", cites="simplicity-bias")
def reliance(
    model: Model,
    batches: Batches,
    *,
    coordinates: tuple[int, ...] = (0,),
    turn: Tensor | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "reliance",
) -> Reliance:
    """Accuracy when some coordinates are swapped between rows, and when all others are.

    Swapping keeps the distribution of every coordinate and breaks its tie to the label. A model
    that falls to chance without the coordinates, and loses nothing when all others are swapped,
    relies on them alone, however well the others tell the class too.

    Args:
        model: inputs -> logits first.
        batches: labelled rows of one tensor.
        coordinates: places in a flattened row.
        turn: orthogonal matrix by which rows were turned about the middle of the unit box;
            coordinates are those before.
        alpha: each interval covers with probability at least 1 - alpha.
        seed: of the swap.
        name: prefix of the readings.

    Raises:
        Unsupported: if inputs are not one tensor, or no row is labelled.
        ConfigError: for a coordinate that does not exist.

    Cost: three forward passes per row.
    """
    rows = labelled_rows(batches, name)
    whole = one_tensor(rows.x, name)
    size = whole[0].numel()
    chosen = torch.zeros(size, dtype=torch.bool)
    if not coordinates or not 0 <= min(coordinates) <= max(coordinates) < size:
        raise ConfigError(
            f"{name}: coordinates must lie in [0, {size}), got {coordinates[:8]}",
            fix="Give numbers of coordinates that a row has, such as coordinates=(0,).",
        )
    chosen[list(coordinates)] = True
    order = torch.randperm(len(rows), generator=Dice.of(1, seed).generator("swap"))
    inputs = {"whole": whole}
    for word, mask in (("without", chosen), ("alone", ~chosen)):
        inputs[word] = swapped(whole, mask.nonzero().flatten(), order, turn)
    found = {}
    for word, x in inputs.items():
        right = _right(model, x, rows)
        found[word] = proportion(f"{name}.{word}", right, len(rows), alpha=alpha, seed=seed)
    return Reliance(**found)


def _right(model: Model, x: Tensor, rows: Batches) -> int:
    """How many rows have their label strictly ahead."""
    count = 0
    with quiet(model), torch.no_grad():
        for part in chunks(len(x), rows.size):
            z, y = logits(model(x[part])), rows.y[part, None]
            other = z.scatter(1, y, -torch.inf).amax(1, keepdim=True)
            count += int((z.gather(1, y) > other).sum())
    return count
