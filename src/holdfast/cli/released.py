"""What `holdfast shift` measures of a benchmark that was released: nothing is generated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from holdfast.cli.prepare import model_of
from holdfast.cli.shifted import told_of
from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.kinds import readings
from holdfast.core.records import Reading, Subject
from holdfast.measures.outputs.corruption_error import CLEAN, corruption_error
from holdfast.measures.outputs.flips import flip_rate
from holdfast.readers import subject
from holdfast.readers.archive import MAX_BYTES
from holdfast.readers.published import Asked, Release
from holdfast.run.forward import correct, labelled, outputs
from holdfast.run.reading import proportion
from holdfast.shifts.mnist_c import RELEASED
from holdfast.shifts.published import LEVELS

FIRST = 64  # rows or frames on which model and data are looked at before all is read


def asked_of(chosen: Mapping[str, Any]) -> Asked:
    """How much of every part is read."""
    most = chosen.get("max_bytes") or MAX_BYTES
    return Asked(chosen.get("limit"), chosen["seed"], most, chosen.get("target"))


def subject_for(release: Release, model: str, chosen: dict[str, Any], trust: bool) -> Subject:
    """The model and a few rows of the first part, to be looked at."""
    read = next(iter(release.parts.values()))
    rows = read(asked_of(chosen)._replace(limit=1 if release.family.films else FIRST))
    if release.family.films:
        rows = _frames(rows).take(slice(FIRST))
    found: Subject = subject(model_of(model, chosen, rows, trust), rows, seed=chosen["seed"])
    return found


def _frames(films: Batches) -> Batches:
    """All frames as rows of their own."""
    x: Any = films.x
    count = x.shape[1]
    return replace(films, x=x.flatten(0, 1), y=films.y.repeat_interleave(count),
                   index=torch.arange(len(films) * count))  # fmt: skip


def measured(
    asked: Subject, release: Release, chosen: dict[str, Any], units: Mapping[str, float] | None
) -> dict[str, Any]:
    """Accuracy by kind and level and the errors over all; of films how often answers flip."""
    if asked.model is None:
        raise Unsupported("shift: needs a model", fix="holdfast shift MODEL --data DATA")
    if release.family.films:
        return _flips(asked, release, chosen, units)
    kinds: dict[str, list[Tensor]] = {}
    cells, first = [], None
    for part, read in release.parts.items():
        rows = read(asked_of(chosen))
        rows = rows.take(labelled(rows).nonzero()[:, 0])
        first = rows.index if first is None else first
        if not torch.equal(rows.index, first) or not len(first):
            raise ShapeError(
                f"{part} does not hold the same images as {next(iter(release.parts))}",
                fix=f"Unpack it again from {release.family.link}",
            )
        wrong = _wrong(asked, rows)
        kind, _, level = part.partition("/")
        kind = release.family.prefix + kind
        kinds.setdefault(kind, []).append(wrong)
        severity = int(level) / LEVELS if level else RELEASED.get(kind, 1.0)
        cells.append({"kind": kind, "severity": severity, **_accuracy(kind, wrong, asked.seed)})
    return _told(asked, release, _clean(asked, release, chosen), kinds, cells, units)


def _wrong(asked: Subject, rows: Batches) -> Tensor:
    return ~correct(outputs(asked.model, rows.x), rows.y)  # type: ignore[arg-type]  # is there


def _accuracy(name: str, wrong: Tensor, seed: int) -> dict[str, float]:
    return told_of(proportion(name, int((~wrong).sum()), len(wrong), seed=seed))


def _clean(asked: Subject, release: Release, chosen: dict[str, Any]) -> Tensor | None:
    return None if release.clean is None else _wrong(asked, release.clean(asked_of(chosen)))


def _told(
    asked: Subject,
    release: Release,
    clean: Tensor | None,
    kinds: dict[str, list[Tensor]],
    cells: list[dict[str, Any]],
    units: Mapping[str, float] | None,
) -> dict[str, Any]:
    wrong = {kind: torch.stack(levels) for kind, levels in kinds.items()}
    n = next(iter(wrong.values())).shape[1]
    if clean is None and units is not None:  # what the corruptions add is not known
        units = {kind: value for kind, value in units.items() if kind != CLEAN}
    none = torch.zeros(n, dtype=torch.bool)
    record = corruption_error(
        wrong, none if clean is None else clean, reference=units, seed=asked.seed
    )
    found = [r for r in readings(record) if clean is not None or r.name != f"corruption.{CLEAN}"]
    return {
        "suite": release.suite, "released": True, "n": n, "seed": asked.seed,
        "clean": None if clean is None else _accuracy(CLEAN, clean, asked.seed),
        "cells": cells, "errors": _errors(found), "left_out": {},
    }  # fmt: skip


def _errors(found: list[Reading]) -> list[dict[str, Any]]:
    return [{"name": r.name, "unit": r.unit, **told_of(r)} for r in found]


def _flips(
    asked: Subject, release: Release, chosen: dict[str, Any], units: Mapping[str, float] | None
) -> dict[str, Any]:
    """Flip probabilities of films, and their rates against a reference."""
    films = {}
    for kind, read in release.parts.items():
        rows = read(asked_of(chosen))
        z = outputs(asked.model, _frames(rows).x)  # type: ignore[arg-type]  # is there
        films[kind] = z.unflatten(0, (len(rows), -1))
    found = flip_rate(films, reference=units, seed=asked.seed)
    return {
        "suite": release.suite, "released": True, "n": len(next(iter(films.values()))),
        "seed": asked.seed, "clean": None, "cells": [], "errors": _errors(list(found)),
        "left_out": {},
    }  # fmt: skip
