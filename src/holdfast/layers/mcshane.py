"""The function of least slope through given points."""

from __future__ import annotations

from math import inf
from typing import Literal

import torch
from torch import Tensor, nn

from holdfast.core.ranges import inside, one_of

ORDERS = {"l1": 1.0, "l2": 2.0, "linf": inf}


class McShane(nn.Module):
    """`f(x) = min_i (y_i + slope * distance(x, x_i))`, one output.

    It has the Lipschitz constant `slope` exactly, as a minimum of functions that have it; and it
    passes through every point if no two of them force more, because then the minimum at x_i is
    taken at i.

    Args:
        x: `(n, ...)` points.
        y: `(n,)` values.
        slope: Lipschitz constant, at least that of `measure:interpolation-lipschitz`.
        norm: of the distance.

    Raises:
        ConfigError: for an unknown norm or a slope that is negative or not finite.
    """

    def __init__(
        self, x: Tensor, y: Tensor, slope: float, *, norm: Literal["l1", "l2", "linf"] = "l2"
    ) -> None:
        super().__init__()
        one_of(ORDERS, "McShane", norm=norm)
        inside("[0, inf)", "McShane", slope=slope)
        self.order, self.slope = ORDERS[norm], slope
        self.register_buffer("points", x.detach().double().flatten(1))
        self.register_buffer("values", y.detach().double())

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 1)`: the value at each row."""
        points: Tensor = self.points  # type: ignore[assignment]
        values: Tensor = self.values  # type: ignore[assignment]
        far = torch.cdist(x.double().flatten(1), points, p=self.order,
                          compute_mode="donot_use_mm_for_euclid_dist")  # fmt: skip
        least: Tensor = (values + self.slope * far).amin(1, keepdim=True)
        return least
