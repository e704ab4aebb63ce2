"""Data sets and losses about which everything is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.data import Batches
from holdfast.testing.worlds.linear import draws


@dataclass(frozen=True, eq=False)
class Data:
    """A data set about which everything is known.

    Args:
        batches: what a method sees.
        clean: `(n,)` true labels.
        flipped: `(n,)` bool, rows whose visible label is wrong.
        rule: x -> true labels.
    """

    batches: Batches
    clean: Tensor
    flipped: Tensor
    rule: Callable[[Tensor], Tensor]

    @property
    def x(self) -> Tensor:
        """Inputs `(n, size)`."""
        return self.batches.x  # type: ignore[return-value]

    @property
    def y(self) -> Tensor:
        """Visible labels `(n,)`."""
        return self.batches.y


def separable(rows: int = 128, size: int = 4, gap: float = 0.1, seed: int = 0) -> Data:
    """Two classes with a strip of width `gap` between them: a linear model can be perfect.

    Args:
        rows: how many; fewer may come if the strip leaves fewer of the points drawn.
        size: numbers per row, each in [0, 1].
        gap: width of the empty strip, in units of the inputs.
        seed: of the points and of the direction across the strip.

    Returns:
        The rows with labels 0 and 1, none of them wrong, and the rule behind the labels.
    """
    g = draws(seed)
    x = torch.rand(8 * rows + 64, size, generator=g, dtype=torch.float64)
    way = torch.randn(size, generator=g, dtype=torch.float64)
    way = way / way.norm()
    height = (x - 0.5) @ way
    keep = (height.abs() > gap / 2).nonzero().flatten()[:rows]
    x, y = x[keep], (height[keep] > 0).long()
    return Data(
        Batches(x=x, y=y, size=32),
        y,
        torch.zeros_like(y, dtype=torch.bool),
        lambda points: ((points - 0.5) @ way > 0).long(),
    )


def mixture(rows: int = 128, size: int = 4, flips: float = 0.2, seed: int = 0) -> Data:
    """Two Gaussian classes around 0.35 and 0.65, a known share of whose labels is flipped.

    Args:
        rows: how many.
        size: numbers per row, clamped to [0, 1]; each has standard deviation 0.1 in its class.
        flips: chance of each label to be turned round, in [0, 1].
        seed: of labels, points and flips.

    Returns:
        The rows with the labels that are seen, the true ones, which were flipped, and the rule.
    """
    g = draws(seed)
    y = torch.randint(2, (rows,), generator=g)
    centre = 0.35 + 0.3 * y.double()
    x = centre[:, None] + 0.1 * torch.randn(rows, size, generator=g, dtype=torch.float64)
    flipped = torch.rand(rows, generator=g) < flips
    seen = torch.where(flipped, 1 - y, y)
    data = Batches(x=x.clamp(0, 1), y=seen, size=32)
    return Data(data, y, flipped, lambda points: (points.mean(1) > 0.5).long())


class Bowl(nn.Module):
    """`loss(w) = 1/2 (w - best)' H (w - best)` as a module whose only parameter is w.

    Args:
        hessian: `(d, d)` symmetric matrix H.
        best: `(d,)` where the loss is least, and 0.
        start: `(d,)` the first value of w.
    """

    hessian: Tensor
    best: Tensor

    def __init__(self, hessian: Tensor, best: Tensor, start: Tensor) -> None:
        super().__init__()
        self.register_buffer("hessian", hessian)
        self.register_buffer("best", best)
        self.w = nn.Parameter(start.clone())

    def forward(self, x: Any = None) -> Tensor:
        """The loss, a scalar; the input is ignored."""
        off = self.w - self.best
        return 0.5 * off @ self.hessian @ off


@dataclass(frozen=True, eq=False)
class Quadratic:
    """A bowl whose Hessian, eigenvalues and minimum are known.

    Args:
        model: the bowl, at a drawn start.
        hessian: `(d, d)` its matrix.
        eigenvalues: `(d,)` of the matrix, rising.
        best: `(d,)` where the loss is least.
    """

    model: Bowl
    hessian: Tensor
    eigenvalues: Tensor  # rising
    best: Tensor

    @classmethod
    def make(cls, size: int = 6, seed: int = 0) -> Quadratic:
        """Eigenvalues from 0.1 to 10 along random axes."""
        g = draws(seed)
        values = torch.logspace(-1, 1, size, dtype=torch.float64)
        axes, _ = torch.linalg.qr(torch.randn(size, size, generator=g, dtype=torch.float64))
        hessian = axes @ torch.diag(values) @ axes.T
        best, start = torch.randn(2, size, generator=g, dtype=torch.float64)
        return cls(Bowl(hessian, best, start), hessian, values, best)


def grid(size: int, points: int, low: float = -1.0, high: float = 1.0) -> Tensor:
    """`(points ** size, size)`: all points of a regular grid, for enumeration in tests.

    Args:
        size: coordinates of a point.
        points: values along each of them, both ends among them.
        low: smallest value.
        high: largest value.
    """
    axis = torch.linspace(low, high, points, dtype=torch.float64)
    return torch.tensor(list(product(axis.tolist(), repeat=size)), dtype=torch.float64)
