"""What goes wrong in a magnetic resonance scanner, artefact by artefact."""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.ops.batch import fit
from holdfast.ops.mri import space

Change = Callable[[Tensor, float, Dice], Tensor]
PHASE = -2  # axis along which frequencies are measured one after another


def _axis(x: Tensor, dim: int, values: Tensor) -> Tensor:
    """`(n,)` or `(B, n)` values laid along one axis."""
    shape = [1] * x.dim()
    shape[dim] = x.shape[dim]
    if values.dim() == 2:
        shape[0] = len(values)
    return values.reshape(shape)


def _spectrum(x: Tensor) -> Tensor:
    k: Tensor = torch.fft.fftn(x, dim=space(x))
    return k


def _image(k: Tensor) -> Tensor:
    x: Tensor = torch.fft.ifftn(k, dim=space(k)).abs()
    return x


def _moved(x: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """Every slice turned and moved: `(B,)` radians and pixels along the phase direction."""
    flat = x.flatten(1, -3)
    c, s, o = angle.cos(), angle.sin(), torch.zeros_like(angle)
    down = 2 * shift / x.shape[-2]
    theta = torch.stack([torch.stack([c, -s, o], -1), torch.stack([s, c, down], -1)], -2)
    grid = F.affine_grid(theta, list(flat.shape), align_corners=False)
    return F.grid_sample(flat, grid, padding_mode="border", align_corners=False).reshape(x.shape)


def _motion(x: Tensor, t: float, dice: Dice) -> Tensor:
    """A share of the lines comes from after a move: t pixels and t degrees."""
    sign = torch.where(dice.uniform(device=x.device) < 0.5, -1.0, 1.0).to(x)
    moved = _moved(x, sign * t * pi / 180, sign * t)
    late = dice.uniform((x.shape[PHASE],), device=x.device) < 0.04 * t
    late[:, 0] = False  # the mean stays
    return _image(torch.where(_axis(x, PHASE, late), _spectrum(moved), _spectrum(x)))


def _ghosting(x: Tensor, t: float, dice: Dice) -> Tensor:
    """Every second line is weaker: a fainter copy half an image away."""
    line = torch.arange(x.shape[PHASE], device=x.device)
    return _image(_spectrum(x) * _axis(x, PHASE, 1 - 0.1 * t * (line % 2).to(x)))


def _herringbone(x: Tensor, t: float, dice: Dice) -> Tensor:
    """Up to t spikes at random frequencies: stripes over the whole image."""
    k = _spectrum(x)
    flat = k.reshape(len(x), x.shape[1], -1)
    height = 0.5 * x.flatten(2).mean(2) * flat.shape[2]
    place = dice.integers(max(flat.shape[2] - 1, 1), (5,), device=x.device) + min(
        1, flat.shape[2] - 1
    )
    power = (t - torch.arange(5, device=x.device)).clamp(0, 1).to(x)
    spikes = power * height[:, :, None]
    flat = flat.scatter_add(2, place[:, None].expand(-1, x.shape[1], -1), spikes.to(k.dtype))
    out: Tensor = torch.fft.ifftn(flat.reshape(k.shape), dim=space(x)).real
    return out


def _gibbs(x: Tensor, t: float, dice: Dice) -> Tensor:
    """High frequencies were not measured: ringing at edges."""
    radius = torch.zeros((), device=x.device, dtype=x.dtype)
    for dim in space(x):
        radius = (
            radius
            + _axis(x, dim, (2 * torch.fft.fftfreq(x.shape[dim], device=x.device)).to(x)) ** 2
        )
    radius = radius / radius.amax().clamp(min=1e-12)
    return _image(_spectrum(x) * (radius.sqrt() <= 1 - 0.12 * t + 1e-6))


def _susceptibility(x: Tensor, t: float, dice: Dice) -> Tensor:
    """The field bends: lines are displaced smoothly, squeezed where bright, and void in a spot."""
    flat = x.flatten(1, -3)
    h, w = flat.shape[2:]
    u = dice.uniform((4,), device=x.device, dtype=x.dtype)
    i, j = (torch.linspace(-1, 1, n, device=x.device, dtype=x.dtype) for n in (h, w))
    wave = torch.sin(
        pi * (i[None, :, None] * (0.5 + u[:, 0, None, None]) + 2 * u[:, 1, None, None])
    )
    bend = 0.02 * t * wave * torch.cos(pi / 2 * j)
    grid = torch.stack([j.expand(h, w).expand_as(bend), i[:, None] + bend], -1)
    moved = F.grid_sample(flat, grid, padding_mode="border", align_corners=True)
    slope = torch.gradient(bend, dim=1)[0] * max(h - 1, 1) / 2 if h > 1 else torch.zeros_like(bend)
    spot = (i[:, None] - u[:, 2, None, None] + 0.5) ** 2 + (j - u[:, 3, None, None] + 0.5) ** 2
    void = 1 - (t / 5) * torch.exp(-spot / 0.03)
    return (moved * ((1 + slope).clamp(min=0) * void)[:, None]).reshape(x.shape)


def _slices(x: Tensor) -> int:
    """The axis that slices are measured along: depth, or the phase direction of an image."""
    return 2 if x.dim() == 5 else PHASE


def _dropout(x: Tensor, t: float, dice: Dice) -> Tensor:
    """Some slices lost most of their signal."""
    dim = _slices(x)
    n = x.shape[dim]
    order = dice.uniform((n,), device=x.device).argsort(1).argsort(1)
    left = 0.4 * dice.uniform((n,), device=x.device, dtype=x.dtype)
    share = (t / 5 * max(1, round(5 * n / 24)) - order).clamp(0, 1).to(x)
    return x * _axis(x, dim, 1 - share * (1 - left))


def _interleaving(x: Tensor, t: float, dice: Dice) -> Tensor:
    """Every second slice was measured later: moved by t / 2 pixels."""
    still = torch.zeros(len(x), device=x.device, dtype=x.dtype)
    dim = _slices(x)
    odd = _axis(x, dim, torch.arange(x.shape[dim], device=x.device) % 2 == 1)
    if dim == 2:
        return torch.where(odd, _moved(x, still, still + t / 2), x)
    return torch.where(odd, _moved(x.mT, still, still + t / 2).mT, x)


def _chemical_shift(x: Tensor, t: float, dice: Dice) -> Tensor:
    """Fat answers at another frequency: a faint copy, 2 t pixels of 64 aside."""
    way = 2 * t * x.shape[-1] / 64
    freq = torch.fft.rfftfreq(x.shape[-1], device=x.device).to(x)
    turn = torch.polar(torch.ones_like(freq), -2 * pi * way * freq)
    copy: Tensor = torch.fft.irfft(torch.fft.rfft(x, dim=-1) * turn, n=x.shape[-1], dim=-1)
    return x + 0.04 * t * copy


def _bias_field(x: Tensor, t: float, dice: Dice) -> Tensor:
    """The coil sees some places better: the exponential of a polynomial of degree 2."""
    field = torch.zeros((), device=x.device, dtype=x.dtype)
    for dim in space(x):
        u = 2 * dice.uniform((2,), device=x.device, dtype=x.dtype) - 1
        at = _axis(x, dim, torch.linspace(-1, 1, x.shape[dim], device=x.device, dtype=x.dtype))
        field = field + fit(u[:, 0], x) * at + fit(u[:, 1], x) * at**2
    return x * torch.exp(0.1 * t * field)


def _noise(x: Tensor, t: float, dice: Dice) -> Tensor:
    """Rician: the length of the signal with noise on its real and imaginary part."""
    n = 0.02 * t * dice.normal((2, *x.shape[1:]), device=x.device, dtype=x.dtype)
    return ((x + n[:, 0]) ** 2 + n[:, 1] ** 2).sqrt()


ARTEFACTS: dict[str, Change] = {
    "motion": _motion, "ghosting": _ghosting, "herringbone": _herringbone,
    "susceptibility": _susceptibility, "dropout": _dropout, "interleaving": _interleaving,
    "chemical-shift": _chemical_shift, "gibbs": _gibbs, "bias-field": _bias_field, "noise": _noise,
}  # fmt: skip
