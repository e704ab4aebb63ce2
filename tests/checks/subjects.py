"""Known subjects: their truth is a closed form."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from holdfast.core.data import Batches
from holdfast.core.kinds import Check, Threat
from holdfast.core.records import Finding, Reading, Subject
from holdfast.testing.worlds import Linear, two_class
from holdfast.threats.grammar import parse


def batches(x: Tensor, y: Tensor, **more: object) -> Batches:
    """Rows in their order."""
    return Batches(x=x, y=y, index=torch.arange(len(x)), size=64, **more)  # type: ignore[arg-type]


def subject(
    model: object, x: Tensor, y: Tensor, threat: str = "linf:0.05", **more: object
) -> Subject:
    """A subject with one threat."""
    threats: tuple[Threat, ...] = (parse(threat),)
    return Subject(model=model, batches=batches(x, y), threats=threats, **more)  # type: ignore[arg-type]


def linear(rows: int = 64, threat: str = "linf:0.05", **more: object) -> tuple[Linear, Subject]:
    """The linear two-class world as a subject; balls up to 0.3 stay inside the box."""
    world = two_class(rows)
    return world, subject(world.model, world.x, world.y, threat, **more)


def findings(check: Check, about: Subject) -> list[Finding]:
    """All findings."""
    return list(check(about))


def reading(found: Iterable[Finding], name: str) -> Reading:
    """The one reading of that name."""
    (one,) = [r for f in found for r in f.readings if r.name == name]
    return one


def stripes(classes: int = 3, side: int = 8, rows: int = 96) -> tuple[Tensor, Tensor]:
    """Noisy stripes: class k lights every row of pixels k modulo the number of classes."""
    g = torch.Generator().manual_seed(0)
    y = torch.arange(rows) % classes
    base = torch.zeros(classes, 1, side, side)
    for k in range(classes):
        base[k, :, k::classes] = 0.8
    return (base[y] + 0.1 + 0.15 * torch.randn(rows, 1, side, side, generator=g)).clamp(0, 1), y


def _conv() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 3)
    )


def net(make: Callable[[], nn.Module] = _conv) -> tuple[nn.Module, Tensor, Tensor]:
    """A small trained net and the noisy stripes that it tells apart."""
    x, y = stripes()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make()
    best = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        best.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        best.step()
    return model.eval(), x, y
