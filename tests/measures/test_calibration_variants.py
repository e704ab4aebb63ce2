"""Variants of the calibration error against loops, closed forms and identities."""

import math

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_curve

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.kinds import readings
from holdfast.measures.outputs.bin_free import kernel_density, kernel_mean, kolmogorov
from holdfast.measures.outputs.bins import equal_mass, monotone_bins
from holdfast.measures.outputs.calibration import adaptive_ece, ece
from holdfast.measures.outputs.calibration_suite import (
    agreement,
    calibration_suite,
    harmonic_score,
)
from holdfast.measures.outputs.selective import risk_coverage
from holdfast.ops.ranking import average_precision, detection_error, false_share


def world(rows=300, classes=4, seed=0, scale=2.0):
    g = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(rows, classes, generator=g, dtype=torch.float64)
    y = torch.multinomial(z.softmax(1), 1, generator=g).squeeze(1)
    return z * scale, y


def by_loops(sure, hit, bins, norm, debias=False):
    """Right-closed equal-width bins, one row at a time."""
    full = {}
    for p, h in zip(sure.tolist(), hit.tolist(), strict=True):
        m = next(m for m in range(bins) if p <= (m + 1) / bins or m == bins - 1)
        full.setdefault(m, []).append((p, h))
    gaps = []
    for rows in full.values():
        n, a = len(rows), sum(h for _, h in rows) / len(rows)
        gap = abs(sum(p for p, _ in rows) / n - a)
        gaps.append((n / len(sure), gap, a * (1 - a) / (n - 1) if debias and n > 1 else 0.0))
    if norm == "max":
        return max(g for _, g, _ in gaps)
    if norm == "l1":
        return sum(w * g for w, g, _ in gaps)
    return max(0.0, sum(w * (g * g - d) for w, g, d in gaps)) ** 0.5


@pytest.mark.parametrize(
    ("norm", "debias"), [("l1", False), ("l2", False), ("l2", True), ("max", False)]
)
def test_norms_against_loops(norm, debias):
    z, y = world()
    sure, answer = z.softmax(1).max(1)
    got = ece(z, y, norm=norm, debias=debias, draws=1).error.value
    assert got == pytest.approx(by_loops(sure, answer == y, 15, norm, debias), abs=1e-12)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_classwise_against_loops(norm):
    z, y = world()
    p = z.softmax(1)
    want = sum(by_loops(p[:, k], y == k, 10, norm) for k in range(4)) / 4
    got = ece(z, y, bins=10, of="classes", norm=norm, draws=1).error.value
    assert got == pytest.approx(want, abs=1e-12)


def test_threshold_leaves_small_probabilities_out():
    z, y = world()
    p = z.softmax(1)
    want = [by_loops(p[k, i], (y == i)[k], 5, "l1") for i in range(4) for k in [p[:, i] >= 0.25]]
    got = ece(z, y, bins=5, of="classes", threshold=0.25, draws=1).error.value
    assert got == pytest.approx(sum(want) / 4, abs=1e-12)
    mass = equal_mass(torch.tensor([[-1.0], [0.4], [-1.0], [0.6]]), 2)
    assert mass[:, 0].tolist()[1::2] == [0, 1]


def test_against_torchmetrics():
    metrics = pytest.importorskip("torchmetrics.functional.classification")
    z, y = world()
    for norm in ("l1", "l2", "max"):
        want = float(metrics.multiclass_calibration_error(z.softmax(1), y, 4, 15, norm))
        assert ece(z, y, norm=norm, draws=1).error.value == pytest.approx(want, abs=1e-6)


def test_as_many_bins_as_rows_is_the_mean_gap():
    z, y = world(60)
    sure, answer = z.softmax(1).max(1)
    want = float((sure - (answer == y).double()).abs().mean())
    assert adaptive_ece(z, y, bins=60, draws=1).error.value == pytest.approx(want, abs=1e-12)


def test_brier_score_decomposes_where_bins_hold_one_confidence():
    sure = torch.tensor([0.6, 0.6, 0.6, 0.9, 0.9, 0.9, 0.9]).double()
    wrong = torch.tensor([0, 1, 1, 0, 0, 0, 1])
    z = torch.stack([sure, 1 - sure], 1).log()
    reliability, resolution, uncertainty = ece(z, wrong, draws=1).parts()
    want = float(((1 - wrong) - sure).square().mean())
    assert reliability - resolution + uncertainty == pytest.approx(want, abs=1e-12)


def test_settings_out_of_range_are_refused():
    z, y = world(20)
    for bad in ({"norm": "l3"}, {"scheme": "even"}, {"of": "rows"}, {"bins": 0}, {"debias": True},
                {"threshold": 1.0}, {"draws": 0}):  # fmt: skip
        with pytest.raises(ConfigError):
            ece(z, y, **bad)


def test_kolmogorov_is_one_bin_where_residuals_have_one_sign():
    z, y = world(scale=8.0)
    sure, answer = z.softmax(1).max(1)
    hit = (answer == y).double()
    order = sure.argsort()
    want = float((hit - sure)[order].cumsum(0).abs().max() / len(y))
    assert kolmogorov(sure, hit) == pytest.approx(want, abs=1e-12)
    low = sure * 0
    assert kolmogorov(low + 0.9, low + 0.0) == pytest.approx(0.9)


def test_kernel_mean_by_pairs_and_in_closed_form():
    z, y = world(50)
    sure, answer = z.softmax(1).max(1)
    hit = (answer == y).double()
    pairs = sum(
        (hit[i] - sure[i]) * (hit[j] - sure[j]) * math.exp(-abs(float(sure[i] - sure[j])) / 0.4)
        for i in range(50) for j in range(50)
    )  # fmt: skip
    assert kernel_mean(sure, hit) == pytest.approx(float(pairs) ** 0.5 / 50, abs=1e-9)
    assert kernel_mean(sure * 0 + 0.7, hit * 0 + 1) == pytest.approx(0.3)
    right, wrong = 1 - 0.7, -0.7
    half = torch.tensor([1.0, 1.0, 1.0, 0.0]).double()
    balanced = kernel_mean(half * 0 + 0.7, half, balanced=True)
    assert balanced == pytest.approx(abs(right + wrong))


def test_kernel_density_of_honest_and_of_constant_confidence():
    g = torch.Generator().manual_seed(1)
    sure = torch.rand(6000, generator=g).double()
    honest = (torch.rand(6000, generator=g) < sure).double()
    assert kernel_density(sure, honest) < 0.03
    wrong = kernel_density(sure * 0.02 + 0.8, (torch.rand(6000, generator=g) < 0.5).double())
    assert wrong == pytest.approx(0.31, abs=0.03)


def test_sweep_stops_before_accuracies_fall():
    sure = torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
    assert monotone_bins(sure, torch.tensor([0.0, 0.0, 1.0, 1.0]).double()) == 4
    assert monotone_bins(sure, torch.tensor([1.0, 1.0, 0.0, 0.0]).double()) == 1


def test_suite_names_and_refusals():
    z, y = world(80)
    found = calibration_suite(z, y, bins=(5, 15), draws=2)
    assert found["ece.15"] == pytest.approx(ece(z, y, draws=1).error.value)
    assert found["mce.5"] >= found["ece.5"] and len(readings(found)) == 8 * 2 + 5
    single = calibration_suite(z[:1], y[:1], bins=(5,), draws=2)
    assert all(math.isfinite(r.value) for r in readings(single))
    with pytest.raises(ShapeError):
        calibration_suite(z * torch.nan, y)
    with pytest.raises(ConfigError):
        calibration_suite(z, y, bins=())
    tau = agreement({"a": torch.arange(5.0), "b": torch.arange(5.0), "c": -torch.arange(5.0)})
    assert (tau["a", "b"], tau["a", "c"]) == pytest.approx((1.0, -1.0))
    assert harmonic_score(0.8, 0.2) == pytest.approx(0.8)
    assert harmonic_score(0.9, 0.5) == pytest.approx(2 * 0.9 * 0.5 / 1.4)


def test_risk_coverage_closed_forms():
    z = torch.tensor([[4.0, 0], [3, 0], [2, 0], [1, 0]]).double()
    y = torch.tensor([0, 0, 1, 1])  # both errors last: the best order
    found = risk_coverage(z, y)
    assert found.risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert found.readings()[2].value == pytest.approx(1 - (1 / 3 + 1 / 2) / 4)
    r = 0.5
    assert found.excess == pytest.approx((1 / 3 + 1 / 2) / 4 - (r + (1 - r) * math.log(1 - r)))
    flat = risk_coverage(z * 0 + torch.tensor([1.0, 0.0]), y)
    assert flat.risk.tolist() == pytest.approx([0.5] * 4)  # ties: every order alike, in the mean
    assert risk_coverage(z[:0], y[:0]).area.n == 0
    assert risk_coverage(z, 1 - y * 0).excess == pytest.approx(0.0)  # all wrong


def test_ranking_numbers_against_scikit_learn():
    g = torch.Generator().manual_seed(3)
    low = torch.randint(12, (70,), generator=g).double()
    high = torch.randint(5, 17, (40,), generator=g).double()
    truth = torch.cat([torch.zeros(70), torch.ones(40)]).numpy()
    scores = torch.cat([low, high]).numpy()
    assert average_precision(low, high) == pytest.approx(average_precision_score(truth, scores))
    false, true, _ = roc_curve(truth, scores, drop_intermediate=False)
    assert false_share(low, high) == pytest.approx(false[true >= 0.95].min())
    assert detection_error(low, high) == pytest.approx((0.5 * (1 - true + false)).min())
