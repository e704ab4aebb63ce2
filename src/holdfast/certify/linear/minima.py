"""Minima of linear functions on a region in float32, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.certify.linear.region import Region

SMALL = 1e-30  # keeps a quotient of two zeros zero


@dataclass(frozen=True, eq=False)
class Minima:
    """Of `a . x` over each row's region; of its box and its ball, the one that says more.

    Args:
        region: the regions; of a box only that it is one counts.
        centre: `(B, 1, ...)` of the box.
        half: `(B, 1, ...)` half widths of the box.
    """

    region: Region
    centre: Tensor
    half: Tensor

    @staticmethod
    def of(region: Region) -> Minima:
        """Those of a region."""
        low, high = (end.float()[:, None] for end in region.box)
        return Minima(region, (low + high) / 2, (high - low) / 2)

    def take(self, rows: Tensor) -> Minima:
        """Those of a selection of rows."""
        region = self.region if self.region.radius is None else self.region.take(rows)
        return Minima(region, self.centre[rows], self.half[rows])

    def value(self, a: Tensor) -> Tensor:
        """The minima of linear functions on the region."""
        flat = a.flatten(2)
        value = flat @ self.centre.flatten(2).mT - flat.abs() @ self.half.flatten(2).mT
        if self.region.radius is None:
            return value.squeeze(2)
        ball = (a * self._edge(a)).flatten(2).sum(2)
        return torch.maximum(value.squeeze(2), ball)

    def _edge(self, a: Tensor) -> Tensor:
        """Where linear functions are least on the ball of the region."""
        region, flat = self.region, a.flatten(2)
        if region.norm == 1:
            at = flat.abs().argmax(2, keepdim=True)
            way = torch.zeros_like(flat).scatter_(2, at, flat.gather(2, at).sign())
        else:
            dual = region.norm / (region.norm - 1)
            size = torch.linalg.vector_norm(flat, ord=dual, dim=2, keepdim=True)
            way = flat.sign() * (flat.abs() / size.clamp(min=SMALL)) ** (dual - 1)
        radius = region.radius[:, None, None].float()  # type: ignore[index]
        return region.centre.float()[:, None] - (way * radius).reshape(a.shape)

    def where(self, a: Tensor) -> Tensor:
        """Where linear functions are least on the region."""
        x = torch.addcmul(self.centre, a.sign(), self.half, value=-1)
        if self.region.radius is None:
            return x
        other = self._edge(a)
        nearer = (a * other).flatten(2).sum(2) > (a * x).flatten(2).sum(2)
        return torch.where(nearer.reshape(*nearer.shape, *[1] * (a.dim() - 2)), other, x)
