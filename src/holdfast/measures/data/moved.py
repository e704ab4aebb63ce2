"""How far a column has moved: sizes of an effect, which do not grow with the number of rows."""

from __future__ import annotations

import numpy as np
import torch

from holdfast.core.dice import Dice
from holdfast.core.records import Reading
from holdfast.measures.data.columns import Array, Known, coded, parsed
from holdfast.measures.data.stability import transport

DRAWS, BINS, CELLS, WIDE = 200, 10, 256, 1.959964
NAN = float("nan")


def effects(column: Array, before: Known, *, seed: int = 0) -> tuple[Reading, ...]:
    """Stability index, and the distance moved, of one column.

    The stability index is the sum of (q - p) ln(q / p) over ten quantile bins of the reference,
    or over its values; from 0.1 a change counts as noticeable, from 0.25 as large. The distance is
    Wasserstein's in standard deviations of the reference for numbers (NaN where they are constant
    there), and half the sum of the absolute changes of the shares (total variation) for values.
    Intervals are the number and 1.96 standard errors on each side, of rows drawn again with
    replacement on both sides.

    Args:
        column: of the window.
        before: the same column of the reference.
        seed: of the draws.
    """
    if before.kind == "various":
        return ()
    if before.kind == "values":
        there = coded(column, before)
    else:
        there = parsed(column)[0]
        there = there[~np.isnan(there)]
    n, m = len(there), len(before.there)
    if not n or not m:
        return ()
    draw = np.random.default_rng(Dice.of(0, seed).generator(before.name).initial_seed())
    moved: Array | float
    if before.kind == "values":
        names, at = np.unique(np.concatenate([there, before.there]), return_inverse=True)
        now, was = (np.bincount(part, minlength=len(names)) for part in (at[:n], at[n:]))
        again = [draw.multinomial(k.sum(), k / k.sum(), DRAWS) for k in (now, was)]
        moved, spread = _variation(now, was), _variation(*again)
        index, drawn = _index(now, was), _index(*again)
    else:
        edges = np.unique(np.quantile(before.there, np.linspace(0, 1, BINS + 1)[1:-1]))
        now, was = (_counts(t, edges) for t in (there, before.there))
        index = _index(now, was)
        drawn = _index(*(draw.multinomial(k.sum(), k / k.sum(), DRAWS) for k in (now, was)))
        moved, spread = _distance(there, before.there, draw)
    unit = "share" if before.kind == "values" else "standard deviations"
    return (
        _reading(f"{before.name}.moved", moved, spread, n, unit, seed),
        _reading(f"{before.name}.stability_index", index, drawn, n, "nats", seed),
    )


def _reading(
    name: str, value: Array | float, drawn: Array, n: int, unit: str, seed: int
) -> Reading:
    wide = WIDE * float(np.std(drawn)) if n > 1 else NAN
    value = float(value)
    low = max(value - wide, 0.0) if n > 1 else NAN
    return Reading(
        name=name, value=value, low=low, high=value + wide, n=n, unit=unit, better="neither",
        seed=seed,
    )  # fmt: skip


def _counts(values: Array, edges: Array) -> Array:
    return np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)


def _index(now: Array, was: Array) -> Array:
    """Half a row is added to every bin, so that empty ones stay finite."""
    q, p = ((k + 0.5) / (k + 0.5).sum(-1, keepdims=True) for k in (now, was))
    found: Array = ((q - p) * np.log(q / p)).sum(-1)
    return found


def _variation(now: Array, was: Array) -> Array:
    q, p = (k / k.sum(-1, keepdims=True) for k in (now, was))
    found: Array = np.abs(q - p).sum(-1) / 2
    return found


def _distance(now: Array, was: Array, draw: np.random.Generator) -> tuple[float, Array]:
    """Wasserstein distance in reference deviations, and that of samples drawn again.

    Drawn are counts of cells between quantiles of all values, so a draw costs a few hundred
    operations however many rows there are.
    """
    width = float(was.std())
    if not width > 0:
        return NAN, np.full(DRAWS, NAN)
    pair = [np.repeat(t, 2) if len(t) == 1 else t for t in (now, was)]
    a, b = (torch.from_numpy(np.ascontiguousarray(t))[:, None] for t in pair)
    both = np.concatenate([now, was])
    edges = np.unique(np.quantile(both, np.linspace(0, 1, CELLS + 1)))
    shares = []
    for values in (now, was):
        counts = _counts(values, edges[1:-1]) if len(edges) > 2 else np.array([len(values)])
        drawn = draw.multinomial(len(values), counts / len(values), DRAWS)
        shares.append(drawn.cumsum(1) / len(values))
    steps = np.diff(edges) if len(edges) > 1 else np.zeros(1)
    found = (np.abs(shares[0] - shares[1]) * steps).sum(1)
    return float(transport(a, b)[0]) / width, found / width
