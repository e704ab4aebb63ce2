"""Intervals against SciPy, against enumeration and against their own coverage."""

import math
import subprocess
import sys

import pytest
import torch
from scipy.stats import binom, binomtest

from holdfast.ops.statistics import (
    binomial_quantile,
    bootstrap_mean,
    clopper_pearson,
    clopper_pearson_lower,
    clopper_pearson_upper,
    quantile_interval,
    wilson,
)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (1, 1), (87, 1000)])
def test_two_sided_intervals_are_those_of_scipy(k: int, n: int) -> None:
    for method, own in (("exact", clopper_pearson), ("wilson", wilson)):
        theirs = binomtest(k, n).proportion_ci(0.95, method)
        assert own(k, n) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_lower_bound_has_error_at_most_alpha_for_every_share() -> None:
    n, alpha = 30, 0.05
    bounds = clopper_pearson_lower(torch.arange(n + 1), n, alpha)
    for p in torch.linspace(0.01, 0.99, 99).tolist():
        wrong = sum(binom.pmf(k, n, p) for k in range(n + 1) if bounds[k] > p)
        assert wrong <= alpha + 1e-12


def test_one_sided_bounds_of_one_number_and_of_a_tensor_agree() -> None:
    many = clopper_pearson_lower(torch.tensor([0, 5, 10]), 10, 0.001)
    assert many.tolist() == [clopper_pearson_lower(k, 10, 0.001) for k in (0, 5, 10)]
    assert clopper_pearson_lower(10, 10, 0.05) == pytest.approx(0.05 ** (1 / 10))
    assert clopper_pearson_upper(0, 10, 0.05) == pytest.approx(1 - 0.05 ** (1 / 10))


def test_no_trials_tell_nothing() -> None:
    assert clopper_pearson(0, 0) == wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("arguments", [(11, 10, 0.05), (-1, 10, 0.05), (1, 10, 0.0), (1, 10, 1.0)])
def test_nonsense_is_refused(arguments: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match="interval"):
        clopper_pearson_lower(*arguments)


def test_bootstrap_has_the_width_of_the_normal_interval() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before = torch.random.get_rng_state()
    low, high = bootstrap_mean(values, seed=3)
    half = 1.96 * float(values.std()) / 20
    assert (low, high) == pytest.approx(
        (float(values.mean()) - half, float(values.mean()) + half), abs=0.15 * half
    )
    assert bootstrap_mean(values, seed=3) == (low, high) != bootstrap_mean(values, seed=4)
    assert torch.equal(before, torch.random.get_rng_state())


def test_bootstrap_of_one_value_and_of_none() -> None:
    assert bootstrap_mean(torch.tensor([2.0])) == (2.0, 2.0)
    assert all(math.isnan(v) for v in bootstrap_mean(torch.zeros(0)))
    assert all(math.isnan(v) for v in bootstrap_mean(torch.tensor([1.0, math.inf])))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("n", [5, 20, 101])
def test_quantile_interval_covers(share: float, n: int) -> None:
    """Over the uniform distribution the exact coverage follows from the binomial."""
    low, high = quantile_interval(torch.arange(1.0, n + 1), share)
    below = 0 if low == -math.inf else int(low)
    above = n + 1 if high == math.inf else int(high)
    # Coverage: at least `below` and fewer than `above` of n values lie under the quantile.
    miss_low = binom.cdf(below - 1, n, share) if below else 0.0
    miss_high = binom.sf(above - 1, n, share) if above <= n else 0.0
    assert miss_low <= 0.025 + 1e-12
    assert miss_high <= 0.025 + 1e-12


@pytest.mark.parametrize("n", [1, 2, 7, 50, 999, 20_000])
def test_binomial_quantiles_are_the_least_counts_that_reach_a_level(n: int) -> None:
    for share in (1e-4, 0.05, 0.3, 0.5, 0.99):
        for level in (1e-9, 0.005, 0.025, 0.5, 0.975, 1 - 1e-9):
            found = binomial_quantile(level, n, share)
            # Where the level is met exactly, rounding decides: both neighbours are right then.
            assert binom.cdf(found, n, share) >= level * (1 - 1e-12)
            assert found == 0 or binom.cdf(found - 1, n, share) < level * (1 + 1e-12)


def test_an_interval_of_a_quantile_imports_no_distributions() -> None:
    code = (
        "import sys, torch\n"
        "from holdfast.ops.statistics import quantile_interval\n"
        "quantile_interval(torch.arange(50.0), 0.5)\n"
        "assert 'scipy.special' in sys.modules and 'scipy.stats' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
