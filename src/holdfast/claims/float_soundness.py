"""Bounds hold for what is computed: rounding can neither slip below them nor win against them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from holdfast.certify.linear.crown import CROWN
from holdfast.certify.linear.ibp import IBP
from holdfast.claims.harness import Claim, Trial
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Certifier
from holdfast.ops.interval import Box
from holdfast.testing.worlds import linear_layer
from holdfast.threats.norms import LInf

NETS, RADIUS = 40, 0.125
CERTIFIERS: tuple[Certifier, ...] = (IBP(), CROWN())


def _bare(low: Tensor, high: Tensor, error: Tensor | float) -> Box:
    return Box(low, high)


def _around(x: Tensor, radius: float | Tensor, low: float, high: float) -> Box:
    return Box((x.double() - radius).clamp(min=low), (x.double() + radius).clamp(max=high))


# What keeps bounds sound, wherever it is used, and the same without any care.
OWN: dict[str, Any] = {
    "rounding_unit": lambda operator, out: 0.0,
    # Otherwise a net whose answers its record does not explain would be refused.
    "_compare": lambda graph, model, x: None,
}
ALL: dict[str, Any] = OWN | {
    "gamma": lambda *terms: 0.0, "widen": _bare, "around": _around, "UNIT": 0.0, "TINY": 0.0,
}  # fmt: skip


@contextmanager
def _bug(mutant: str) -> Iterator[None]:
    """Without outward rounding, or only without the rounding of the model itself."""
    careless = {"no-outward-rounding": ALL, "ignores-the-rounding-of-the-model": OWN}
    places = [
        m for n, m in sys.modules.items() if n.startswith(("holdfast.certify", "holdfast.ops"))
    ]
    with ExitStack() as stack:
        for name, bare in careless.get(mutant, {}).items():
            for place in places:
                if name in vars(place):
                    stack.enter_context(patch.object(place, name, bare))
        yield


def _planted(power: int, dtype: torch.dtype, g: torch.Generator) -> nn.Module:
    """A net built so that rounding flips its answer.

    With M = 2^power the first logit is relu(M x + 1) - relu(M x), which is 1 for every x > 0 in
    real numbers and 0 in floats of as many digits; the second one is constant, between the two.
    """
    scale = 2.0**power
    level = 0.25 + 0.5 * float(torch.rand((), generator=g))
    first = linear_layer(torch.tensor([[scale], [scale]]), torch.tensor([1.0, 0.0]))
    last = linear_layer(torch.tensor([[1.0, -1.0], [0.0, 0.0]]), torch.tensor([0.0, level]))
    return nn.Sequential(first, nn.ReLU(), last).to(dtype)


def _fooled(certifier: Certifier, g: torch.Generator) -> int:
    """Planted nets that are proved although they answer wrongly within the radius."""
    count = 0
    for power, dtype in ((24, torch.float32), (26, torch.float32), (53, torch.float64)):
        net, x = _planted(power, dtype, g), torch.full((1, 1), 0.75, dtype=dtype)
        points = torch.linspace(0.75 - RADIUS, 0.75 + RADIUS, 65, dtype=dtype)[:, None]
        goal = Untargeted(torch.zeros(65, dtype=torch.long))
        with torch.no_grad():
            lost = bool((goal(net(points)) >= 0).any())
        try:
            proved = certifier(net, x, goal.take(slice(0, 1)), LInf(radius=RADIUS)).proved
        except Unsupported:
            continue  # refused: the net departs too far from its own record
        count += int(lost and bool(proved.all()))
    return count


def _curved(certifier: Certifier, g: torch.Generator) -> int:
    """Nets decided by how float32 rounds a tanh, proved although the rounding decides against."""
    count = 0
    for x in 3 + 2 * torch.rand(8, 1, 1, generator=g):
        computed, real = torch.tanh(x).double(), torch.tanh(x.double())
        level, sign = (computed + real) / 2, (computed - real).sign()

        def model(z: Tensor, level: Tensor = level, sign: Tensor = sign) -> Tensor:
            apart = sign * (torch.tanh(z).double() - level)
            return torch.cat([0 * apart, apart], 1)

        goal = Untargeted(torch.zeros(1, dtype=torch.long))
        proved = certifier(model, x, goal, LInf(radius=0.0, low=-9.0, high=9.0)).proved
        count += int(bool(sign != 0) and bool(proved.all()))
    return count


def _plain(g: torch.Generator) -> tuple[nn.Module, Tensor, Fraction]:
    """A net whose units are all active, an input, and its exact worst margin in rationals."""

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    first, last = draw(6, 4), draw(2, 6) * 1e6
    bend = 1 + first.abs().sum(1)
    net = nn.Sequential(linear_layer(first, bend), nn.ReLU(), linear_layer(last, draw(2)))
    x = 0.3 + 0.4 * torch.rand(4, generator=g, dtype=torch.float64)

    def exact(t: Tensor) -> list[Fraction]:
        return [Fraction(v) for v in t.detach().flatten().tolist()]

    way = [b - a for a, b in zip(*(exact(row) for row in last), strict=True)]
    rows, radius = [exact(row) for row in first], Fraction(RADIUS)
    slope = [sum((w * r[i] for w, r in zip(way, rows, strict=True)), Fraction(0)) for i in range(4)]
    shift = exact(net[2].bias)  # type: ignore[arg-type]
    height = shift[1] - shift[0] + sum(w * b for w, b in zip(way, exact(bend), strict=True))
    height += sum(s * v for s, v in zip(slope, exact(x), strict=True))
    return net, x[None], height + radius * sum(abs(s) for s in slope)


def trial(seed: int, mutant: str = "") -> Trial:
    """Planted nets must not be proved; on plain nets the bound is the rational one, rounded up."""
    g = torch.Generator().manual_seed(seed)
    wrong, loose = 0, 0.0
    with _bug(mutant):
        for certifier in CERTIFIERS:
            wrong += _fooled(certifier, g) + _curved(certifier, g)
        goal = Untargeted(torch.zeros(1, dtype=torch.long))
        for _ in range(NETS):
            net, x, worst = _plain(g)
            found = CROWN()(net, x, goal, LInf(radius=RADIUS)).margin
            over = Fraction(float(found)) - worst
            wrong += int(over < 0)
            loose = max(loose, float(over) / 1e6)
    return Trial(wrong, loose, wrong == 0 and loose <= 1e-10)


CLAIM = Claim(
    paper="float-soundness",
    methods=("certifier:crown", "certifier:ibp"),
    says="No net built so that rounding flips its answer is proved, and no bound lies below the "
    "exact rational one, nor more than 1e-10 of its terms above it.",
    left="bounds that rounding defeats, of 22 on planted and 40 on plain nets (must be 0)",
    right="largest looseness against the exact worst margin, relative to its terms",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("no-outward-rounding", "ignores-the-rounding-of-the-model"),
    seconds=3,
)
