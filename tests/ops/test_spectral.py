"""Verified norms and eigenvalues against library values: never on the wrong side, and close."""

import pytest
import torch

from holdfast.ops.spectral import least_eigenvalue, spectral_norm_above

G = torch.Generator().manual_seed(0)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=G, dtype=torch.float64)


@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (3, 5), (40, 30), (30, 40), (4, 6, 5)])
@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_the_norm_lies_just_above_the_largest_singular_value(shape, scale) -> None:
    a = random(*shape) * scale
    exact = torch.linalg.svdvals(a / scale).amax(-1) * scale
    found = spectral_norm_above(a)
    assert bool((found >= exact).all()) and bool((found <= exact * (1 + 1e-9)).all())


def test_a_projector_has_norm_one_whatever_its_rank() -> None:
    q = torch.linalg.qr(random(20, 20)).Q
    found = spectral_norm_above(q[:, :3] @ q[:, :3].T)
    assert 1 - 1e-14 <= float(found) <= 1 + 1e-10


def test_complex_matrices_count_as_real_ones_of_twice_the_size() -> None:
    a = torch.complex(random(6, 4), random(6, 4))
    exact = float(torch.linalg.svdvals(a)[0])
    assert exact <= float(spectral_norm_above(a)) <= exact * (1 + 1e-10)


def test_the_least_eigenvalue_is_never_above_the_truth() -> None:
    for n in (1, 2, 9, 40):
        h = random(n, n)
        h = h + h.T
        exact = float(torch.linalg.eigvalsh(h)[0])
        found = float(least_eigenvalue(h))
        assert exact - 1e-8 * n <= found <= exact + 1e-15
    singular = torch.ones(5, 5, dtype=torch.float64)
    assert -1e-11 <= float(least_eigenvalue(singular)) <= 0


def test_what_is_not_finite_is_not_known() -> None:
    for bad in (float("nan"), float("inf")):
        a = torch.eye(3, dtype=torch.float64)
        a[1, 0] = bad
        assert float(spectral_norm_above(a)) == torch.inf
        assert float(least_eigenvalue(a)) == -torch.inf
    assert float(spectral_norm_above(torch.zeros(0, 3, dtype=torch.float64))) == 0
    assert float(spectral_norm_above(torch.zeros(3, 3, dtype=torch.float64))) < 1e-200
