"""Random draws that belong to rows, not to batches.

Each value is a hash of (seed, key of the row, stream, number of the call, position). Chunking,
reordering, dropping rows, sharding and resuming therefore leave every draw bit-identical.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from operator import index

import torch
from torch import Tensor

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.splitmix import Finish, draw, number, shifted

DIGITS = {torch.float32: 24, torch.float16: 11, torch.bfloat16: 8}  # more would round up to 1
_FINE = 53  # of a float64 and of what becomes a normal number


class Dice:
    """Keyed random numbers for the rows of a batch.

    Args:
        seed: of the whole experiment.
        keys: `(B,)` int64, one per row, usually the position in the data set.
        stream: what the draws are for; different streams are independent.
    """

    def __init__(self, seed: int, keys: Tensor, stream: str = "") -> None:
        if keys.dim() != 1 or keys.is_floating_point():
            raise ShapeError(
                f"Dice: keys must be whole numbers (B,), got {keys.dtype} {tuple(keys.shape)}",
                fix="Pass batch.index, or Dice.of(count).",
            )
        # A number of NumPy prints differently; draws must not depend on who counted.
        self.seed, self.keys, self.stream = index(seed), keys, stream
        self._calls = [0]

    @classmethod
    def of(cls, count: int, seed: int = 0, stream: str = "") -> Dice:
        """Dice for `count` rows whose keys are their positions."""
        return cls(seed, torch.arange(count), stream)

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"Dice(seed={self.seed}, rows={len(self)}, stream={self.stream!r})"

    @property
    def calls(self) -> int:
        """How many draws were made."""
        return self._calls[0]

    def take(self, rows: Tensor | slice) -> Dice:
        """The dice of some rows, counting its calls together with this one (an active set)."""
        child = self.part(rows)
        child._calls = self._calls
        return child

    def part(self, rows: Tensor | slice) -> Dice:
        """The dice of some rows, counting calls on its own from here (a chunk)."""
        chosen = rows.to(self.keys.device) if isinstance(rows, Tensor) else rows
        child = Dice(self.seed, self.keys[chosen], self.stream)
        child._calls = [self._calls[0]]
        return child

    def keyed(self, keys: Tensor) -> Dice:
        """The same stream for other rows."""
        return Dice(self.seed, keys, self.stream)

    def one(self) -> Dice:
        """The dice of a single row that stands for all, counting its calls with these."""
        child = self.keyed(torch.zeros(1, dtype=torch.int64))
        child._calls = self._calls
        return child

    def spawn(self, name: str) -> Dice:
        """An independent stream for the same rows, counting from zero."""
        # A slash inside a name is no step down: spawn("a/b") is not spawn("a").spawn("b").
        own = name.replace("\\", "\\\\").replace("/", "\\/")
        return Dice(self.seed, self.keys, f"{self.stream}/{own}")

    def generator(self, name: str) -> torch.Generator:
        """A generator for bulk draws that belong to no row (shuffling, weights)."""
        return torch.Generator().manual_seed(self.bulk_seed(name))

    def bulk_seed(self, name: str) -> int:
        """The seed of that generator, for draws that are made by a generator of somebody else."""
        return number(self.seed, self.stream, name, "generator") & ((1 << 63) - 1)

    def _draw(
        self,
        shape: Sequence[int],
        device: torch.device | str,
        dtype: torch.dtype,
        finish: Finish,
    ) -> Tensor:
        call, self._calls[0] = self._calls[0], self._calls[0] + 1
        out = torch.empty(len(self), prod(shape), device=device, dtype=dtype)
        draw(out, self.keys, number(self.seed, self.stream, call), finish)
        return out.reshape(len(self), *shape)

    def uniform(
        self,
        shape: Sequence[int] = (),
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """`(B, *shape)` numbers in [0, 1), as many digits as the type holds without rounding."""
        digits = DIGITS.get(dtype, _FINE)

        def finish(z: Tensor, out: Tensor) -> None:
            whole = shifted(z, 64 - digits)
            out.copy_(whole if digits == _FINE else whole.int()).mul_(2.0**-digits)

        return self._draw(shape, device, dtype, finish)

    def normal(
        self,
        shape: Sequence[int] = (),
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """`(B, *shape)` standard normal numbers, by inverting the distribution function."""

        def finish(z: Tensor, out: Tensor) -> None:
            u = shifted(z, 64 - _FINE).double()
            if dtype == torch.float64:
                torch.special.ndtri(u.add_(0.5).mul_(2.0**-_FINE), out=out)
            else:  # 2 u - 1 without rounding; its error function is inverted much faster
                u.mul_(2.0 ** (1 - _FINE)).sub_(1 - 2.0**-_FINE)
                out.copy_(u.erfinv_().mul_(sqrt(2)))

        return self._draw(shape, device, dtype, finish)

    def integers(
        self, high: int, shape: Sequence[int] = (), *, device: torch.device | str = "cpu"
    ) -> Tensor:
        """`(B, *shape)` integers in [0, high); bias below `high / 2**31`.

        Raises:
            ConfigError: unless 1 <= high <= 2**31.
        """
        if not 1 <= high <= 1 << 31:
            raise ConfigError(
                f"Dice.integers: high must lie in [1, 2**31], got {high}",
                fix="Draw in several parts, or give a smaller high.",
            )

        def finish(z: Tensor, out: Tensor) -> None:
            out.copy_(shifted(z, 33).mul_(high).bitwise_right_shift_(31))

        return self._draw(shape, device, torch.int64, finish)


def dice_or(dice: Dice | None, count: int) -> Dice:
    """The given dice, or those of seed 0 for `count` rows.

    Args:
        dice: what the caller was given, or None.
        count: how many rows will draw.

    Raises:
        ShapeError: if the given dice have another number of rows.
    """
    if dice is not None and len(dice) != count:
        raise ShapeError(
            f"{dice!r} for {count} rows", fix="Pass dice.part(rows), as rows are selected."
        )
    return Dice.of(count) if dice is None else dice
