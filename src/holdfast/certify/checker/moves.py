"""The operators of ONNX that only move entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from holdfast.certify.checker.rejected import Rejected
from holdfast.certify.checker.values import Array, Known, Values

Settings = dict[str, Any]


def moved(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operator that only moves entries, given as a function of arrays: applied to positions."""

    def operator(net: Values, settings: Settings, given: list[Any], count: int) -> Any:
        if not isinstance(given[0], Known):
            return function(given[0], settings, given[1:], count)
        if any(isinstance(g, Known) for g in given[1:]):
            raise Rejected("an operator on shapes takes a shape that depends on the input")
        places = np.arange(net.size(given[0].number)).reshape(given[0].shape)
        out = function(places, settings, given[1:], count)
        chosen = [
            picked(net, given[0].number, p) for p in (out if isinstance(out, list) else [out])
        ]
        return chosen if isinstance(out, list) else chosen[0]

    return operator


def picked(net: Values, parent: int, places: Array) -> Known:
    """Entries of a value at positions, in their shape."""
    flat, size = places.reshape(-1), net.size(parent)
    if len(flat) == size and (flat == np.arange(size)).all():
        return Known(parent, tuple(places.shape))
    ones = (np.ones(len(flat)), (np.arange(len(flat)), flat))
    matrix = sparse.csr_matrix(ones, shape=(len(flat), size))
    return net.add([(parent, matrix)], np.zeros(len(flat)), places.shape)


def _axes(settings: Settings, rest: list[Any]) -> list[int] | None:
    axes = settings.get("axes", rest[0] if rest and rest[0] is not None else None)
    return None if axes is None else [int(a) for a in np.asarray(axes).reshape(-1)]


def _reshape(x: Array, settings: Settings, rest: list[Any], count: int) -> Array:
    wanted = [int(n) for n in (settings.get("shape") or np.asarray(rest[0]).reshape(-1))]
    if not settings.get("allowzero"):
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    return x.reshape(wanted)


def _flatten(x: Array, settings: Settings, rest: list[Any], count: int) -> Array:
    axis = settings.get("axis", 1)
    axis += x.ndim if axis < 0 else 0
    return x.reshape(int(np.prod(x.shape[:axis])), -1)


def _squeeze(x: Array, settings: Settings, rest: list[Any], count: int) -> Array:
    axes = _axes(settings, rest)
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def _unsqueeze(x: Array, settings: Settings, rest: list[Any], count: int) -> Array:
    return np.expand_dims(x, tuple(_axes(settings, rest) or ()))


def _transpose(x: Array, settings: Settings, rest: list[Any], count: int) -> Array:
    return x.transpose(settings.get("perm"))


def _slice(x: Array, settings: Settings, rest: list[Any], count: int) -> Array:
    def listed(key: str, place: int) -> list[int] | None:
        value = settings.get(key, rest[place] if len(rest) > place else None)
        return None if value is None else [int(v) for v in np.asarray(value).reshape(-1)]

    starts, ends = listed("starts", 0) or [], listed("ends", 1) or []
    axes = listed("axes", 2) or list(range(len(starts)))
    steps = listed("steps", 3) or [1] * len(starts)
    if any(step < 1 for step in steps):
        raise Rejected("the checker does not read slices that go backward")
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        x = x[(*[slice(None)] * (axis % x.ndim), slice(start, end, step))]
    return x


def _gather(x: Array, settings: Settings, rest: list[Any], count: int) -> Array:
    return np.take(x, np.asarray(rest[0]), settings.get("axis", 0))


MOVES: dict[str, Callable[..., Any]] = {
    "Reshape": moved(_reshape), "Flatten": moved(_flatten), "Squeeze": moved(_squeeze),
    "Unsqueeze": moved(_unsqueeze), "Transpose": moved(_transpose), "Slice": moved(_slice),
    "Gather": moved(_gather),
    "Identity": moved(lambda x, *_: x), "Dropout": moved(lambda x, *_: x),
}  # fmt: skip
