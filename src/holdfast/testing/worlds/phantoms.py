"""Phantoms: bodies of ellipses and ellipsoids, as scanners of different kinds show them."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.dice import Dice


def phantoms(count: int, dice: Dice, shape: tuple[int, int, int] = (16, 24, 24)) -> Tensor:
    """`(count, 1, D, H, W)` in [0, 1]: ellipsoids in an ellipsoid, with smooth texture.

    Args:
        count: volumes.
        dice: `count` rows.
        shape: of each volume.
    """
    axes = [torch.linspace(-1, 1, n) for n in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    u = dice.uniform((6, 8))
    out = torch.zeros(count, *shape)
    for k in range(6):
        own = u[:, k, :, None, None, None]
        wide = 0.75 + 0.15 * own[:, 3:6] if k == 0 else 0.12 + 0.3 * own[:, 3:6]
        middle = 0.1 * (own[:, :3] - 0.5) if k == 0 else 1.1 * (own[:, :3] - 0.5)
        inside = ((grid - middle) / wide).square().sum(1) < 1
        level = 0.4 + 0.1 * own[:, 6] if k == 0 else 0.2 + 0.5 * own[:, 6]
        out = torch.where(inside & (out > 0) if k else inside, level, out)
    wave = torch.sin(6 * grid[0] + 9 * grid[1] * u[:, 0, 7, None, None, None] + 5 * grid[2])
    return (out * (1 + 0.05 * wave)).clamp(0, 1)[:, None]


def scanned(x: Tensor, gain: float, blur: float, noise: float, dice: Dice) -> Tensor:
    """Volumes as another scanner shows them: gain, loss of high frequencies, Rician noise.

    Args:
        x: `(B, 1, D, H, W)`.
        gain: factor of all values.
        blur: standard deviation of a Gaussian, in pixels.
        noise: standard deviation of the noise on both parts of the signal.
        dice: one row per volume.
    """
    k = torch.fft.fftn(x, dim=(2, 3, 4))
    for dim in (2, 3, 4):
        f = torch.fft.fftfreq(x.shape[dim])
        fall = torch.exp(-2 * (torch.pi * f * blur) ** 2)
        k = k * fall.reshape([-1 if d == dim else 1 for d in range(5)])
    signal: Tensor = gain * torch.fft.ifftn(k, dim=(2, 3, 4)).real
    n = noise * dice.normal((2, *x.shape[1:]))
    return ((signal + n[:, 0]) ** 2 + n[:, 1] ** 2).sqrt().clamp(0, 1)
