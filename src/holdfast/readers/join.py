"""A model and data become a Subject: rows are split, tables scaled, identities noted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.digest import digest
from holdfast.core.errors import ShapeError
from holdfast.core.kinds import Model, Threat
from holdfast.core.records import Subject
from holdfast.readers.affine import Affine
from holdfast.readers.among import Among
from holdfast.readers.data import read_data
from holdfast.readers.model import ReadModel, read_model
from holdfast.readers.origin import marked, origin
from holdfast.readers.split import halves, limited, row_keys

LEAST_TO_SPLIT = 200
_Models = tuple[Any, dict[str, Any], Callable[[int], Any] | None]


def split(batches: Batches, seed: int = 0) -> tuple[Batches, Batches]:
    """Two stratified halves by a hash of the rows: for fitting and for measuring.

    The same rows land in the same half in any order, and equal rows in the same half.
    """
    fitted, measured = halves(row_keys(batches.x, seed), batches.y.numpy())
    return batches.take(torch.from_numpy(fitted)), batches.take(torch.from_numpy(measured))


def scaled(batches: Batches, low: Tensor, high: Tensor) -> tuple[Batches, int]:
    """A table in units of its columns' ranges, and how many rows had to be clipped to [0, 1].

    Args:
        batches: the rows of a table.
        low: `(d,)` becomes 0.
        high: `(d,)` becomes 1; a constant column keeps its unit.
    """
    if not isinstance(batches.x, Tensor) or batches.x.shape[1:] != low.shape:
        raise ShapeError(
            "only tables of equal columns can be scaled",
            fix="Give --reference a table with the columns of DATA.",
        )
    x = (batches.x - low) / (high - low)
    inside = x.clamp(0, 1)
    clipped = int((inside != x).any(1).sum())
    return marked(replace(batches, x=inside), low=low, high=high), clipped


def table_range(x: Tensor) -> tuple[Tensor, Tensor]:
    """Minima and maxima of the columns; constant columns get a range of 1."""
    low, high = x.amin(0), x.amax(0)
    return low, torch.where(high > low, high, low + 1)


def _agree(data: Batches, reference: Batches) -> None:
    ours, theirs = (b.x.shape[1:] if isinstance(b.x, Tensor) else None for b in (data, reference))
    if ours != theirs:
        raise ShapeError(
            f"data have rows of shape {ours and tuple(ours)}, the reference has "
            f"{theirs and tuple(theirs)}",
            fix="Give a reference of the same form.",
            code="E0202",
        )
    if data.classes and reference.classes and set(data.classes) - set(reference.classes):
        known = ", ".join(sorted(set(data.classes) - set(reference.classes))[:3])
        raise ShapeError(
            f"the reference does not know the classes {known}",
            fix="Data and reference must name their classes alike.",
            code="E0202",
        )


def _aligned(data: Batches, reference: Batches) -> Batches:
    """The data with labels numbered as in the reference, where classes have names."""
    if not data.classes or not reference.classes or data.classes == reference.classes:
        return data
    to = torch.tensor([reference.classes.index(c) for c in data.classes])
    y = torch.where(data.y < 0, data.y, to[data.y.clamp(min=0)])
    return replace(data, y=y, classes=reference.classes)


def subject(
    model: Any,
    data: Any,
    *,
    reference: Any = None,
    threats: Sequence[Threat] = (),
    seed: int = 0,
    limit: int | None = None,
    size: int | None = None,
    others: Mapping[str, Model] | None = None,
    make: Callable[[int], Model] | None = None,
) -> Subject:
    """What an audit is asked about.

    Without a reference the data are split once into stratified halves by a hash of the rows: one
    for fitting detectors, temperatures and guards, one on which every number is measured. Below
    200 rows nothing is split and nothing can be fitted. Tables are scaled to [0, 1] by the ranges
    of the reference's columns (of all rows without one), rows outside are clipped and counted,
    and the model is wrapped so that it still sees the units of the file. So a column without
    bounds of its own has those of the reference: an attack stays within values that occur.

    Args:
        model: a `ReadModel`, a module, any callable, or what `read_model` takes.
        data: `Batches`, or what `read_data` takes.
        reference: rows for fitting, training or calibration data.
        threats: of the audit, the one of the verdict first.
        seed: of every draw of the audit.
        limit: measure at most so many rows, a fixed stratified sample.
        size: rows per batch; that of the data if None.
        others: further models by role.
        make: builds the architecture anew from a seed.
    """
    read = model if isinstance(model, ReadModel) else read_model(model)
    rows = read_data(data, seed=seed)
    if reference is not None:
        trusted: Batches | None = read_data(reference, seed=seed)
        _agree(rows, trusted)  # type: ignore[arg-type]
        rows, pool = _aligned(rows, trusted), trusted  # type: ignore[arg-type]
        measured = rows
    else:
        pool = rows
        trusted, measured = split(rows) if len(rows) >= LEAST_TO_SPLIT else (None, rows)
    whole = len(measured)
    measured = limited(measured, limit)
    sampled = len(measured) < whole or len(rows) < origin(rows).total
    facts: dict[str, Any] = {}
    models: _Models = read.model, dict(others or {}), make or read.make
    if origin(rows).form == "table" and pool is not None and isinstance(pool.x, Tensor):
        low, high = table_range(pool.x)
        measured, clipped = scaled(measured, low, high)
        trusted = None if trusted is None else scaled(trusted, low, high)[0]
        models = _wrapped(lambda m: _units(m, low, high), models)
        facts["units"] = _ranges(origin(rows).columns, low, high)
        facts["clipped"] = clipped
    known = origin(rows).known
    if known and rows.classes != known:  # a reference may have numbered them anew
        kept = tuple(known.index(c) for c in rows.classes)
        models = _wrapped(lambda m: Among(m, kept), models)
    if size is not None:
        measured = replace(measured, size=size)
        trusted = None if trusted is None else replace(trusted, size=size)
    if "reading" in read.about:
        facts["reading"] = read.about["reading"]
    named = {"name": read.about["name"], "model": _identity(read), "sampled": sampled}
    return Subject(
        model=models[0],
        batches=measured,
        trusted=trusted,
        others=models[1],
        make=models[2],
        threats=tuple(threats),
        seed=seed,
        about=named | {"data": _data(measured, trusted, origin(rows).name)} | facts,
    )


def _wrapped(wrap: Callable[[Any], Any], models: _Models) -> _Models:
    """The model, the others, and what builds it anew, all of them wrapped alike."""
    model, others, make = models
    anew = None if make is None else (lambda seed: wrap(make(seed)))
    return wrap(model), {k: wrap(m) for k, m in others.items()}, anew


def _units(model: Model, low: Tensor, high: Tensor) -> Affine:
    """The model behind the map from [0, 1] back to the units of the file."""
    width = high - low
    wrapped = Affine(model, -low / width, 1 / width)
    if not (isinstance(model, torch.nn.Module) and model.training):
        wrapped.training = False
    return wrapped


def _ranges(columns: Sequence[str], low: Tensor, high: Tensor) -> list[dict[str, Any]]:
    pairs = zip(low.tolist(), high.tolist(), strict=True)
    names = list(columns) or [f"x{k}" for k in range(len(low))]
    return [{"column": n, "low": a, "high": b} for n, (a, b) in zip(names, pairs, strict=True)]


def _identity(read: ReadModel) -> dict[str, Any]:
    return {k: read.about[k] for k in ("digest", "parameters", "kind")}


def _data(measured: Batches, trusted: Batches | None, name: str) -> dict[str, Any]:
    rows = [measured.x, measured.y, *([] if trusted is None else [trusted.x, trusted.y])]
    return {
        "name": name,
        "digest": digest(rows),
        "n": len(measured),
        "shape": list(measured.x.shape[1:]) if isinstance(measured.x, Tensor) else [],
        "classes": list(measured.classes),
        "n_reference": 0 if trusted is None else len(trusted),
    }
