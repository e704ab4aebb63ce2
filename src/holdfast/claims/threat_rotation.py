"""Turning by a quarter and shifting by whole pixels only move pixels: the exact result is known."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.threats.affine import Affine, Rotation, Translation

SIDE = 8


class _Clockwise(Rotation):
    """Bug: turns the other way."""

    def inverse(self, x: Tensor, change: Tensor) -> Tensor:
        return super().inverse(x, -change)


class _Corner(Rotation):
    """Bug: turns about the middle of the pixel in the corner instead of the centre."""

    def inverse(self, x: Tensor, change: Tensor) -> Tensor:
        to = torch.eye(3, dtype=x.dtype)
        to[:2, 2] = 1 - 1 / SIDE
        turned: Tensor = torch.linalg.inv(to) @ super().inverse(x, change) @ to
        return turned


class _Radians(Rotation):
    """Bug: takes degrees for radians."""

    def inverse(self, x: Tensor, change: Tensor) -> Tensor:
        return super().inverse(x, change * 180 / torch.pi)


class _Swapped(Translation):
    """Bug: what should go right goes down."""

    def inverse(self, x: Tensor, change: Tensor) -> Tensor:
        return super().inverse(x, change.flip(1))


class _Halved(Translation):
    """Bug: forgets that coordinates run over a length of two."""

    def inverse(self, x: Tensor, change: Tensor) -> Tensor:
        return super().inverse(x, change / 2)


MUTANTS: dict[str, type[Affine]] = {
    "turns-clockwise": _Clockwise, "turns-about-a-corner": _Corner, "takes-radians": _Radians,
    "swaps-the-axes": _Swapped, "shifts-by-half": _Halved,
}  # fmt: skip


def _shifted(x: Tensor, right: int, down: int) -> Tensor:
    """Pixels moved one by one; what comes from outside is black."""
    y = torch.zeros_like(x)
    for row in range(SIDE):
        for column in range(SIDE):
            if 0 <= row - down < SIDE and 0 <= column - right < SIDE:
                y[..., row, column] = x[..., row - down, column - right]
    return y


def trial(seed: int, mutant: str = "") -> Trial:
    """Random images: quarter, half and three quarter turns, and all shifts by up to two pixels."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(2, 2, SIDE, SIDE, generator=g, dtype=torch.float64)
    bug = MUTANTS.get(mutant, Affine)
    turn = (bug if issubclass(bug, Rotation) else Rotation)(degrees=270.0)
    shift = (bug if issubclass(bug, Translation) else Translation)(share=2 / SIDE)
    off = 0.0
    for quarters in (-3, -2, -1, 1, 2, 3):
        seen = turn.apply(x, torch.full((2, 1), quarters / 3, dtype=torch.float64))
        off = max(off, float((seen - torch.rot90(x, quarters, (2, 3))).abs().max()))
    for right in range(-2, 3):
        for down in range(-2, 3):
            change = torch.tensor([[right / 2, down / 2]], dtype=torch.float64).expand(2, 2)
            seen = shift.apply(x, change)
            off = max(off, float((seen - _shifted(x, right, down)).abs().max()))
    return Trial(off, 1e-12, off <= 1e-12)


CLAIM = Claim(
    paper="threat:rotation",
    methods=("threat:rotation", "threat:translation"),
    says="Quarter turns and shifts by whole pixels give exactly the pixels moved one by one.",
    left="largest difference of a pixel over 6 turns and 25 shifts",
    right="1e-12, rounding",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=tuple(MUTANTS),
    seconds=2,
)
