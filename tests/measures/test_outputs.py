"""Measures of outputs against naive twins, closed forms and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import accuracy_score, brier_score_loss, confusion_matrix, log_loss

from holdfast.core.catalog import find
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.kinds import readings
from holdfast.measures.outputs.accuracy import accuracy, confusion, margins
from holdfast.measures.outputs.calibration import adaptive_ece, ece
from holdfast.measures.outputs.scores import brier, nll


def world(rows=400, classes=4, seed=0, scale=1.0):
    """Labels drawn from the softmax of the logits; `scale` then makes them over-confident."""
    g = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(rows, classes, generator=g, dtype=torch.float64)
    y = torch.multinomial(z.softmax(1), 1, generator=g).squeeze(1)
    return z * scale, y


def test_accuracy_and_its_interval():
    z, y = world()
    got = accuracy(z, y)
    right = int((z.argmax(1) == y).sum())
    exact = stats.binomtest(right, 400).proportion_ci(0.95, "exact")
    assert got.value == accuracy_score(y, z.argmax(1))
    assert (got.low, got.high) == pytest.approx((exact.low, exact.high))
    assert got.n == 400


def test_ties_and_non_finite_rows_are_wrong():
    z = torch.tensor([[1.0, 1.0], [2.0, 1.0], [float("nan"), 0.0], [float("inf"), 0.0]])
    got = accuracy(z, torch.tensor([0, 0, 1, 0]))
    assert got.value == 0.25
    assert got.flags == ("2 of 4 rows have non-finite outputs",)


def test_unlabelled_positions_do_not_count():
    z, y = world(60)
    holes = y.clone()
    holes[::3] = -100
    kept = holes != -100
    for measure in (accuracy, brier, nll):
        assert measure(z, holes).value == measure(z[kept], y[kept]).value
    tokens = accuracy(z.reshape(6, 10, 4), holes.reshape(6, 10))
    assert tokens == accuracy(z, holes)
    assert math.isnan(accuracy(z, torch.full_like(y, -100)).value)
    assert ece(z, torch.full_like(y, -100)).error.n == 0


def test_shapes_that_do_not_fit_are_refused():
    z, y = world(10)
    for bad in (y[:9], y + 4):
        with pytest.raises(ShapeError):
            accuracy(z, bad)
    with pytest.raises(ConfigError):
        ece(z, y, bins=0)


def test_confusion():
    z, y = world()
    got = confusion(z, y)
    want = confusion_matrix(y, z.argmax(1))
    assert np.array_equal(got.counts.numpy(), want)
    shares = [r.value for r in got.readings()]
    assert shares == pytest.approx((want.diagonal() / want.sum(1)).tolist())
    assert got.worst().value == min(shares)
    assert got.readings()[2].name == "accuracy.class.2"


def test_margins_quantiles_and_interval_coverage():
    z, y = world()
    low, middle, _ = margins(z, y)
    own = z[torch.arange(400), y]
    rest = z.scatter(1, y[:, None], -torch.inf).amax(1)
    assert low.value == pytest.approx(np.quantile((own - rest).numpy(), 0.1))
    assert middle.low <= middle.value <= middle.high
    assert 0.0 < middle.high - middle.low < 2.0


def naive_ece(confidence, hit, bins):
    total = 0.0
    for m in range(1, bins + 1):
        here = [
            i for i, c in enumerate(confidence)
            if (m - 1) / bins < c <= m / bins or (m == 1 and c == 0)
        ]  # fmt: skip
        if here:
            gap = np.mean([hit[i] for i in here]) - np.mean([confidence[i] for i in here])
            total += len(here) / len(confidence) * abs(gap)
    return total


@pytest.mark.parametrize("bins", [1, 5, 15])
def test_ece_is_its_naive_twin(bins):
    z, y = world(scale=3.0)
    confidence, answer = z.softmax(1).max(1)
    hit = (answer == y).double()
    got = ece(z, y, bins=bins)
    assert got.error.value == pytest.approx(naive_ece(confidence.tolist(), hit.tolist(), bins))
    assert sum(got.count) == 400
    if bins == 1:
        assert got.error.value == pytest.approx(abs(float(confidence.mean() - hit.mean())))


def test_adaptive_ece_is_its_naive_twin():
    z, y = world(rows=403, scale=3.0)
    confidence, answer = z.softmax(1).max(1)
    order = confidence.argsort(stable=True)
    groups = np.array_split(order.numpy(), 1)
    hit = (answer == y).double()
    place = np.arange(403) * 15 // 403
    groups = [order[torch.tensor(place == m)] for m in range(15)]
    want = sum(len(g) / 403 * float((hit[g].mean() - confidence[g].mean()).abs()) for g in groups)
    got = adaptive_ece(z, y)
    assert got.error.value == pytest.approx(want)
    assert max(got.count) - min(got.count) <= 1


def test_adaptive_ece_does_not_depend_on_the_order_of_tied_rows():
    z = torch.tensor([[1.0, 0.0]]).expand(60, 2)
    y = torch.tensor([0] * 20 + [1] * 40)
    gap = float(z.softmax(1)[0, 0]) - 20 / 60
    for rows in (y, y.flip(0), y.roll(7)):
        assert adaptive_ece(z, rows).error.value == pytest.approx(gap, rel=1e-5)


def test_certain_answers_fall_into_the_last_bin():
    z = torch.tensor([[1000.0, 0.0], [1000.0, 0.0]])
    got = ece(z, torch.tensor([0, 1]))
    assert got.confidence == (1.0,)
    assert got.error.value == pytest.approx(0.5)


def test_interval_holds_the_truth_of_a_calibrated_and_of_an_overconfident_model():
    holds, caught = 0, 0
    for seed in range(20):
        z, y = world(500, seed=seed)
        holds += ece(z, y, draws=100).error.low <= 0.02
        caught += ece(3 * z, y, draws=100).error.low > 0.05
    assert holds >= 18
    assert caught == 20


def test_interval_is_the_same_for_the_same_seed():
    z, y = world()
    assert ece(z, y, seed=3).error == ece(z, y, seed=3).error
    assert ece(z, y, seed=3).error != ece(z, y, seed=4).error


def test_brier_and_nll_against_scikit_learn():
    z, y = world(classes=2)
    p = z.softmax(1)
    assert brier(z, y).value == pytest.approx(2 * brier_score_loss(y, p[:, 1]))
    z, y = world()
    assert nll(z, y).value == pytest.approx(log_loss(y, z.softmax(1), labels=range(4)))
    sure = torch.tensor([[1e4, 0.0]])
    assert brier(sure, torch.tensor([1])).value == pytest.approx(2.0)


def test_every_measure_of_outputs_gives_readings():
    z, y = world(50)
    for name in ("accuracy", "confusion", "margins", "ece", "adaptive-ece", "brier", "nll"):
        found = readings(find(f"measure:{name}").thing(z, y))
        assert found
        assert all(r.low <= r.value <= r.high and r.n > 0 for r in found)
