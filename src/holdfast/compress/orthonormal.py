"""Filters that keep the length of what passes through them: how far they are, and how to start."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from holdfast.compress.sites import output_axis, sites


def filters(model: nn.Module) -> list[Tensor]:
    """Each weight of a linear or convolutional layer as `(units, fan-in)`, never more rows.

    A wide matrix cannot have more orthonormal rows than columns; its columns stand for them.
    """
    found = []
    for weight in sites(model).values():
        rows = weight.movedim(output_axis(model, weight), 0).flatten(1)
        found.append(rows if rows.shape[0] <= rows.shape[1] else rows.T)
    return found


def deviation(model: nn.Module) -> Tensor:
    """Half the sum of `|W W^T - I|^2` over all filters; its gradient in W is `2 (W W^T - I) W`."""
    total = []
    for w in filters(model):
        total.append((w @ w.T - torch.eye(len(w)).to(w)).square().sum() / 2)
    return torch.stack(total).sum()


@torch.no_grad()
def make_orthonormal(model: nn.Module, generator: torch.Generator) -> None:
    """Gives every linear and convolutional layer random orthonormal filters, in place.

    Args:
        model: changed; biases stay.
        generator: draws on the CPU.
    """
    for weight in sites(model).values():
        axis = output_axis(model, weight)
        like = weight.movedim(axis, 0)
        units, fan = like.shape[0], prod(like.shape[1:])
        drawn = torch.randn(max(units, fan), min(units, fan), generator=generator).double()
        basis, upper = torch.linalg.qr(drawn)
        basis = basis * upper.diagonal().sign()  # so that all of them are equally likely
        rows = basis.T if units <= fan else basis
        weight.copy_(rows.reshape(like.shape).movedim(0, axis).to(weight))
