"""Calibration and OOD: closed forms, and what is fitted never sees what is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests.checks.subjects import batches, findings, reading
from torch import Tensor, nn

from holdfast.checks.calibration import Calibration
from holdfast.checks.foreign import foreign
from holdfast.checks.ood import OOD
from holdfast.checks.separation import roc
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.records import Severity, Subject
from holdfast.ops.ranking import auroc_interval
from holdfast.ops.statistics import clopper_pearson


def sure(confidence: float, accuracy: float, rows: int) -> Batches:
    """Rows answered with one confidence, of which a known share is right."""
    x = torch.tensor([[math.log(confidence / (1 - confidence)), 0.0]]).double().expand(rows, 2)
    y = (torch.arange(rows) >= round(accuracy * rows)).long()
    return batches(x.contiguous(), y)


def calibrated(measured: Batches, trusted: Batches) -> Any:
    return findings(Calibration(), Subject(model=nn.Identity(), batches=measured, trusted=trusted))


def test_calibration_error_of_one_confidence_is_its_gap() -> None:
    (one,) = calibrated(sure(0.8, 0.6, 100), sure(0.8, 0.6, 50))
    error = reading([one], "calibration.ece")
    assert error.value == pytest.approx(0.2) and error.n == 100 and error.better == "lower"
    assert error.low <= 0.2 <= error.high and (error.low, error.high) != (0.2, 0.2)
    after = reading([one], "calibration.ece_after_temperature")
    assert after.value == pytest.approx(0.0, abs=1e-3)
    temperature = math.log(4) / math.log(1.5)
    assert f"temperature of {temperature:.2f}" in one.says and "too sure" in one.says
    assert one.severity is Severity.WARNING and "3.4" in one.advice
    assert reading([one], "calibration.adaptive-ece").value == pytest.approx(0.2)
    squares = 0.6 * 2 * 0.2**2 + 0.4 * 2 * 0.8**2
    assert reading([one], "calibration.brier").value == pytest.approx(squares)
    nats = -0.6 * math.log(0.8) - 0.4 * math.log(0.2)
    assert reading([one], "calibration.nll").value == pytest.approx(nats)


def test_the_temperature_is_fitted_on_trusted_rows_and_measured_on_the_others() -> None:
    (one,) = calibrated(sure(0.8, 0.6, 100), sure(0.8, 0.9, 50))
    after = reading([one], "calibration.ece_after_temperature")
    assert after.value == pytest.approx(0.9 - 0.6, abs=1e-3) and after.n == 100
    assert "not help" in one.says and not one.advice
    (same,) = calibrated(sure(0.8, 0.6, 100), sure(0.8, 0.9, 80))
    assert reading([same], "calibration.ece") == reading([one], "calibration.ece")


def test_unsure_is_told_from_sure() -> None:
    (one,) = calibrated(sure(0.6, 0.9, 100), sure(0.6, 0.9, 50))
    assert "too unsure" in one.says


def test_bins_have_exact_intervals_and_the_curve_ends_at_the_error_rate() -> None:
    (one,) = calibrated(sure(0.8, 0.6, 100), sure(0.8, 0.6, 50))
    bins, curve = (f.rows for f in one.figures)
    low, high = clopper_pearson(60, 100)
    assert bins[0]["low"] == pytest.approx(float(low), abs=1e-5)
    assert bins[0]["high"] == pytest.approx(float(high), abs=1e-5)
    assert [r["series"] for r in bins] == ["as it is", "after temperature"]
    ends = {r["series"]: r["y"] for r in curve}
    assert ends == {k: 0.4 for k in ("surest answers first", "errors last of all", "in any order")}
    # All rows are equally sure, so declining some helps nothing; the best order ends in a corner.
    assert {r["y"] for r in curve if r["series"] != "errors last of all"} == {0.4}
    best = [(r["x"], r["y"]) for r in curve if r["series"] == "errors last of all"]
    assert (0.6, 0.0) in best and best[0] == (0.1, 0.0)
    assert all(y == pytest.approx(max(0.0, 1 - 0.6 / float(x or 1)), abs=1e-4) for x, y in best)
    assert "40.0% of answers wrong instead of 40.0%" in one.figures[1].says


def test_the_curve_of_a_detector_is_read_between_its_thresholds() -> None:
    g = torch.Generator().manual_seed(0)
    known, strange = torch.randn(40, generator=g), torch.randn(30, generator=g) + 1
    at = tuple(k / 40 for k in range(41))
    for f, y in zip(at, roc(known, strange, at), strict=True):
        # The k largest familiar scores are flagged, and all foreign ones above the next one.
        line = known.sort(descending=True).values[round(40 * f)] if f < 1 else -torch.inf
        assert y == pytest.approx(float((strange > line).double().mean()))
    assert roc(torch.zeros(5), torch.zeros(7), (0.0, 0.3, 1.0)) == pytest.approx([0.0, 0.3, 1.0])
    apart = roc(torch.zeros(5), torch.ones(7), (0.0, 0.5, 1.0))
    assert apart == [1.0, 1.0, 1.0]


@dataclass(frozen=True)
class Nearest:
    """Distance to the nearest fitted row: 0 for a row that it was fitted on."""

    seen: list[Batches]

    def fit(self, model: Any, trusted: Batches) -> Any:
        self.seen.append(trusted)
        known = trusted.x
        assert isinstance(known, Tensor)
        return lambda x, y=None: torch.cdist(x.flatten(1), known.flatten(1)).amin(1)


class Constant:
    """Knows nothing."""

    def fit(self, model: Any, trusted: Batches) -> Any:
        return lambda x, y=None: torch.zeros(len(x))


def images(rows: int = 40, seed: int = 0) -> Batches:
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(rows, 1, 8, 8, generator=g, dtype=torch.float64)
    return batches(x, torch.arange(rows) % 4)


def test_a_detector_that_knows_every_row_has_auroc_one_and_a_blind_one_half() -> None:
    known, spy = images(), Nearest([])
    about = Subject(model=nn.Flatten(), batches=known, trusted=known)
    (one,) = findings(OOD(detectors=(spy, Constant())), about)
    found = reading([one], "ood.auroc")
    assert found.value == found.high == 1.0 and 0.9 < found.low < 1.0
    sets = 4 + 3  # noise, constant, texture, photographs; halves, patches, turned
    assert found.n == 40 + sets * 40 and found.unit == "probability"
    lines, points = (f.rows for f in one.figures)
    assert len(lines) == 2 * sets and len(points) <= 2 * sets * 12
    assert {r["area"] for r in points if r["series"] == lines[0]["row"] and "area" in r} == {1.0}
    assert all(r["low"] <= r["value"] <= r["high"] for r in lines)  # type: ignore[operator]
    assert [r["value"] for r in lines[sets:]] == [0.5] * sets
    (blind,) = findings(OOD(detectors=(Constant(),)), about)
    half = reading([blind], "ood.auroc")
    assert half.value == 0.5 and blind.severity is Severity.WARNING


def test_detectors_are_fitted_on_trusted_rows_alone() -> None:
    spy, trusted = Nearest([]), images(30, 1)
    about = Subject(model=nn.Flatten(), batches=images(), trusted=trusted)
    (one,) = findings(OOD(detectors=(spy,)), about)
    assert len(spy.seen) == 1 and spy.seen[0] is trusted
    known = torch.cdist(images().x.flatten(1), trusted.x.flatten(1)).amin(1)  # type: ignore[union-attr]
    sets = foreign(images().x, images().y, Dice(0, torch.arange(40), "ood"))  # type: ignore[arg-type]
    strange = [torch.cdist(z.flatten(1), trusted.x.flatten(1)).amin(1) for z in sets.values()]  # type: ignore[union-attr]
    low, high = auroc_interval(known, torch.cat(strange), alpha=0.05)
    found = reading([one], "ood.auroc")
    wins = (torch.cat(strange)[:, None] > known).double().mean()
    assert found.value == pytest.approx(float(wins), abs=1e-6)
    assert (found.low, found.high) == pytest.approx((low, high))


def made(rows: int = 400) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    data = images(rows)
    assert isinstance(data.x, Tensor)
    x = 0.3 + 0.2 * data.x  # far from the ends, so that clipping changes no mean
    return x, data.y, foreign(x, data.y, Dice(0, torch.arange(rows)))


def test_far_sets_keep_mean_and_variance_of_the_data() -> None:
    x, _, sets = made()
    for name in ("far: noise", "far: constant", "far: texture"):
        z = sets[name]
        assert z.shape == x.shape and float(z.mean()) == pytest.approx(float(x.mean()), abs=0.01)
        assert float(z.std()) == pytest.approx(float(x.std()), rel=0.1)
    assert torch.equal(sets["far: constant"].flatten(1).std(1), torch.zeros(400).double())
    photos = sets["far: photographs"]
    assert photos.shape == x.shape and 0 <= float(photos.min()) <= float(photos.max()) <= 1
    assert len(photos.flatten(1).unique(dim=0)) > 390


def test_near_sets_are_halves_of_two_classes_dealt_patches_and_turns() -> None:
    x, y, sets = made()
    halves = sets["near: two halves"]
    assert torch.equal(halves[..., :4], x[..., :4])
    match = (halves[..., 4:].flatten(1)[:, None] == x[..., 4:].flatten(1)).all(2)
    partner = match.double().argmax(1)
    assert match.any(1).all() and (y[partner] != y).all()
    dealt = sets["near: shuffled patches"]
    assert torch.equal(dealt.flatten(1).sort(1).values, x.flatten(1).sort(1).values)
    assert not torch.equal(dealt, x)
    assert torch.equal(sets["near: turned"], x.rot90(1, (-2, -1)))


def test_tables_get_mixed_columns_and_another_table_of_their_width() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(50, 13, generator=g), torch.arange(50) % 2
    dice = Dice(0, torch.arange(50))
    assert set(foreign(x, y, dice)) == {
        "far: noise", "far: constant", "far: wine", "near: mixed columns",
    }  # fmt: skip
    assert "far: wine" not in foreign(x, y, dice, "wine")
    assert set(foreign(x[:, :5], y, dice)) == {"far: noise", "far: constant", "near: mixed columns"}
    assert set(foreign(x, torch.zeros(50).long(), dice)) >= {"near: mixed columns"}
