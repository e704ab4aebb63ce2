"""Displaced pixels stay inside their boxes and planes, which are attained."""

from __future__ import annotations

import pytest
import torch

from holdfast.ops.bilinear import displaced, displaced_box, planes
from holdfast.ops.fields import lower_on_fields, lower_on_smooth_fields

ORDERS = (torch.inf, 2.0, 1.0)


def images(seed: int = 0, size: int = 6) -> torch.Tensor:
    return torch.rand(1, 2, size, size, generator=torch.Generator().manual_seed(seed)).double()


def draws(order: float, reach: float, count: int, seed: int = 0) -> torch.Tensor:
    """Displacements `(n, 2)` of the ball, its border and its corners included."""
    g = torch.Generator().manual_seed(seed)
    v = (2 * torch.rand(count, 2, generator=g).double() - 1) * reach
    size = torch.linalg.vector_norm(v, order, dim=1, keepdim=True)
    edge = v / size * reach
    return torch.cat([v[size[:, 0] <= reach], edge])


def moved(x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """`(n, C, H, W)`: all pixels of one image moved alike, once per displacement."""
    many, full = x.expand(len(v), -1, -1, -1), (len(v), *x.shape[2:])
    return displaced(many, v[:, 0, None, None].expand(full), v[:, 1, None, None].expand(full))


def naive(x: torch.Tensor, u: float, w: float) -> torch.Tensor:
    """The value of every pixel read at (column + u, row + w), by the definition."""
    out = torch.zeros_like(x)
    height, width = x.shape[2:]
    for i in range(height):
        for j in range(width):
            for r in range(height):
                for c in range(width):
                    weight = max(0, 1 - abs(i + w - r)) * max(0, 1 - abs(j + u - c))
                    out[:, :, i, j] += weight * x[:, :, r, c]
    return out


@pytest.mark.parametrize(("u", "w"), [(0.0, 0.0), (0.3, -0.8), (1.0, -2.0), (-1.4, 2.6)])
def test_displaced_is_bilinear_interpolation(u: float, w: float) -> None:
    x = images()
    flat = torch.ones(1, 6, 6).double()
    assert torch.allclose(displaced(x, u * flat, w * flat), naive(x, u, w), atol=1e-12)
    filled = displaced(x, u * flat, w * flat, 0.5)
    assert torch.allclose(filled, naive(x - 0.5, u, w) + 0.5, atol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("reach", [0.3, 0.7, 1.4])
def test_boxes_hold_and_are_attained(order: float, reach: float) -> None:
    x = images(3)
    box = displaced_box(x, reach, order)
    # The vertices of the diamond, and axis directions of the disc, are points of their own.
    special = reach * torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]]).double()
    if order == torch.inf:
        special = reach * torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]).double()
    points = torch.cat([draws(order, reach, 20000), special])
    whole = torch.cartesian_prod(torch.arange(-1, 2), torch.arange(-1, 2)).double()
    whole = whole[torch.linalg.vector_norm(whole, order, dim=1) <= reach]
    value = moved(x, torch.cat([points, whole]))
    low, high = value.amin(0), value.amax(0)
    assert bool((box.low <= low).all()) and bool((box.high >= high).all())
    loose = max(float((low - box.low).max()), float((box.high - high).max()))
    assert loose < 2e-3 + (0.02 if order == torch.inf else 0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("reach", [0.4, 1.3])
def test_planes_hold(order: float, reach: float) -> None:
    x = images(4)
    found = planes(x, reach, order, flat=False)
    box = displaced_box(x, reach, order)
    v = draws(order, reach, 5000)
    value, (right, down) = moved(x, v), v[:, :, None, None, None].unbind(1)
    slope = right * found.slope[0] + down * found.slope[1]
    assert bool((found.low + slope <= value).all())
    assert bool((value <= found.high + slope).all())
    if reach < 1:  # within one square a plane is closer than a box
        assert float((found.high - found.low).mean()) < float((box.high - box.low).mean())


@pytest.mark.parametrize("order", ORDERS)
def test_minima_over_fields(order: float) -> None:
    g = torch.Generator().manual_seed(1)
    c = torch.randn(3, 2, 4, 5, generator=g).double()
    reach, smooth = 0.6, 0.1
    free = lower_on_fields(c, reach, order)
    if order == torch.inf:
        assert torch.allclose(free, -reach * c.abs().sum((1, 2, 3)), rtol=1e-12)
    tied = lower_on_smooth_fields(c, reach, order, smooth)
    rigid = lower_on_smooth_fields(c, reach, order, 0.0)
    loose = lower_on_smooth_fields(c, reach, order, 10.0)
    assert bool((free <= tied).all()) and bool((tied <= rigid + 1e-9).all())
    assert torch.allclose(loose, free, rtol=1e-9)
    if order == torch.inf:  # a field that is the same everywhere
        exact = -reach * c.sum((2, 3)).abs().sum(1)
        assert torch.allclose(rigid, exact, rtol=1e-9)
    whole = -reach * torch.linalg.vector_norm(c.sum((2, 3)), 2, dim=1)
    if order == 2:
        assert bool((rigid <= whole + 1e-12).all())
