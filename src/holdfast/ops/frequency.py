"""Images by their frequencies: masks of the centred spectrum, bands of noise, swapped phases."""

from __future__ import annotations

import torch
from torch import Tensor


def square_window(height: int, width: int, cutoff: float) -> Tensor:
    """`(H, W)` bool: the middle of a centred spectrum, a share of each side wide.

    All of it at 1 (for even sides), nothing where the share is less than two frequencies.
    """
    sides = []
    for side in (height, width):
        half, place = int(cutoff * side / 2), torch.arange(side) - side // 2
        sides.append((place >= -half) & (place < half))
    return sides[0][:, None] & sides[1]


def distance(height: int, width: int) -> Tensor:
    """`(H, W)` float64: frequency of each place of a centred spectrum, in cycles per image."""
    down, across = (torch.arange(n, dtype=torch.float64) - n // 2 for n in (height, width))
    far: Tensor = (down[:, None] ** 2 + across**2).sqrt()
    return far


def filtered(x: Tensor, mask: Tensor) -> Tensor:
    """Images `(B, C, H, W)` of which only some frequencies are left; not clipped.

    Args:
        x: images, of float32 or float64.
        mask: `(H, W)` or `(B, 1, H, W)`, of the centred spectrum; 1 keeps, 0 removes.
    """
    spectrum = torch.fft.fftshift(torch.fft.fft2(x), dim=(-2, -1))
    kept = torch.fft.ifftshift(spectrum * mask.to(x.device), dim=(-2, -1))
    out: Tensor = torch.fft.ifft2(kept).real.to(x.dtype)
    return out


def bandpass(x: Tensor, cutoff: float, *, low: bool = True) -> Tensor:
    """Images with the frequencies inside a square window alone, or without them; not clipped.

    Args:
        x: images `(B, C, H, W)`.
        cutoff: in [0, 1]; of a low pass the share of each side that is kept, of a high pass one
            less the share that is removed. So both keep everything at 1, and
            `bandpass(x, c) + bandpass(x, 1 - c, low=False)` is x.
        low: whether low frequencies are kept.
    """
    mask = square_window(x.shape[2], x.shape[3], cutoff if low else 1 - cutoff)
    return filtered(x, mask if low else ~mask)


def octave(height: int, width: int, number: int) -> Tensor:
    """`(H, W)` bool: frequencies from `2^(number - 1/2)` to `2^(number + 1/2)` cycles per image."""
    far = distance(height, width)
    return (far >= 2 ** (number - 0.5)) & (far < 2 ** (number + 0.5))


def octave_noise(noise: Tensor, number: int) -> Tensor:
    """White noise `(B, C, H, W)` cut to one octave and brought back to a spread of 1 per image."""
    cut = filtered(noise, octave(noise.shape[2], noise.shape[3], number))
    return cut / cut.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)


def conflict(form: Tensor, surface: Tensor) -> Tensor:
    """Images with the phases of one image and the amplitudes of another, clipped to [0, 1].

    Phases carry where edges are, amplitudes how much of each frequency there is.

    Args:
        form: images `(B, C, H, W)` that give the phases.
        surface: images that give the amplitudes.
    """
    phase = torch.fft.fft2(form).angle()
    mixed = torch.polar(torch.fft.fft2(surface).abs(), phase)
    out: Tensor = torch.fft.ifft2(mixed).real.clamp(0, 1).to(form.dtype)
    return out
