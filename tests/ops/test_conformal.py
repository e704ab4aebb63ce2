"""The conformal rank against exact coverage."""

import numpy as np
import pytest
import torch
from scipy.stats import beta

from holdfast.ops.conformal import conformal_rank, conformal_threshold, coverage_range


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2, 1 / 3])
def test_the_rank_is_the_smallest_one_that_covers(alpha):
    """Coverage of rank k with continuous scores is k / (n + 1), in exact arithmetic."""
    for n in range(1, 400):
        k = conformal_rank(n, alpha)
        assert k / (n + 1) >= 1 - alpha - 1e-11
        assert (k - 1) / (n + 1) < 1 - alpha
        assert k / (n + 1) <= 1 - alpha + 1 / (n + 1) + 1e-11


def test_too_few_scores_make_it_infinite():
    assert conformal_threshold(torch.arange(8.0), 0.1) == float("inf")
    assert conformal_threshold(torch.arange(9.0), 0.1) == 8
    assert conformal_threshold(torch.empty(0), 0.5) == float("inf")
    assert conformal_threshold(torch.tensor([1.0, float("nan"), 0.0]), 0.25) == float("inf")
    for n, alpha in ((-1, 0.1), (3, 0.0), (3, 1.0)):
        with pytest.raises(ValueError, match="conformal"):
            conformal_rank(n, alpha)


def test_coverage_is_beta_and_an_interpolated_quantile_is_not_enough():
    """20,000 calibrations with 19 uniform scores: the threshold is the coverage itself."""
    scores = torch.rand(20000, 19, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = np.array([conformal_threshold(row, 0.1) for row in scores])
    assert abs(found.mean() - 18 / 20) < 4 * found.std() / 20000**0.5
    low, high = coverage_range(19, 0.1)
    assert (low, high) == pytest.approx(beta(18, 2).ppf([0.05, 0.95]))
    assert abs((found < low).mean() - 0.05) < 0.007
    assert abs((found > high).mean() - 0.05) < 0.007
    assert np.quantile(scores.numpy(), 0.9, axis=1).mean() < 0.87  # the usual mistake
    assert coverage_range(8, 0.1) == (1.0, 1.0)
