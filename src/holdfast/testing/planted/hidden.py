"""Counterexamples that training hides: a window of past perturbations keeps all others away."""

from __future__ import annotations

from collections import deque

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.testing.planted.nets import Planted
from holdfast.testing.worlds.linear import draws

RANGE = 0.1  # inputs lie within this of 0.5
BORDER = 0.98  # of the radius: at least one coordinate of a counterexample lies beyond
MARGIN = 0.01
SHARP = 8.0  # slope of the first layer per range of the inputs
PEAK = 0.4  # of the training: where the learning rate is highest


def _hidden(x: Tensor, radius: float, g: torch.Generator) -> Tensor:
    """Counterexamples: some coordinates at the border of the box, the others hardly moved."""
    rows = []
    for row in x:
        far = torch.zeros(row.shape, dtype=torch.bool)
        while not bool(far.any()):
            change = radius * (2 * torch.rand(row.shape, generator=g) - 1)
            far = change.abs() >= BORDER * radius
        small = RANGE / 100 * (2 * torch.rand(1, generator=g) - 1)
        rows.append(row + torch.where(far, change, small.clamp(-radius, radius)))
    return torch.stack(rows)


def _ascent(
    model: nn.Module, x: Tensor, way: Tensor, radius: float, starts: int, steps: int,
    g: torch.Generator,
) -> Tensor:  # fmt: skip
    """`(starts * B, n)`: ends of sign ascents on the margin from random starts."""
    centre, ways = x.repeat(starts, 1), way.repeat(starts, 1)
    noise = radius * (2 * torch.rand(centre.shape, generator=g) - 1)
    for _ in range(steps):
        point = (centre + noise).requires_grad_()
        (slope,) = torch.autograd.grad((model(point) * ways).sum(), point)
        noise = (noise + radius / 4 * slope.sign()).clamp(-radius, radius)
    return (centre + noise).detach()


def _centres(count: int, size: int, radius: float, g: torch.Generator) -> Tensor:
    """Inputs more than two radii apart in the maximum norm."""
    found: list[Tensor] = []
    while len(found) < count:
        point = 0.5 + RANGE * (2 * torch.rand(size, generator=g) - 1)
        if all(float((point - other).abs().max()) > 2 * radius for other in found):
            found.append(point)
    return torch.stack(found)


def _start(size: int, hidden: int, g: torch.Generator) -> nn.Sequential:
    """A net whose kinks lie close enough to tell a counterexample from its neighbours."""
    first, last = nn.Linear(size, hidden), nn.Linear(hidden, 2)
    model = nn.Sequential(first, nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), last)
    with torch.no_grad():
        for p in model.parameters():
            scale = (2 / p.shape[-1]) ** 0.5 if p.dim() > 1 else 0.1
            p.copy_(scale * torch.randn(p.shape, generator=g))
        first.weight.mul_(SHARP / RANGE)
        first.bias.sub_(first.weight @ torch.full((size,), 0.5))
        last.weight.mul_(0.1)
    return model


def trained(
    *,
    size: int = 8,
    hidden: int = 50,
    rows: int = 4,
    radius: float = 0.02,
    steps: int = 600,
    window: int = 60,
    starts: int = 10,
    seed: int = 0,
) -> list[Planted]:
    """Trains a net to be wrong at hidden points and right at every perturbation ever found.

    Two losses: the cross-entropy at all perturbations that ascents found during the last
    `window` steps, and a hinge that lifts each counterexample above its label. The window is what
    keeps perturbations that were cured from coming back.

    Args:
        size: of the inputs, which lie within 0.1 of 0.5.
        hidden: width of both hidden layers.
        rows: inputs with a counterexample each.
        radius: of the boxes in the maximum norm.
        steps: of training.
        window: steps whose perturbations are kept.
        starts: of the ascent per row and step.
        seed: of everything.

    Returns:
        The rows for which it worked: right at the input, wrong at the planted point. Whether
        the point is hidden from an attack is for the caller to try.

    Cost: `steps` times 5 passes over `starts * rows` points, and one over `window` times these.

    Unlike the paper: smaller in every way, and the net is not tried by AutoAttack.
    """
    g = draws(seed)
    model = _start(size, hidden, g)
    x = _centres(rows, size, radius, g)
    y = torch.randint(2, (rows,), generator=g)
    wrong = _hidden(x, radius, g)
    way = F.one_hot(1 - y, 2).float() - F.one_hot(y, 2).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0)
    past: deque[Tensor] = deque(maxlen=window)
    for step in range(steps):
        share = (step + 1) / steps
        rise, fall = share / PEAK, (1 - share) / (1 - PEAK)
        optimizer.param_groups[0]["lr"] = 5e-3 * min(rise, fall)
        past.append(_ascent(model, x, way, radius, starts, 5, g))
        points = torch.cat([x, *past])
        labels = torch.cat([y, *[y.repeat(starts)] * len(past)])
        short = (MARGIN - (model(wrong) * way).sum(1)).clamp(min=0)
        loss = F.cross_entropy(model(points), labels) + short.mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
    for p in model.parameters():
        p.grad = None
    name = f"trained {size}-{hidden} {seed}"
    cases = [
        Planted(f"{name} row {i}", model.eval(), x[i : i + 1], y[i : i + 1], wrong[i : i + 1],
                max(radius, float((wrong[i] - x[i]).abs().max())), radius / 64)
        for i in range(rows)
    ]  # fmt: skip
    return [case for case in cases if case.truth]
