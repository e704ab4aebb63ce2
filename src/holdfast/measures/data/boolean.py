"""Functions of bits: Fourier coefficients, influences, stability, and what a frozen bit hides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Share
from holdfast.core.ranges import inside
from holdfast.core.records import Reading

MOST = 16  # bits whose cube is enumerated


def cube(size: int) -> Tensor:
    """`(2^d, d)` all rows of bits 0 and 1; bit k of row i is bit k of the number i.

    Raises:
        ConfigError: unless 1 <= d <= 16.
    """
    inside(f"[1, {MOST}]", "cube", size=size)
    return ((torch.arange(2**size)[:, None] >> torch.arange(size)) & 1).double()


def fourier(values: Tensor) -> Tensor:
    """Coefficients `(2^d,)` of a function on the cube, by the fast Walsh-Hadamard transform.

    Coefficient T is the mean of the function times the parity of the bits in T, where bits
    count as 1 and -1 (bit 0 is -1) and T is the set of bits of its position.

    Args:
        values: `(2^d,)` in the order of `cube`.
    """
    n = len(values)
    if n & (n - 1):
        raise ConfigError(
            f"fourier: needs a power of two of values, got {n}",
            fix=f"Give one value per corner of a cube, such as {1 << n.bit_length()} of them.",
        )
    out, step = values.double(), 1
    while step < n:
        low, high = out.view(-1, 2, step).unbind(1)
        out = torch.stack([low + high, high - low], 1).reshape(-1)
        step *= 2
    return out / n


def _holds(count: int) -> Tensor:
    """`(d, 2^d)` bool: whether a bit is in a set."""
    return cube(count.bit_length() - 1).T.bool()


def influences(coefficients: Tensor) -> Tensor:
    """`(d,)`: chance that flipping a bit flips a function of values 1 and -1."""
    return (_holds(len(coefficients)) * coefficients**2).sum(1)


def degrees(coefficients: Tensor) -> Tensor:
    """`(d + 1,)`: sum of squared coefficients of sets of each size."""
    size = _holds(len(coefficients)).sum(0)
    return torch.zeros(int(size.max()) + 1, dtype=torch.float64).index_add_(
        0, size, coefficients**2
    )


def stability(coefficients: Tensor, flip: float) -> float:
    """Mean product of the function with itself where each bit was flipped by chance `flip`."""
    weights = degrees(coefficients)
    return float((weights * (1 - 2 * flip) ** torch.arange(len(weights))).sum())


def frozen(coefficients: Tensor, bit: int) -> Tensor:
    """Coefficients of the function that takes a bit for 1 always: the learner's simplest guess."""
    holds = _holds(len(coefficients))[bit]
    without = (torch.arange(len(coefficients)) ^ (1 << bit))[~holds]
    out = torch.zeros_like(coefficients)
    out[~holds] = coefficients[~holds] + coefficients[without]
    return out


def canonical_holdout(batches: Batches, bit: int) -> tuple[Batches, Batches]:
    """Rows in which a bit is 1, to learn from, and the rows in which it is 0, never seen.

    Args:
        batches: rows of bits `(B, d)`.
        bit: position of the bit that parts them.

    Returns:
        The seen and the unseen rows.

    Raises:
        Unsupported: if the inputs are not rows of numbers that hold that bit.
    """
    x = batches.x
    if not isinstance(x, Tensor) or x.dim() != 2 or not 0 <= bit < x.shape[1]:
        raise Unsupported(
            f"canonical_holdout needs rows (B, d) as one tensor, with a bit {bit}",
            fix="Give rows of bits, such as cube(4), and a bit from 0 to d - 1.",
        )
    one = x[:, bit] > 0.5
    return batches.take(one.nonzero().flatten()), batches.take((~one).nonzero().flatten())


@dataclass(frozen=True, eq=False)
class BooleanProfile:
    """What decides how hard a function of bits is to learn, exactly.

    Args:
        coefficients: `(2^d,)` of the function as values 1 and -1.
        influence: `(d,)` of each bit: the half squared loss that freezing it in training costs a
            learner of the simplest function, over all rows.
        flip: of the stability.
        name: prefix of the readings.
    """

    coefficients: Tensor
    influence: Tensor
    flip: float
    name: str

    def readings(self) -> tuple[Reading, ...]:
        """Total influence, largest influence, noise stability and mean degree."""
        weights = degrees(self.coefficients)
        total = float(weights.sum())
        mean = float((weights * torch.arange(len(weights))).sum()) / max(total, 1e-300)
        values = {
            "influence": float(self.influence.sum()),
            "influence.max": float(self.influence.max()),
            "stability": stability(self.coefficients, self.flip),
            "degree": mean,
        }
        return tuple(
            Reading(name=f"{self.name}.{word}", value=v, low=v, high=v, bound="exact",
                    n=len(self.coefficients), unit="count", better="neither")
            for word, v in values.items()
        )  # fmt: skip


@register("measure", cites="pvr-boolean-influence")
def boolean_profile(
    rule: Callable[[Tensor], Tensor], size: int, *, flip: Share = 0.25, name: str = "boolean"
) -> BooleanProfile:
    """Influences, noise stability and degree of a rule on bits, by enumeration.

    Low stability means weight on parities of many bits, which gradient descent is slow to
    find. The influence of a bit is the half squared loss, over all rows, of what is learned where
    that bit never varies, if the simplest function that fits is learned.

    Args:
        rule: `(n, d)` rows of bits 0 and 1 -> `(n,)` classes 0 and 1.
        size: d, the number of bits.
        flip: chance with which each bit flips, of the stability.
        name: prefix of the readings.

    Raises:
        ConfigError: unless 1 <= d <= 16.

    Cost: the rule on `2^d` rows.
    """
    values = 2 * rule(cube(size)).double() - 1
    found = fourier(values)
    return BooleanProfile(found, influences(found), flip, name)
