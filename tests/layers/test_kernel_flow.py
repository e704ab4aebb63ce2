"""Tangent kernels against wide nets, times per row against gradient flow."""

from itertools import pairwise

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import nn

from holdfast.layers.kernel_flow import KernelFlow
from holdfast.losses.squared import squared_error
from holdfast.ops.tangents import relu_tangent_kernel, time_weights

G = torch.Generator().manual_seed(0)
X = torch.rand(12, 5, generator=G, dtype=torch.float64)
Y = torch.arange(12) % 3


def test_kernel_is_that_of_a_wide_net() -> None:
    width, w, b = 4096, 1.76, 0.18
    g = torch.Generator().manual_seed(3)
    first = nn.Parameter(torch.randn(width, 5, generator=g, dtype=torch.float64))
    last = nn.Parameter(torch.randn(width, generator=g, dtype=torch.float64))
    one = nn.Parameter(torch.randn(width, generator=g, dtype=torch.float64))
    two = nn.Parameter(torch.randn((), generator=g, dtype=torch.float64))
    rows = []
    for x in X[:4]:
        h = torch.relu(w / 5**0.5 * first @ x + b * one)
        out = w / width**0.5 * last @ h + b * two
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(out, (first, last, one,
                                                                              two))]))  # fmt: skip
    empirical = torch.stack(rows) @ torch.stack(rows).T
    closed = relu_tangent_kernel(X[:4], X[:4], depth=1, weight=w, bias=b)
    assert ((empirical - closed).abs() / closed).max() < 0.05


def test_limits_in_time() -> None:
    net = KernelFlow(X, Y, classes=3, start=1e5)
    new = torch.rand(6, 5, generator=G, dtype=torch.float64)
    assert torch.allclose(net(new), net.regression(new), atol=1e-4)
    assert torch.allclose(KernelFlow(X, Y, classes=3)(new), torch.zeros(6, 3).double())
    gaps = [(KernelFlow(X, Y, classes=3, start=t)(new) - net.regression(new)).norm()
            for t in (0.1, 1.0, 10.0, 100.0, 1e4)]  # fmt: skip
    assert all(a > b for a, b in pairwise(gaps))


def test_times_are_those_of_a_gradient_flow() -> None:
    times = torch.rand(12, generator=G, dtype=torch.float64) * 2
    kernel = relu_tangent_kernel(X, X) + 1e-6 * torch.eye(12)
    target = torch.randn(12, 1, generator=G, dtype=torch.float64)
    k, d, y = kernel.numpy(), times.numpy(), target[:, 0].numpy()

    def flow(_: float, c: np.ndarray) -> np.ndarray:  # coefficients; rows at their own pace
        return d * (y - k @ c)

    found = solve_ivp(flow, (0, 1), np.zeros(12), rtol=1e-9, atol=1e-11).y[:, -1]
    assert np.allclose(time_weights(kernel, times, target)[:, 0].numpy(), found, atol=1e-5)


def test_squared_error_and_its_gradient_to_times() -> None:
    z = torch.randn(4, 3, generator=G)
    y = torch.tensor([0, 2, -100, 1])
    own = [0.5 * ((z[i] - torch.eye(3)[k]) ** 2).sum() if k >= 0 else 0.0 for i, k in enumerate(y)]
    assert torch.allclose(squared_error(z, y), torch.tensor([float(v) for v in own]))
    net = KernelFlow(X, Y, classes=3)
    squared_error(net(X), Y).mean().backward()
    assert net.times.grad is not None and (net.times.grad != 0).all()
