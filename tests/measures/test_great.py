"""GREAT score and the density of gaps against closed forms."""

from math import log, pi, sqrt

import pytest
import torch

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.measures.outputs.gaps import gap_density
from holdfast.measures.outputs.great import (
    MOST,
    calibrated_temperature,
    great_sample_size,
    great_score,
    hoeffding,
    rank_agreement,
)


def test_slope_of_a_smoothed_half_space_attains_the_constant():
    t = torch.tensor([-1e-5, 1e-5], dtype=torch.float64)
    h = 2 * torch.special.ndtr(t) - 1
    assert float(h[1] - h[0]) / 2e-5 == pytest.approx(sqrt(2 / pi), rel=1e-6)


def test_smoothed_functions_are_no_steeper():
    g = torch.Generator().manual_seed(0)
    noise = torch.randn(200_000, 3, generator=g, dtype=torch.float64)
    for _ in range(5):
        w = torch.randn(3, 8, generator=g, dtype=torch.float64) * 3
        value = torch.sin(noise @ w).mean(1)  # in [-1, 1]
        slope = (value[:, None] * noise).mean(0)  # Stein: the gradient of the smoothed function
        error = 3 * float((value[:, None] * noise).std(0).max()) / 200_000**0.5
        assert float(slope.norm()) <= sqrt(2 / pi) + 3 * error


def test_ends_of_the_scale():
    sure = great_score(1e4 * torch.eye(4), torch.arange(4))
    assert sure.score.value == pytest.approx(sqrt(pi / 2), abs=1e-12)
    assert great_score(torch.zeros(4, 4), torch.arange(4)).score.value == 0
    wrong = great_score(torch.eye(4), (torch.arange(4) + 1) % 4)
    assert bool((wrong.per_row == 0).all())
    broken = great_score(torch.full((2, 3), torch.nan), torch.tensor([0, 1]))
    assert broken.score.value == 0 and broken.score.flags


@pytest.mark.parametrize(
    ("squash", "twin"),
    [
        ("softmax", lambda z, t: torch.softmax(z / t, 1)),
        ("sigmoid", lambda z, t: torch.sigmoid(z / t)),
        ("softmax-of-sigmoid", lambda z, t: torch.softmax(torch.sigmoid(z) / t, 1)),
        ("sigmoid-of-softmax", lambda z, t: torch.sigmoid(torch.softmax(z, 1) / t)),
    ],
)
def test_naive_twin(squash, twin):
    g = torch.Generator().manual_seed(1)
    z, y = 2 * torch.randn(50, 5, generator=g).double(), torch.randint(5, (50,), generator=g)
    m = twin(z, 0.7)
    naive = []
    for row, label in zip(m, y.tolist(), strict=True):
        others = max(float(v) for k, v in enumerate(row) if k != label)
        naive.append(sqrt(pi / 2) * max(float(row[label]) - others, 0.0))
    found = great_score(z, y, squash=squash, temperature=0.7)
    assert found.per_row.tolist() == pytest.approx(naive)
    assert 0 <= found.score.low <= found.score.value <= found.score.high <= MOST


def test_sample_size_and_interval_are_the_same_statement():
    n = great_sample_size(0.05, 0.05)
    assert n == pytest.approx(pi / 4 * log(40) / 0.0025, abs=1)
    assert hoeffding(n, 0.05) <= 0.05 < hoeffding(n - 1, 0.05)
    with pytest.raises(ConfigError):
        great_sample_size(0.0)


def test_means_of_few_samples_lie_within_the_radius():
    g = torch.Generator().manual_seed(2)
    z, y = 3 * torch.randn(20_000, 3, generator=g), torch.zeros(20_000, dtype=torch.int64)
    rows = great_score(z, y).per_row
    truth = float(rows.mean())
    draws = torch.randint(20_000, (200, 500), generator=g)
    assert (
        float(((rows[draws].mean(1) - truth).abs() <= hoeffding(500, 0.05)).double().mean()) > 0.95
    )


def test_probabilities_of_a_service_need_no_logits():
    p = torch.tensor([0.9, 0.2, 0.6])
    found = great_score(torch.stack([p, 1 - p], 1), torch.zeros(3).long(), squash="none")
    assert found.per_row.tolist() == pytest.approx([MOST * 0.8, 0.0, MOST * 0.2], rel=1e-6)
    with pytest.raises(ShapeError):
        great_score(torch.tensor([[3.0, 1.0]]), torch.tensor([0]), squash="none")


def test_calibration_finds_a_temperature_that_ranks():
    y = torch.zeros(100).long()
    lead = torch.rand(100, generator=torch.Generator().manual_seed(3))
    models = [torch.stack([s * lead, torch.zeros(100)], 1) for s in (1.0, 2.0, 4.0, 1000.0)]
    t = calibrated_temperature(models, y, [1.0, 2.0, 3.0, 4.0])
    scores = [great_score(z, y, temperature=t).score.value for z in models]
    assert rank_agreement(scores, [1, 2, 3, 4]) == pytest.approx(1)


@pytest.mark.parametrize("wrong", [0.0, 0.5])
def test_density_of_half_normal_gaps(wrong):
    g = torch.Generator().manual_seed(4)
    gap = torch.randn(40_000, generator=g).abs().double()
    z = torch.stack([gap, torch.zeros_like(gap)], 1)
    y = (torch.rand(40_000, generator=g) < wrong).long()
    found = gap_density(z, y).at_zero
    truth = sqrt(2 / pi) * (1 - wrong)
    assert found.value == pytest.approx(truth, rel=0.04)
    assert found.low < found.value < found.high
    assert sum(r["count"] for r in gap_density(z, y).rows()) == int((y == 0).sum())
