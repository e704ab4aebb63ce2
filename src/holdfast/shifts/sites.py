"""How pictures of one kind differ between sites: stains, and the amplitudes of their spectra."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.shifts.published import Published, Row, on_images

JITTER = Published(none=(0.0, 0.0), tables={224: tuple((0.1 * k, 0.02 * k) for k in range(1, 6))})
# Light that haematoxylin and eosin take out of red, green and blue.
STAINS = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11))
DARKEST = 1 / 255


def stains() -> Tensor:
    """`(3, 3)` float64: haematoxylin, eosin, and what neither is, rows of length 1."""
    h, e = (torch.tensor(v, dtype=torch.float64) for v in STAINS)
    rows: Tensor = torch.stack([h, e, torch.linalg.cross(h, e)])
    length: Tensor = rows.norm(dim=1, keepdim=True)
    return rows / length


@register("shift", cites="medical-dg-survey", says="Stains of another strength.")
def stain_jitter(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Scales and shifts how much of each stain a picture holds, as another laboratory would.

    Optical density (minus the logarithm of the light that is left) is a sum of stains; the
    amount of each gets a factor in [1 - s, 1 + s] and a shift in [-b, b], drawn per image. At
    severity 1, s is 0.5 and b is 0.1. Images of other than three channels have one stain per
    channel.

    Args:
        batch: images `(B, C, H, W)` in [0, 1].
        severity: in [0, 1].
        dice: one row per image.

    Raises:
        Unsupported: if the inputs are not images.
    """

    def change(x: Tensor, row: Row, dice: Dice) -> Tensor:
        u = 2 * dice.uniform((2, x.shape[1]), device=x.device, dtype=x.dtype) - 1
        density = -x.clamp(min=DARKEST).log()
        basis = (stains() if x.shape[1] == 3 else torch.eye(x.shape[1])).to(x)
        amounts = torch.einsum("bchw,ck->bkhw", density, torch.linalg.inv(basis))
        more = row[0] * u[:, 0, :, None, None] * amounts + row[1] * u[:, 1, :, None, None]
        return x * torch.exp(-torch.einsum("bkhw,kc->bchw", more, basis))

    return on_images(batch, severity, dice, "stain-jitter", JITTER, change)


def amplitude_mix(x: Tensor, other: Tensor, share: float) -> Tensor:
    """Images with the phases of their own spectrum and amplitudes partly of others'.

    Amplitudes hold the look of a scanner, phases what is seen.

    Args:
        x: `(B, C, H, W)`.
        other: images of another site, of the same form.
        share: of the others' amplitudes, in [0, 1]; at 0 nothing changes.
    """
    k, away = (torch.fft.fft2(v) for v in (x, other))
    mixed = torch.polar((1 - share) * k.abs() + share * away.abs(), k.angle())
    found: Tensor = torch.fft.ifft2(mixed).real
    return found


def style_mix(features: Tensor, order: Tensor, share: Tensor) -> Tensor:
    """Feature maps whose means and deviations are partly those of other rows (MixStyle).

    Args:
        features: `(B, C, H, W)`.
        order: `(B,)` the row whose statistics are mixed into each.
        share: `(B,)` of the row's own statistics, in [0, 1].
    """
    mean = features.mean((2, 3), keepdim=True)
    spread = (features.var((2, 3), keepdim=True, unbiased=False) + 1e-6).sqrt()
    s = share[:, None, None, None]
    still = (features - mean) / spread
    return still * (s * spread + (1 - s) * spread[order]) + s * mean + (1 - s) * mean[order]
