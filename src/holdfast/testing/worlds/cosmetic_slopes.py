"""Cosmetic defences that spoil slopes from inside: winners that jump, slopes turned round."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.testing.worlds.cosmetic import Wrapped


class Winners(nn.Module):
    """Keeps the largest `share` of the activations of a row, the rest become zero."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Winners keep their values; who wins jumps with the input."""
        flat = x.flatten(1)
        least = flat.topk(max(1, round(self.share * flat.shape[1])), 1).values[:, -1:]
        return (flat * (flat >= least)).reshape(x.shape)


class KWinners(Wrapped):
    """The base with each ReLU replaced by k-winners-take-all, a share `strength` of them."""

    def __init__(self, base: nn.Module, strength: float = 0.3) -> None:
        super().__init__(copy.deepcopy(base), strength)
        _replace(self.base, strength)

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.base(x)
        return z


def _replace(module: nn.Module, share: float) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.ReLU):
            setattr(module, name, Winners(share))
        else:
            _replace(child, share)


class _Turned(torch.autograd.Function):
    """Passes values on and turns slopes round."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return -slope


class Reversed(Wrapped):
    """The right answers with slopes that lead the wrong way."""

    def forward(self, x: Tensor) -> Tensor:
        turned: Any = _Turned.apply(x)  # type: ignore[no-untyped-call]
        z: Tensor = self.base(turned)
        return z
