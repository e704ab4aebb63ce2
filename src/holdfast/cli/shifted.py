"""What `holdfast shift` measures, and how it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from holdfast.core.catalog import find
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.kinds import Shift, readings
from holdfast.core.records import Reading, Subject
from holdfast.measures.outputs.corruption_error import ALEXNET, corruption_error
from holdfast.ops.batch import rows
from holdfast.run.forward import correct, labelled, outputs
from holdfast.run.reading import proportion
from holdfast.shifts.medmnist import medmnist_c
from holdfast.shifts.mnist_c import RELEASED
from holdfast.shifts.published import IMAGENET_C, IMAGENET_C_EXTRA, LEVELS

SCENES = (
    "near-focus", "far-focus", "fog-3d", "xy-motion-blur-3d", "z-motion-blur-3d", "view-change",
    "flash", "shadow", "multi-illumination", "low-light", "iso-noise", "color-quant",
)  # fmt: skip
EVERY = tuple((k + 1) / LEVELS for k in range(LEVELS))
# The digits of MNIST-C were released at one level each.
SUITES: dict[str, dict[str, tuple[float, ...]]] = {
    "imagenet-c": dict.fromkeys(IMAGENET_C, EVERY),
    "imagenet-c-extra": dict.fromkeys(IMAGENET_C_EXTRA, EVERY),
    "mnist-c": {name: (severity,) for name, severity in RELEASED.items()},
    "3dcc": dict.fromkeys(SCENES, EVERY),
}
MEDICAL = "medmnist-c"  # then a colon and the data set whose corruptions were published


def reference_errors(given: str | None) -> Mapping[str, float] | None:
    """Errors of a reference: those of AlexNet, of a JSON file, or none.

    Raises:
        ConfigError: if the file cannot be read, or holds something else.
    """
    if given is None or given == "alexnet":
        return ALEXNET if given else None
    try:
        found = json.loads(Path(given).read_text("utf-8"))
        return {str(k): float(v) for k, v in found.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"--errors: {given}: {error}", fix='Write {"fog": 0.4, "clean": 0.1} and so on.'
        ) from None


def kinds(suite: str) -> dict[str, tuple[Shift, tuple[float, ...]]]:
    """The shifts of a suite and the severities at which they are asked.

    Raises:
        ConfigError: if MedMNIST has no such data set.
    """
    if suite.partition(":")[0] == MEDICAL:
        return {k: (v, EVERY) for k, v in medmnist_c(suite.partition(":")[2]).items()}
    return {k: (find(f"shift:{k}").thing, levels) for k, levels in SUITES[suite].items()}


def measured(subject: Subject, suite: str, units: Mapping[str, float] | None) -> dict[str, Any]:
    """Accuracy by kind and severity with exact intervals, and errors over all.

    Raises:
        Unsupported: without a model and images.
    """
    if subject.model is None or subject.batches is None or not len(subject.batches):
        raise Unsupported("shift: needs a model and rows", fix="holdfast shift MODEL --data DATA")
    batches = subject.batches.take(labelled(subject.batches).nonzero()[:, 0])
    clean = ~correct(outputs(subject.model, batches.x), batches.y)
    wrong, cells, left_out = {}, [], {}
    for kind, (shift, severities) in kinds(suite).items():
        try:
            levels = [_wrong(subject, batches, kind, shift, s) for s in severities]
        except Unsupported as refused:
            left_out[kind] = refused.says
            continue
        wrong[kind] = torch.stack(levels)
        for severity, level in zip(severities, levels, strict=True):
            right = proportion(kind, int((~level).sum()), len(level), seed=subject.seed)
            cells.append({"kind": kind, "severity": severity, **told_of(right)})
    if not wrong:
        raise Unsupported(f"shift: {next(iter(left_out.values()))}", fix="Give images in [0, 1].")
    own = proportion("clean", int((~clean).sum()), len(clean), seed=subject.seed)
    record = corruption_error(wrong, clean, reference=units, seed=subject.seed)
    errors = [{"name": r.name, "unit": r.unit, **told_of(r)} for r in readings(record)]
    return {
        "suite": suite, "n": len(clean), "seed": subject.seed, "clean": told_of(own),
        "cells": cells, "errors": errors, "left_out": left_out,
    }  # fmt: skip


def _wrong(
    subject: Subject, batches: Any, kind: str, shift: Shift, severity: float
) -> torch.Tensor:
    """`(n,)` bool: rows answered wrongly under a corruption; draws belong to rows."""
    found = []
    for batch in batches:
        changed = shift(batch, severity, Dice(subject.seed, batch.index, kind))
        found.append(~correct(outputs(subject.model, changed.x, size=rows(batch.x)), batch.y))  # type: ignore[arg-type]
    return torch.cat(found)


def told_of(r: Reading) -> dict[str, float]:
    """Value and interval of a reading."""
    return {"value": r.value, "low": r.low, "high": r.high}


def lines(told: dict[str, Any]) -> list[str]:
    """A table of accuracies in percent with their intervals, then the errors over all kinds."""
    kinds: dict[str, list[str]] = {}
    for cell in told["cells"]:
        kinds.setdefault(cell["kind"], []).append(_percent(cell))
    as_released = told["suite"] == "mnist-c" or told.get("released")
    where = "as released" if as_released else "at severity 0.2, 0.4, 0.6, 0.8, 1"
    clean = _percent(told["clean"]) if told["clean"] else "not there"
    found = [f"Accuracy in % of {told['n']} rows, {where}; unchanged: {clean}.", ""]
    found += [f"{kind:<20}" + "".join(f"{c:<13}" for c in row) for kind, row in kinds.items()]
    found += [f"{kind:<20}not tested: {why}" for kind, why in told["left_out"].items()]
    found.append("")
    names = {
        "corruption.mean": "mean error", "corruption.mce": "mCE",
        "corruption.relative_mce": "relative mCE",
    }  # fmt: skip
    for e in told["errors"]:
        if e["name"] in names:
            found.append(f"{names[e['name']]:<20}{_percent(e)}")
    return found


def flips(told: dict[str, Any]) -> list[str]:
    """How often answers differ from frame to frame, in percent, by kind."""
    found = [f"Answers that flip from frame to frame, in % of those of {told['n']} films.", ""]
    for e in told["errors"]:
        found.append(f"{e['name'].removeprefix('flips.'):<24}{_percent(e)}")
    return found


def _percent(e: Mapping[str, float]) -> str:
    return f"{100 * e['value']:.0f} [{100 * e['low']:.0f}, {100 * e['high']:.0f}]"
