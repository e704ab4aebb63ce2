"""Self-checks: silent on plain nets, firing on every classical way to hide from an attack."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.checks.subjects import net, stripes
from torch import Tensor, nn

from holdfast.checks.self_checks import SelfCheck, self_checks
from holdfast.core.dice import Dice
from holdfast.testing.worlds import TinyReLU, noisy, staircase, three_class, two_class
from holdfast.threats.grammar import parse

Net = Callable[[Tensor], Tensor]
ROWS = 20


def asked(model: Net, x: Tensor, y: Tensor, threat: str) -> list[SelfCheck]:
    """All self-checks on the first rows."""
    x, y = x[:ROWS], y[:ROWS]
    return self_checks(model, x, y, parse(threat), Dice(0, torch.arange(len(x))))


def failed(model: Net, x: Tensor, y: Tensor, threat: str) -> list[str]:
    """Names of the self-checks that failed."""
    return [c.name for c in asked(model, x, y, threat) if not c.passed]


class Residual(nn.Module):
    """A small residual net with batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=1)
        self.norm, self.second = nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Linear(6 * 64, 3)

    def forward(self, x: Tensor) -> Tensor:
        z = self.first(x)
        out: Tensor = self.last((z + self.second(self.norm(z).relu())).flatten(1))
        return out


PLAIN: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 3)),
    "tanh": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.Tanh(), nn.Linear(24, 3)),
    "deep relu": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3)
    ),
    "conv": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 3)
    ),
    "gelu": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.GELU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 3)
    ),
    "residual": Residual,
}


@pytest.mark.parametrize("name", PLAIN)
def test_silent_on_plain_trained_nets(name: str) -> None:
    model, x, y = net(PLAIN[name])
    for threat in ("linf:8/255", "l2:0.5"):
        assert failed(model, x, y, threat) == []


@pytest.mark.parametrize("seed", range(2))
def test_silent_on_worlds(seed: int) -> None:
    for world in (
        two_class(ROWS, seed=seed),
        three_class(ROWS, seed=seed),
        TinyReLU.make(rows=ROWS, seed=seed),
    ):
        assert failed(world.model, world.x, world.y, "linf:0.05") == []


class _Reversed(torch.autograd.Function):
    """Passes values on and turns slopes round."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, slope: Tensor) -> Tensor:
        return -slope


def _remembering(model: nn.Module) -> Net:
    """Answers as for the nearest input it has been shown: the same under any small change."""
    _, known, _ = net()

    def answer(x: Tensor) -> Tensor:
        nearest = torch.cdist(x.flatten(1), known.flatten(1)).argmin(1)
        out: Tensor = model(known[nearest]) + 0 * x.flatten(1).sum(1, keepdim=True)
        return out

    return answer


DEFENCES: dict[str, tuple[Callable[[nn.Module], Net], str]] = {
    "logits times 1000": (lambda m: lambda x: 1000 * m(x), "loss has a scale"),
    "inputs rounded": (lambda m: lambda x: m((x * 8).round() / 8), "slopes exist"),
    "softmax": (lambda m: lambda x: m(x).softmax(1), "outputs are logits"),
    "saturated softmax": (lambda m: lambda x: (100 * m(x)).softmax(1), "slopes exist"),
    "saturated sigmoid": (lambda m: lambda x: (100 * m(x)).sigmoid(), "slopes exist"),
    "noise": (lambda m: lambda x: m(x + 0.1 * torch.randn_like(x)), "answers repeat"),
    "dropout": (lambda m: lambda x: m(nn.functional.dropout(x, 0.2)), "answers repeat"),
    "detached": (lambda m: lambda x: m(x.detach()), "slopes exist"),
    "outputs rounded": (lambda m: lambda x: m(x).round(), "slopes exist"),
    "slopes reversed": (lambda m: lambda x: m(_Reversed.apply(x)), "slopes lead up"),
    "constant under attack": (_remembering, "slopes exist"),
}


@pytest.mark.parametrize("name", DEFENCES)
def test_fires_on_a_cosmetic_defence(name: str) -> None:
    model, x, y = net()
    hide, sign = DEFENCES[name]
    assert sign in failed(hide(model), x, y, "linf:0.1")


def test_fires_on_a_model_that_nothing_moves() -> None:
    x, y = stripes()
    assert "radius 1 succeeds" in failed(
        lambda x: 0 * x.flatten(1)[:, :3] + torch.tensor([5.0, 0, 0]), x[y == 0], y[y == 0], "l2:1"
    )


def test_blind_queries_find_what_stairs_hide() -> None:
    world = staircase(rows=ROWS)
    assert {"slopes exist", "queries find no more"} <= set(
        failed(world.model, world.x, world.y, "linf:0.1")
    )


def test_fires_on_noise_that_breaks_rows_by_luck() -> None:
    world = noisy(rows=ROWS)
    assert "answers repeat" in failed(world.model, world.x, world.y, "linf:0.05")


def test_no_rows_no_doubts() -> None:
    world = two_class(2)
    assert failed(world.model, world.x[:0], world.y[:0], "linf:0.05") == []


def test_every_sign_says_what_was_seen() -> None:
    world = two_class(8)
    for one in asked(world.model, world.x, world.y, "linf:0.05"):
        assert one.says and one.name == one.name.lower() and one.passed
