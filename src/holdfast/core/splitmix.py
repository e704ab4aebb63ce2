"""The hash behind keyed draws: splitmix64 of a row and a place, in pieces that fit a cache.

On the host NumPy works in place on unsigned integers; on other devices torch works on signed
ones, whose products and sums wrap alike. Both give the same 64 bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Words = npt.NDArray[np.uint64]
Finish = Callable[[Tensor, Tensor], object]  # (hashes, where the draws go): of one dimension each
PIECE = 1 << 15  # values at a time
GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)  # as a signed number
_WORD = (1 << 64) - 1
_STEPS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))  # shift, then multiply
_LAST = 31


def number(*parts: object) -> int:
    """A signed 64-bit integer from anything printable."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def shifted(z: Tensor, bits: int) -> Tensor:
    """Logical right shift of signed 64-bit integers, in place."""
    return z.bitwise_right_shift_(bits).bitwise_and_((1 << (64 - bits)) - 1)


def draw(out: Tensor, keys: Tensor, start: int, finish: Finish) -> Tensor:
    """Fills `(B, n)` draws: value j of row i from a hash of its key, of `start` and of j.

    The bases of the rows are scrambled once; the sum of a base and a multiple of the golden
    ratio, which the place gives, is scrambled twice.

    Args:
        out: `(B, n)`, contiguous.
        keys: `(B,)` int64.
        start: a signed 64-bit number of the seed, the stream and the call.
        finish: makes draws of hashes, place by place; it may destroy the hashes.
    """
    if out.device.type == "cpu":
        _on_host(out, keys.cpu().numpy().astype(np.uint64), start, finish)
        return out
    on_device(out, keys.to(out.device, torch.int64), start, finish)
    return out


def on_device(out: Tensor, keys: Tensor, start: int, finish: Finish) -> None:
    """The draws of `draw` by operations of torch alone, wherever `out` and the keys are."""
    base = mixed(keys * GOLDEN + start)
    place = torch.arange(out.shape[1], device=out.device) * GOLDEN
    finish(mixed(mixed(base[:, None] + place)).flatten(), out.view(-1))


def _signed(word: int) -> int:
    return word - (1 << 64)  # the constants have their highest bit set


def mixed(z: Tensor) -> Tensor:
    """The finaliser of splitmix64: a bijection of 64-bit integers with full avalanche."""
    for bits, factor in _STEPS:
        z = (z ^ shifted(z.clone(), bits)) * _signed(factor)
    return z ^ shifted(z.clone(), _LAST)


def _mix(z: Words, other: Words) -> None:
    """The same in place; `other` is working space."""
    for bits, factor in _STEPS:
        np.right_shift(z, bits, out=other)
        np.bitwise_xor(z, other, out=z)
        np.multiply(z, factor, out=z)
    np.right_shift(z, _LAST, out=other)
    np.bitwise_xor(z, other, out=z)


def _on_host(out: Tensor, keys: Words, start: int, finish: Finish) -> None:
    rows, count = out.shape
    flat, wide = out.view(-1), min(count, PIECE)
    high = max(1, PIECE // max(1, wide))
    base = keys * (GOLDEN & _WORD) + (start & _WORD)
    _mix(base, np.empty_like(base))
    room, other = np.empty(high * wide, np.uint64), np.empty(high * wide, np.uint64)
    for left in range(0, count, PIECE):
        right = min(left + PIECE, count)
        place = np.arange(left, right, dtype=np.uint64) * (GOLDEN & _WORD)
        for top in range(0, rows, high):
            some = base[top : top + high, None]
            size = len(some) * (right - left)
            z, spare = room[:size], other[:size]
            np.add(some, place, out=z.reshape(len(some), -1))
            _mix(z, spare)
            _mix(z, spare)
            at = top * count + left
            finish(torch.from_numpy(z.view(np.int64)), flat[at : at + size])
