"""Choosing rows by their contents: the choice is the same in whatever order they come."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.ops.batch import Inputs, rows


def _raw(x: Inputs, n: int) -> list[bytes]:
    if isinstance(x, Tensor):
        flat = np.ascontiguousarray(x.detach().cpu().reshape(n, -1).numpy())
        return [row.tobytes() for row in flat]
    if isinstance(x, dict):
        parts = [_raw(x[name], n) for name in sorted(x)]
        return [b"|".join(row) for row in zip(*parts, strict=True)]
    return [str(text).encode() for text in x]


def row_keys(x: Inputs, seed: int = 0) -> np.ndarray:
    """`(B,)` uint64: a hash of each row and the seed; equal rows have equal hashes.

    Args:
        x: inputs, rows first.
        seed: another seed gives an independent order.
    """
    n = rows(x)
    if not n:
        return np.zeros(0, np.uint64)
    salt = str(seed).encode()[:16]
    found = (hashlib.blake2b(r, digest_size=8, salt=salt).digest() for r in _raw(x, n))
    return np.frombuffer(b"".join(found), np.uint64)


def quotas(sizes: np.ndarray, count: int) -> np.ndarray:
    """How many of `count` each class gets: its share, the rest to the largest remainders."""
    exact = sizes * (count / max(int(sizes.sum()), 1))
    given = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - given), kind="stable")
    given[order[: count - int(given.sum())]] += 1
    fitting: np.ndarray = np.minimum(given, sizes)
    return fitting


def sample(keys: np.ndarray, y: np.ndarray, count: int) -> np.ndarray:
    """Positions, ascending, of a stratified sample: in each class those of smallest hash.

    Args:
        keys: `(B,)` one hash per row.
        y: `(B,)` labels.
        count: rows wanted; at least as many as there are gives all.
    """
    if count >= len(y):
        return np.arange(len(y))
    classes, sizes = np.unique(y, return_counts=True)
    chosen = []
    for label, quota in zip(classes, quotas(sizes, count), strict=True):
        own = np.flatnonzero(y == label)
        chosen.append(own[np.argsort(keys[own], kind="stable")[:quota]])
    return np.sort(np.concatenate(chosen))


def halves(keys: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of two stratified halves; rows with equal hashes always stay together.

    Args:
        keys: `(B,)` one hash per row.
        y: `(B,)` labels.

    Returns:
        The half for fitting and the half for measuring, each ascending.
    """
    fitted = np.zeros(len(y), bool)
    for number, label in enumerate(np.unique(y)):
        own = np.flatnonzero(y == label)
        ranked = np.sort(keys[own])
        middle = (len(own) + number % 2) // 2  # odd classes give their odd row to each half in turn
        if middle < len(ranked):
            fitted[own[keys[own] < ranked[middle]]] = True
    shared = np.isin(keys, keys[fitted])  # the same row under another label
    return np.flatnonzero(shared), np.flatnonzero(~shared)


def limited(batches: Batches, limit: int | None, seed: int = 0) -> Batches:
    """At most `limit` rows: a stratified sample that is the same in any order of the rows."""
    if limit is None or limit >= len(batches):
        return batches
    keys = row_keys(batches.x, seed)
    return batches.take(torch.from_numpy(sample(keys, batches.y.numpy(), limit)))
