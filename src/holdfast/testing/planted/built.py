"""Counterexamples built into the weights: at the edge of the region, or in a needle inside it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.core.errors import ConfigError
from holdfast.testing.planted.nets import CLASSES, Planted, last_bias, random_net
from holdfast.testing.worlds.linear import draws

STARTS, STEPS = 64, 60
EASY = 1 / 64  # of the radius: what is clean there should be provable
TRIES = 20


def highest(model: nn.Module, x: Tensor, way: Tensor, radius: float, g: torch.Generator) -> Tensor:
    """The point of the box around one row where `way . logits` was seen highest, `(1, ...)`.

    Sign ascent from many starts, each coordinate of some starts at a side of the box.
    """
    low, high = (x - radius).clamp(min=0), (x + radius).clamp(max=1)
    share = torch.rand(STARTS, *x.shape[1:], generator=g, dtype=torch.float64).to(x.dtype)
    share[STARTS // 2 :] = share[STARTS // 2 :].round()
    point, best = low + share * (high - low), x
    top = -torch.inf
    for step in range(STEPS + 1):
        point = point.detach().requires_grad_()
        value = model(point) @ way
        peak, where = value.detach().max(0)
        if float(peak) > top:
            top, best = float(peak), point[where][None].detach()
        (slope,) = torch.autograd.grad(value.sum(), point)
        pace = radius * (1 - step / (STEPS + 1))
        point = torch.minimum(torch.maximum(point + pace * slope.sign(), low), high)
    return best


def _labels(model: nn.Module, x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The model's answer, and the way in which the runner-up overtakes it."""
    with torch.no_grad():
        order = model(x)[0].argsort(descending=True)
    way = torch.zeros(CLASSES, dtype=dtype)
    way[order[1]], way[order[0]] = 1.0, -1.0
    return order[:1], way


def _shifted(model: nn.Module, y: Tensor, point: Tensor, way: Tensor, margin: float) -> float:
    """Moves the label's bias until the margin at a point is just about `margin`; returns it."""
    bias = last_bias(model)
    with torch.no_grad():
        bias[y] += float((model(point) @ way)[0]) - margin
        return float((model(point) @ way)[0])


def _inside(x: Tensor, point: Tensor, radius: float) -> tuple[Tensor, float]:
    """The point, and a radius that holds it however its difference to `x` was rounded."""
    return point, max(radius, float((point - x).abs().max()))


def on_the_edge(
    architecture: str = "deep",
    *,
    radius: float = 0.05,
    gap: float = 1e-3,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Planted:
    """A random net whose worst point found in the box is only just wrong.

    The bias of the label is moved until the highest point that an ascent reaches exceeds the
    label by `gap` of the rise from the middle to there. Bounds that are too small by more than
    `gap` of the rise prove it; tight and sound ones do not. Attacks find it: switch them off.

    Args:
        architecture: one of `ARCHITECTURES`.
        radius: of the box.
        gap: height of the counterexample, as a share of the rise.
        seed: of weights, input and ascent.
        dtype: of the net and its input.
    """
    for attempt in range(TRIES):
        model, x = random_net(architecture, seed + 1000 * attempt, dtype)
        y, way = _labels(model, x, dtype)
        point = highest(model, x, way, radius, draws(seed))
        with torch.no_grad():
            rise = float(((model(point) - model(x)) @ way)[0])
        _shifted(model, y, point, way, gap * rise)
        point, wide = _inside(x, point, radius)
        name = f"edge {architecture} {str(dtype).removeprefix('torch.')} {seed}"
        made = Planted(name, model, x, y, point, wide, EASY * radius)
        if made.truth:
            return made
    raise ConfigError(f"planted: no net of {architecture!r} is right at its input", fix="Raise gap")


class Needled(nn.Module):
    """A net plus a needle: a pyramid of ReLUs that is zero outside of a tiny region.

    The pyramid is `height * relu(1 - sum |x - tip| / width)`, in one output only.
    """

    def __init__(self, inner: nn.Module, tip: Tensor, width: float, output: int) -> None:
        super().__init__()
        flat = tip.flatten()
        self.inner, n = inner, len(flat)
        self.sides, self.tip = nn.Linear(n, 2 * n), nn.Linear(2 * n, 1)
        self.head = nn.Linear(1, CLASSES, bias=False)
        with torch.no_grad():
            eye = torch.eye(n)
            self.sides.weight.copy_(torch.cat([eye, -eye]))
            self.sides.bias.copy_(torch.cat([-flat, flat]))
            self.tip.weight.fill_(-1 / width)
            self.tip.bias.fill_(1.0)
            self.head.weight.zero_()
            self.head.weight[output] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        needle = torch.relu(self.tip(torch.relu(self.sides(x.flatten(1)))))
        out: Tensor = self.inner(x) + self.head(needle)
        return out


def needle(
    architecture: str = "wide",
    *,
    radius: float = 0.05,
    width: float = 0.1,
    gap: float = 1e-2,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Planted:
    """A random net, right all over the box but for a needle that no gradient points to.

    The bias of the label is moved until the highest point found stays below it by `gap` of the
    rise; a pyramid of ReLUs around a random point then lifts the runner-up above it. The pyramid
    fills at most `width ** n` of the box, and outside of it all gradients are those of the net
    without it, so that neither gradients nor samples find it.

    Args:
        architecture: one of `ARCHITECTURES`.
        radius: of the box.
        width: of the pyramid from tip to foot along one axis, in radii.
        gap: height above the label, and distance elsewhere, as shares of the rise.
        seed: of weights, input, ascent and place.
        dtype: of the net and its input.
    """
    g = draws(seed)
    for attempt in range(TRIES):
        plain, x = random_net(architecture, seed + 1000 * attempt, dtype)
        y, way = _labels(plain, x, dtype)
        peak = highest(plain, x, way, radius, g)
        with torch.no_grad():
            rise = float(((plain(peak) - plain(x)) @ way)[0])
        _shifted(plain, y, peak, way, -gap * rise)
        place = 2 * torch.rand(x.shape, generator=g, dtype=torch.float64).to(dtype) - 1
        point, wide = _inside(x, (x + radius * (1 - 2 * width) * place).clamp(0, 1), radius)
        model = Needled(plain, point.float(), width * radius, int(way.argmax())).to(dtype).eval()
        with torch.no_grad():
            short = -float((model(point) @ way)[0]) + 1  # the needle has the height 1 so far
            model.head.weight.mul_(short + gap * rise)
        name = f"needle {architecture} {str(dtype).removeprefix('torch.')} {seed}"
        made = Planted(name, model, x, y, point, wide, EASY * radius)
        if made.truth:
            return made
    raise ConfigError(f"planted: no net of {architecture!r} is right at its input", fix="Raise gap")
