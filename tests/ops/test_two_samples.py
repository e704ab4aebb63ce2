"""Distances of samples against closed forms and under the hypothesis."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import kstest

from holdfast.ops.two_samples import gaussian_kl, mmd2, two_sample_p
from holdfast.testing.worlds import draws


def test_mmd_of_equal_distributions_is_zero_in_expectation():
    both = torch.randn(50, 2, 40, 2, generator=draws(0), dtype=torch.float64)
    found = mmd2(both[:, 0], both[:, 1])
    assert abs(float(found.mean())) < 2 * float(found.std()) / 50**0.5
    assert (found < 0).any()


def test_mmd_of_two_gaussians_is_the_closed_form():
    g, n, shift, s = draws(1), 2000, 1.5, 1.2
    a = torch.randn(1, n, 1, generator=g, dtype=torch.float64)
    b = torch.randn(1, n, 1, generator=g, dtype=torch.float64) + shift
    # E exp(-d^2 / 2 s^2) for d ~ N(m, 2): s / sqrt(s^2 + 2) exp(-m^2 / 2 (s^2 + 2))
    scale = s / (s**2 + 2) ** 0.5
    far = torch.exp(torch.tensor(-(shift**2) / (2 * (s**2 + 2)), dtype=torch.float64))
    want = 2 * scale * (1 - far)
    found = mmd2(a, b, width=torch.tensor([s], dtype=torch.float64))
    torch.testing.assert_close(found[0], want, rtol=0.05, atol=0)


def _bare(a, b, width):
    """The formula, pair by pair of points."""

    def mean(u, v, same):
        far = (u[:, None] - v).square().sum(2)
        value = torch.exp(-far / (2 * width**2))
        return (value.sum() - same * len(u)) / (len(u) * (len(v) - same))

    return mean(a, a, 1) + mean(b, b, 1) - 2 * mean(a, b, 0)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e7])
@pytest.mark.parametrize("outlier", [0.0, 30.0, 1e6])
def test_mmd_is_the_bare_formula_wherever_the_points_lie(offset, outlier):
    """Products of matrices cancel far from the origin, and an outlier must not spoil the rest."""
    g = draws(4)
    a, b = (torch.randn(2, 30, 3, generator=g, dtype=torch.float64) + offset for _ in range(2))
    a[1, 0] += outlier
    b[0, :2] -= outlier
    width = torch.tensor([0.7, 1.9], dtype=torch.float64)
    found = mmd2(a, b, width=width)
    want = torch.stack([_bare(*row) for row in zip(a, b, width, strict=True)])
    torch.testing.assert_close(found, want, rtol=0, atol=1e-10)


def test_mmd_of_equal_points_is_a_number_and_its_slope_that_of_the_formula():
    same = torch.zeros(1, 5, 2, dtype=torch.float64)
    apart = torch.cat([same, same + 1], 1)
    assert float(mmd2(same, same)) == 0  # the median distance is 0
    assert float(mmd2(same, apart)) == pytest.approx(1 + 4 / 9 - 1)
    g = draws(5)
    a, b = (torch.randn(1, 9, 2, generator=g, dtype=torch.float64) for _ in range(2))
    one, width = a.clone().requires_grad_(), torch.ones(1, dtype=torch.float64)
    two = a.clone().requires_grad_()
    mmd2(one, b, width=width).sum().backward()
    _bare(two[0], b[0], width).sum().backward()
    torch.testing.assert_close(one.grad, two.grad, rtol=0, atol=1e-12)


def test_kl_is_that_of_the_fitted_gaussians():
    g = draws(2)
    a = torch.randn(3, 60, 2, generator=g, dtype=torch.float64)
    b = 1.5 * torch.randn(3, 60, 2, generator=g, dtype=torch.float64) + 0.5
    for i, found in enumerate(gaussian_kl(a, b, shrinkage=0.0)):
        one, two = (
            torch.distributions.MultivariateNormal(s[i].mean(0), torch.cov(s[i].T)) for s in (a, b)
        )
        want = torch.distributions.kl_divergence(one, two)
        torch.testing.assert_close(found, want, rtol=1e-6, atol=1e-6)
    assert (gaussian_kl(a, a).abs() < 1e-9).all()


def test_p_values_are_uniform_under_the_hypothesis_and_small_off_it():
    both = torch.randn(200, 20, 2, generator=draws(3), dtype=torch.float64)
    p = two_sample_p(both[:, :10], both[:, 10:], permutations=99)
    assert kstest(p.numpy(), "uniform").pvalue > 0.01
    assert (two_sample_p(both[:20, :10], both[:20, 10:] + 4, permutations=99) <= 0.02).all()
