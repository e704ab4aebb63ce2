"""Small nets: one whose linear pieces are enumerated, one that sees images."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.goal import Untargeted
from holdfast.testing.worlds.linear import draws, linear_layer


@dataclass(frozen=True, eq=False)
class TinyReLU:
    """A net with one hidden layer, two inputs and so few units that every pattern is enumerated.

    For each activation pattern the net is linear on a polygon; the worst margin in a box or any
    convex polygon is attained at a vertex of one of these polygons.

    Args:
        model: linear, ReLU, linear: `(B, 2)` to `(B, 3)`, float64.
        x: `(B, 2)` inputs.
        y: `(B,)` labels, the answers of the model.
    """

    model: nn.Sequential
    x: Tensor
    y: Tensor

    @classmethod
    def make(cls, hidden: int = 5, rows: int = 8, seed: int = 0) -> TinyReLU:
        """Random weights; inputs in [0.3, 0.7]; labels are the model's answers."""
        g = draws(seed)
        first = 3 * torch.randn(hidden, 2, generator=g, dtype=torch.float64)
        bend = -first @ torch.full((2,), 0.5, dtype=torch.float64)
        bend = bend + 0.3 * torch.randn(hidden, generator=g, dtype=torch.float64)
        last = torch.randn(3, hidden, generator=g, dtype=torch.float64)
        model = nn.Sequential(
            linear_layer(first, bend), nn.ReLU(), linear_layer(last, torch.zeros(3))
        )
        x = 0.3 + 0.4 * torch.rand(rows, 2, generator=g, dtype=torch.float64)
        with torch.no_grad():
            y = model(x).argmax(1)
        return cls(model, x, y)

    @property
    def goal(self) -> Untargeted:
        """Any other class."""
        return Untargeted(self.y)

    def corners(self, row: int, radius: float, order: float = torch.inf) -> Tensor:
        """`(M, 2)`: all vertices of the linear pieces within the ball of one row, order 1 or inf.

        They are intersections of two lines out of the kinks of the units and the four sides.
        """
        first: Any = self.model[0]
        side = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) if order == 1 else torch.eye(2)
        side, centre = side.double(), self.x[row]
        a = torch.cat([first.weight.detach(), side, side])
        b = torch.cat([-first.bias.detach(), side @ centre - radius, side @ centre + radius])
        i, j = torch.combinations(torch.arange(len(b))).T
        pairs, values = torch.stack([a[i], a[j]], 1), torch.stack([b[i], b[j]], 1)
        solid = torch.linalg.det(pairs).abs() > 1e-12
        points = torch.linalg.solve(pairs[solid], values[solid])
        far = torch.linalg.vector_norm(points - centre, ord=order, dim=1)
        kept: Tensor = points[far <= radius + 1e-12]
        return kept

    def rim(self, row: int, radius: float) -> Tensor:
        """`(M, 2)`: where a margin may be largest in the Euclidean ball of one row.

        Vertices of the pieces inside, kinks on the circle, and on it the way that each margin
        rises on each piece.
        """
        first: Any = self.model[0]
        last: Any = self.model[2]
        centre = self.x[row]
        a, b = first.weight.detach(), -first.bias.detach()
        size = a.norm(dim=1, keepdim=True)
        foot = (b[:, None] / size - (a / size) @ centre[:, None]) * a / size
        half = (radius**2 - foot.square().sum(1, keepdim=True)).clamp(min=0).sqrt()
        along = torch.stack([-a[:, 1], a[:, 0]], 1) / size * half
        signs = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=a.dtype)] * len(a))
        weight = last.weight.detach()
        up = ((weight[:, None] - weight)[:, :, None] * signs).flatten(0, 2) @ a
        up = up[up.norm(dim=1) > 0]
        ways = torch.cat([foot + along, foot - along, radius * up / up.norm(dim=1, keepdim=True)])
        points = torch.cat([self.corners(row, radius), centre + ways])
        kept: Tensor = points[(points - centre).norm(dim=1) <= radius + 1e-12]
        return kept

    def worst(self, radius: float, order: float = torch.inf) -> Tensor:
        """`(B,)`: exact largest margin in the ball of order 1, 2 or inf (inside the box)."""
        found = []
        with torch.no_grad():
            for row in range(len(self.x)):
                points = self.rim(row, radius) if order == 2 else self.corners(row, radius, order)
                goal = Untargeted(self.y[row].expand(len(points)))
                found.append(goal(self.model(points)).max())
        return torch.stack(found)


def deep_relu(*widths: int, scale: float = 0.4, seed: int = 0) -> nn.Sequential:
    """Linear layers of these widths with ReLUs between them, normal weights of a given scale.

    Args:
        widths: of the layers, from the inputs to the outputs: at least two.
        scale: standard deviation of weights and biases.
        seed: of the weights.
    """
    g = draws(seed)
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers += [nn.Linear(wide, narrow, dtype=torch.float64), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(scale * torch.randn(p.shape, generator=g, dtype=torch.float64))
    return model


class Net(nn.Module):
    """A small convolutional net with batch normalisation, in evaluation mode."""

    def __init__(self, classes: int, side: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * (side // 2) ** 2, classes)

    def forward(self, x: Tensor) -> Tensor:
        z = torch.relu(self.norm(self.conv(x)))
        z = torch.nn.functional.avg_pool2d(z, 2)
        out: Tensor = self.head(z.flatten(1))
        return out


@dataclass(frozen=True, eq=False)
class Images:
    """Tiny images and an untrained net with parameters, buffers and several classes.

    Args:
        model: the net, in evaluation mode, `(B, 1, side, side)` to `(B, K)`, float64.
        x: images in [0, 1].
        y: `(B,)` labels, the answers of the model.
    """

    model: nn.Module
    x: Tensor
    y: Tensor

    @classmethod
    def make(cls, rows: int = 8, side: int = 6, classes: int = 5, seed: int = 0) -> Images:
        """Random images in [0, 1]; labels are the model's answers."""
        g = draws(seed)
        model = Net(classes, side).double().eval()
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(torch.randn(p.shape, generator=g, dtype=torch.float64))
            x = torch.rand(rows, 1, side, side, generator=g, dtype=torch.float64)
            y = model(x).argmax(1)
        return cls(model, x, y)

    @property
    def goal(self) -> Untargeted:
        """Any other class."""
        return Untargeted(self.y)
