"""A lens that is focused near or far: what lies elsewhere blurs with its distance."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.ops.filters import beyond
from holdfast.shifts.published import Published, Row
from holdfast.shifts.scene import on_scenes

LAYERS = 8
# Apertures: radii in pixels at infinite distance from the focus. Those at 32 pixels are ours.
NEAR = Published(
    none=(0.0,),
    tables={
        32: ((0.6,), (0.8,), (1.0,), (1.2,), (1.4,)),
        224: ((3.0,), (4.0,), (5.0,), (6.0,), (7.0,)),
    },
    lengths=(True,),
    shrinks=False,
)
FAR = Published(
    none=(0.0,),
    tables={
        32: ((0.3,), (0.5,), (0.7,), (0.9,), (1.1,)),
        224: ((1.5,), (2.5,), (3.5,), (4.5,), (5.5,)),
    },
    lengths=(True,),
    shrinks=False,
)


def blurred(x: Tensor, sigma: Tensor) -> Tensor:
    """Images blurred by Gaussians of their own, cut off at 3 sigmas, nearest pixels beyond.

    Args:
        x: `(B, C, H, W)`.
        sigma: `(B,)` in pixels; below 0.1 an image stays as it is.
    """
    longest = max(x.shape[2:])
    sigma = torch.where(sigma < 0.1, 0.0, sigma).clamp(max=longest / 2)
    half = (3 * sigma).ceil()
    reach = int(half.max()) if len(half) else 0
    if not reach:
        return x
    tap = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    weight = torch.exp(-(tap**2) / (2 * sigma[:, None].clamp(min=1e-3) ** 2))
    weight = weight * (tap.abs() <= half[:, None])
    weight = weight / weight.sum(1, keepdim=True)
    down, across = (_axis(n, weight, reach) for n in x.shape[2:])
    return down[:, None] @ x @ across[:, None].transpose(2, 3)


def _axis(n: int, weight: Tensor, reach: int) -> Tensor:
    """`(B, n, n)`: what the blur of each row does to one axis."""
    place = beyond(n, reach, reach, "nearest").unfold(0, n, 1).T.to(weight.device)  # (n, taps)
    matrix = weight.new_zeros(len(weight), n, n)
    each = weight[:, None].expand(len(weight), n, -1)
    return matrix.scatter_add(2, place[None].expand_as(each), each)


def refocused(x: Tensor, depth: Tensor, aperture: float, focus: int) -> Tensor:
    """Images focused at one of nine depths, blended from layers blurred as a whole.

    The quantiles of depth cut the scene into eight slices. At each cut the image is blurred by
    aperture |d - focus| / d; a pixel blends the two cuts around it, with weights one minus the
    square of its distance to each, in units of the slice.

    Args:
        x: `(B, C, H, W)`.
        depth: `(B, 1, H, W)`.
        aperture: in pixels.
        focus: which cut is sharp, 0 the nearest and 8 the farthest.
    """
    flat = depth.flatten(1).contiguous()
    level = torch.linspace(0, 1, LAYERS + 1, device=x.device, dtype=x.dtype)
    cuts = flat.quantile(level, dim=1).T.contiguous()
    sigma = aperture * (cuts - cuts[:, focus : focus + 1]).abs() / cuts.clamp(min=1e-3)
    slice_ = (torch.searchsorted(cuts, flat, right=True) - 1).clamp(0, LAYERS - 1)
    left, right = cuts.gather(1, slice_), cuts.gather(1, slice_ + 1)
    share = ((flat - left) / (right - left).clamp(min=1e-12)).clamp(0, 1)
    low, high = 1 - share**2, 1 - (1 - share) ** 2
    slice_, low, high = (t.reshape(depth.shape) for t in (slice_, low, high))
    out = torch.zeros_like(x)
    for k in range(LAYERS + 1):
        weight = torch.where(slice_ == k, low, 0) + torch.where(slice_ + 1 == k, high, 0)
        out += weight * blurred(x, sigma[:, k])
    return out / (low + high)


@register("shift", cites="3dcc", says="A lens focused on what is near.")
def near_focus(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Keeps what is near sharp and blurs the rest, more the farther it is.

    Args:
        batch: images `(B, C, H, W)` in [0, 1]; `more["depth"]` holds depth in any unit, else a
            plane stands for it.
        severity: in [0, 1]; k / 5 is the published level k.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
        ShapeError: for depth of another size.

    Unlike the paper: blurs reach three standard deviations, not one and a half, so that those
    of less than a pixel are not cut off.
    """

    def change(x: Tensor, depth: Tensor, row: Row, dice: Dice) -> Tensor:
        return refocused(x, depth, row[0], 0)

    return on_scenes(batch, severity, dice, "near-focus", NEAR, change)


@register("shift", cites="3dcc", says="A lens focused on what is far.")
def far_focus(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Keeps what is far sharp and blurs the rest, more the nearer it is.

    Args:
        batch: images `(B, C, H, W)` in [0, 1]; `more["depth"]` holds depth in any unit, else a
            plane stands for it.
        severity: in [0, 1]; k / 5 is the published level k.
        dice: not used; nothing is drawn.

    Raises:
        Unsupported: if the inputs are not images.
        ShapeError: for depth of another size.

    Unlike the paper: blurs reach three standard deviations, not one and a half, so that those
    of less than a pixel are not cut off.
    """

    def change(x: Tensor, depth: Tensor, row: Row, dice: Dice) -> Tensor:
        return refocused(x, depth, row[0], LAYERS - 1)

    return on_scenes(batch, severity, dice, "far-focus", FAR, change)
