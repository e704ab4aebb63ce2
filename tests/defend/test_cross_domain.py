"""Filters against scipy, merges against their limits, the Laplace loss against its minimum."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from holdfast.defend.cross_domain import CrossDomain
from holdfast.layers.domains import InDomain
from holdfast.ops.laplace import by_inverse_variance, entropy_shares, laplace_loss

G = torch.Generator().manual_seed(0)
X = torch.rand(3, 2, 8, 7, generator=G, dtype=torch.float64)


def test_filters_are_scipys() -> None:
    grey = X.mean(1).numpy()
    sobel = np.stack([np.hypot(ndimage.sobel(v, 0, mode="reflect"), ndimage.sobel(v, 1,
                      mode="reflect")) for v in grey])  # fmt: skip
    assert np.allclose(InDomain("sobel")(X)[:, 0].numpy(), sobel, atol=1e-5)
    flat = X.flatten(0, 1).numpy()
    laplace = np.stack([ndimage.laplace(v, mode="reflect") for v in flat])
    assert np.allclose(InDomain("laplace")(X).flatten(0, 1).numpy(), laplace)
    low = np.stack([ndimage.gaussian_filter(v, 1.0, mode="nearest") for v in flat])
    assert np.allclose(InDomain("low-pass")(X).flatten(0, 1).numpy(), low)
    assert torch.allclose(InDomain("sharp")(X) + InDomain("low-pass")(X), 2 * X)
    assert torch.equal(InDomain("raw")(X), X) and InDomain("grey")(X).shape == (3, 1, 8, 7)
    assert InDomain("wavelet")(X).shape == (3, 6, 8, 7)
    assert InDomain("wavelet")(torch.ones(1, 1, 4, 4)).abs().max() == 0


def test_inverse_variance_and_its_limits() -> None:
    means = torch.randn(3, 4, generator=G, dtype=torch.float64)
    same = by_inverse_variance(means, torch.full((3, 4), 0.7).double())
    assert torch.allclose(same.mean, means.mean(0))
    scales = torch.rand(3, 4, generator=G, dtype=torch.float64) + 0.1
    share = scales**-2 / (scales**-2).sum(0)
    found = by_inverse_variance(means, scales)
    assert torch.allclose(found.share, share) and torch.allclose(found.mean, (share * means).sum(0))
    sure = scales.clone()
    sure[1] = 1e-9
    assert torch.allclose(by_inverse_variance(means, sure).mean, means[1])
    assert torch.allclose(
        by_inverse_variance(means, sure).scale, torch.zeros(4).double(), atol=1e-6
    )


def test_laplace_loss_is_least_at_the_mean_error() -> None:
    errors = torch.randn(500, generator=G, dtype=torch.float64)
    best = errors.abs().mean().log()
    at = [laplace_loss(torch.zeros(500), best + d, errors).mean() for d in (-0.05, 0.0, 0.05)]
    assert at[1] < at[0] and at[1] < at[2]
    truth = torch.distributions.Laplace(0.3, 1.7).log_prob(errors)
    ours = laplace_loss(torch.tensor(0.3), torch.tensor(1.7).log(), errors)
    assert torch.allclose(ours, -truth, atol=1e-6)


@pytest.mark.parametrize("merge", ["sureness", "mean", "surest"])
def test_merges(merge: str) -> None:
    z = torch.randn(3, 5, 4, generator=G, dtype=torch.float64)
    nets = tuple(lambda x, k=k: z[k][: len(x)] for k in range(3))
    made = CrossDomain(paths=nets[1:], merge=merge)(nets[0])  # type: ignore[arg-type]
    share = entropy_shares(z)
    if merge == "mean":
        share = torch.full((3, 5), 1 / 3).double()
    if merge == "surest":
        share = (share == share.amax(0)).double()
    truth = (share[..., None] * z.softmax(-1)).sum(0)
    assert torch.allclose(made(torch.zeros(5, 1)).exp(), truth)
    assert torch.equal(CrossDomain()(nets[0])(torch.zeros(5, 1)), z[0])
