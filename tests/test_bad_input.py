"""Bad input, method by method: a correct answer or a clear error, never a crash or a silent NaN."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from holdfast.core.catalog import Entry, entries
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import HoldfastError
from holdfast.core.kinds import readings
from holdfast.testing.conform import subject_of
from holdfast.testing.laws.detector import _world
from holdfast.testing.laws.measure_scenes import first_of, scene
from holdfast.testing.laws.shift_of_text import of_text

G = torch.Generator().manual_seed(0)
NAN = float("nan")

HOWS = ("one class", "one NaN", "all NaN", "one row", "all equal", "float32", "float16")
SLOW = ("calibration-suite", "source-dilution", "quality-assessment")  # the first two ways only


def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape, generator=G, dtype=torch.float64).to(dtype)


IMAGES = {
    "grey pixel": drawn(3, 1, 1, 1), "one pixel": drawn(2, 3, 1, 1), "a line": drawn(2, 3, 1, 7),
    "8 x 8": drawn(3, 3, 8, 8), "8 x 8 grey": drawn(3, 1, 8, 8), "odd": drawn(2, 1, 7, 5),
    "float64": drawn(2, 3, 33, 17, dtype=torch.float64), "two channels": drawn(2, 2, 9, 9),
    "float16": drawn(2, 3, 12, 10, dtype=torch.float16), "black": torch.zeros(2, 3, 9, 9),
    "white": torch.ones(2, 1, 9, 9),
}  # fmt: skip
REFUSED = {
    "below 0": drawn(2, 3, 9, 9) - 0.5, "bytes": 255 * drawn(2, 3, 9, 9),
    "NaN": torch.full((2, 3, 9, 9), NAN), "infinite": torch.full((2, 3, 9, 9), math.inf),
    "integers": torch.ones(2, 3, 9, 9).int(), "no images": drawn(4, 6),
}  # fmt: skip
OF_IMAGES = [e for e in entries("shift") if not of_text(e.thing)]
# Worlds of nets are covered by their own laws; here numbers alone are spoilt.
NETS = ("model", "vision", "models", "lm", "net", "nets", "mixture", "plane", "head")
OF_NUMBERS = [e for e in entries("measure") if first_of(e.thing) not in NETS]


def changed(entry: Entry, x: Tensor, severity: float) -> Tensor:
    batch = Batch(x, torch.zeros(len(x)).long(), torch.arange(len(x)))
    out: Tensor = entry.thing(batch, severity, Dice.of(len(x))).x
    return out


@pytest.mark.parametrize("entry", OF_IMAGES, ids=[e.name for e in OF_IMAGES])
def test_shifts_change_any_image_or_refuse_it(entry: Entry) -> None:
    for name, x in IMAGES.items():
        for severity in (0.2, 1.0):
            try:
                out = changed(entry, x, severity)
            except HoldfastError:
                continue
            assert out.shape == x.shape and out.dtype == x.dtype, name
            assert bool(((out >= 0) & (out <= 1)).all()), f"{name}: outside [0, 1], or NaN"
    for name, x in REFUSED.items():
        with pytest.raises(HoldfastError):
            pytest.fail(f"{name} accepted: {changed(entry, x, 1.0).shape}")


def spoilt_rows() -> dict[str, Batches]:
    _, trusted, _, _ = _world()
    x, y = trusted.x, trusted.y
    assert isinstance(x, Tensor)
    return {
        "one class": Batches(x=x[y == 0], y=y[y == 0], size=64),
        "one row": Batches(x=x[:1], y=y[:1]),
        "two rows": Batches(x=x[:2], y=y[:2]),
        "the same row": Batches(x=x[:1].expand(30, 4).clone(), y=y[:1].expand(30).clone()),
        "no label": Batches(x=x, y=torch.full_like(y, -100), size=64),
        "a row of NaN": Batches(x=torch.cat([x[:60], x[:1] * NAN]), y=y[:61], size=64),
        "no row": Batches(x=x[:0], y=y[:0]),
    }


@pytest.mark.parametrize("entry", entries("detector"), ids=[e.name for e in entries("detector")])
def test_detectors_fit_spoilt_rows_or_refuse_them(entry: Entry) -> None:
    model, _, x, _ = _world()
    for name, trusted in spoilt_rows().items():
        try:
            score = subject_of(entry).fit(model, trusted)
            found = score(torch.cat([x[:20], x[:1] * NAN]))
        except HoldfastError:
            continue
        assert found.shape == (21,) and not bool(found[:20].isnan().any()), name
        assert float(found[20]) == math.inf, f"{name}: a row of NaN is trusted"


def spoilt(a: object, how: str) -> object:
    if not isinstance(a, Tensor):
        return a
    if how == "one row":
        return a[:1]
    if not a.is_floating_point():
        return torch.zeros_like(a) if how == "one class" else a
    if how == "one NaN":
        return torch.cat([a[:1] * NAN, a[1:]])
    kinds = {"float32": torch.float32, "float16": torch.float16}
    if how in kinds:
        return a.to(kinds[how])
    return {"all NaN": a * NAN, "all equal": torch.zeros_like(a)}.get(how, a)


@pytest.mark.parametrize("entry", OF_NUMBERS, ids=[e.name for e in OF_NUMBERS])
def test_measures_of_spoilt_numbers_know_it_or_refuse(entry: Entry) -> None:
    """A reading is a number inside its interval, or NaN that rests on no row."""
    for how in HOWS[:2] if entry.name in SLOW else HOWS:
        given = scene(entry.thing).arguments
        try:
            found = readings(entry.thing(*[spoilt(a, how) for a in given]))
        except HoldfastError:
            continue
        for r in found:
            known = r.low <= r.value <= r.high
            assert known or (math.isnan(r.value) and r.n == 0), f"{how}: {r}"
