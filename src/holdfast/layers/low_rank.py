"""Layers whose matrix is the product of three small ones."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LowRank(nn.Module):
    """A linear or convolutional layer with the matrix `U S V^T`, of rank at most r.

    U and V start orthonormal and S diagonal, by the singular values of the layer it replaces: of
    all matrices of that rank, `U S V^T` is then the closest. A convolution is read as the matrix
    (outputs, inputs * height * width). It keeps `r (outputs + inputs + r)` numbers.

    Args:
        layer: the layer to replace; a convolution without groups, padded with zeros.
        rank: r, at most the smaller side of the matrix.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d, rank: int) -> None:
        super().__init__()
        with torch.no_grad():
            u, s, vt = torch.linalg.svd(layer.weight.flatten(1), full_matrices=False)
        self.u = nn.Parameter(u[:, :rank].contiguous())
        self.s = nn.Parameter(torch.diag(s[:rank]))
        self.v = nn.Parameter(vt[:rank].T.contiguous())
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone())
        self.kernel: tuple[int, ...] = tuple(layer.weight.shape[1:])
        self.travel: tuple[Any, Any, Any] | None = None
        if isinstance(layer, nn.Conv2d):
            self.travel = (layer.stride, layer.padding, layer.dilation)

    def matrix(self) -> Tensor:
        """`(outputs, inputs)`: the matrix that the three stand for."""
        return self.u @ self.s @ self.v.T

    def forward(self, x: Tensor) -> Tensor:
        """The layer's answer, through r channels."""
        if self.travel is None:
            return F.linear(F.linear(x, self.v.T), self.u @ self.s, self.bias)
        inner = F.conv2d(x, self.v.T.reshape(-1, *self.kernel), None, *self.travel)
        return F.conv2d(inner, (self.u @ self.s)[:, :, None, None], self.bias)

    @torch.no_grad()
    def orthonormalise(self) -> None:
        """Make the columns of U and V orthonormal, by QR with the signs of R kept in Q."""
        for w in (self.u, self.v):
            q, r = torch.linalg.qr(w)
            w.copy_(q * torch.where(r.diagonal() < 0, -1.0, 1.0).to(q))

    @torch.no_grad()
    def narrow(self, spread: float) -> None:
        """Bring the singular values of S within a factor of each other.

        They are clamped to a band about their mean m whose ends have the ratio `1 + spread`:
        `m (1 +- spread / (2 + spread))`. At spread 0 all of them become m.

        Args:
            spread: largest excess of the condition number of S over 1.
        """
        p, s, q = torch.linalg.svd(self.s)
        half = s.mean() * spread / (2 + spread)
        self.s.copy_((p * s.clamp(s.mean() - half, s.mean() + half)) @ q)

    @torch.no_grad()
    def level(self) -> None:
        """Replace S by the rotation of its QR factors times its root mean square singular value."""
        q, r = torch.linalg.qr(self.s)
        signed = q * torch.where(r.diagonal() < 0, -1.0, 1.0).to(q)
        self.s.copy_(self.s.square().sum().div(len(self.s)).sqrt() * signed)
