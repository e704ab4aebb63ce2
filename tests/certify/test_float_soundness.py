"""Bounds against floats: exact rational oracles, cancellation, huge, tiny and denormal numbers."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from holdfast.certify.linear.crown import CROWN
from holdfast.certify.linear.ibp import IBP
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Certifier
from holdfast.testing.worlds import draws
from holdfast.threats.norms import LInf

METHODS: tuple[Certifier, ...] = (IBP(), CROWN(), CROWN(intermediate="ibp"))
DTYPES = (torch.float64, torch.float32, torch.bfloat16)
FIRST = Untargeted(torch.zeros(1, dtype=torch.long))


def net(layers: list[tuple[Tensor, Tensor]], dtype: torch.dtype) -> nn.Sequential:
    parts: list[nn.Module] = []
    for weight, bias in layers:
        layer = nn.Linear(weight.shape[1], weight.shape[0]).double()  # or weights are rounded
        layer.load_state_dict({"weight": weight, "bias": bias})
        parts += [layer, nn.ReLU()]
    return nn.Sequential(*parts[:-1]).to(dtype).eval()


def reached(model: nn.Module, x: Tensor, radius: float, seed: int = 0) -> Tensor:
    """The largest margin that the model itself computes at corners and inside of the box."""
    g, threat = draws(seed), LInf(radius=radius)
    noise = radius * (2 * torch.rand(200, *x.shape[1:], generator=g) - 1)
    noise[:100] = radius * noise[:100].sign()
    many = x.expand(200, *x.shape[1:])
    shown = threat.apply(many, threat.project(many, noise.to(x.dtype)))
    goal = Untargeted(torch.zeros(200, dtype=torch.long))
    with torch.no_grad():
        whole = goal(model(shown)).double()
        single = torch.cat([FIRST(model(row[None])).double() for row in shown[:10]])
    found = torch.cat([whole, single])
    return found[~found.isnan()].max() if bool((~found.isnan()).any()) else found.new_tensor(0.0)


def bound(method: Certifier, model: nn.Module, x: Tensor, radius: float) -> tuple[float, bool]:
    """The bound and whether it proves; infinite where the model is refused."""
    try:
        found = method(model, x, FIRST, LInf(radius=radius))
    except Unsupported:
        return float("inf"), False
    return float(found.margin), bool(found.proved.any())


def rational_boxes(layers: list[tuple[Tensor, Tensor]], x: Tensor, radius: Fraction) -> Fraction:
    """Exact interval bound of logit 1 over logit 0, the last layer merged into the question."""
    centre = [Fraction(v) for v in x[0].tolist()]
    low = [max(c - radius, Fraction(0)) for c in centre]
    high = [min(c + radius, Fraction(1)) for c in centre]
    for weight, bias in layers[:-1]:
        rows = [[Fraction(v) for v in row] for row in weight.tolist()]
        shift = [Fraction(v) for v in bias.tolist()]
        ends = []
        for row, b in zip(rows, shift, strict=True):
            less = b + sum(w * (a if w > 0 else c) for w, a, c in zip(row, low, high, strict=True))
            more = b + sum(w * (c if w > 0 else a) for w, a, c in zip(row, low, high, strict=True))
            ends.append((max(less, Fraction(0)), max(more, Fraction(0))))
        low, high = [e[0] for e in ends], [e[1] for e in ends]
    weight, bias = layers[-1]
    way = [Fraction(b) - Fraction(a) for a, b in zip(*weight.tolist(), strict=True)]
    total = Fraction(float(bias[1])) - Fraction(float(bias[0]))
    return total + sum(w * (h if w > 0 else a) for w, a, h in zip(way, low, high, strict=True))


def dyadic(seed: int, scale: float) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Layers 2-3-3-2 of eighths, and an input of 64ths."""
    g = draws(seed)

    def eighths(*shape: int) -> Tensor:
        return torch.randint(-16, 17, shape, generator=g).double() / 8

    layers = [(eighths(3, 2), eighths(3)), (eighths(3, 3) * scale, eighths(3)),
              (eighths(2, 3), eighths(2))]  # fmt: skip
    return layers, torch.randint(16, 48, (1, 2), generator=g).double() / 64


@pytest.mark.parametrize("scale", [1.0, 1e4 / 3, 1e12 / 7])
def test_no_interval_bound_lies_below_the_rational_one(scale: float) -> None:
    looseness = []
    for seed in range(40):
        layers, x = dyadic(seed, scale)
        exact = rational_boxes(layers, x, Fraction(1, 16))
        found, _ = bound(IBP(), net(layers, torch.float64), x, 1 / 16)
        assert Fraction(found) >= exact
        looseness.append(float(Fraction(found) - exact) / (1 + abs(float(exact)) + scale))
    assert max(looseness) < 1e-10


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("dtype", DTYPES)
def test_cancellation_of_large_terms(method: Certifier, dtype: torch.dtype) -> None:
    """`relu(M x + 1) - relu(M x)` is 1 in real numbers, and anything in floats."""
    digits = {torch.float64: 53, torch.float32: 24, torch.bfloat16: 8}[dtype]
    lost = 0
    for power in range(digits - 4, digits + 4):
        for level in (0.2, 0.7):
            big = torch.full((2, 1), 2.0**power).double()
            last = torch.tensor([[1.0, -1.0], [0.0, 0.0]]), torch.tensor([0.0, level])
            layers = [(big, torch.tensor([1.0, 0.0])), last]
            model, x = net(layers, dtype), torch.full((1, 1), 0.75, dtype=dtype)
            worst = float(reached(model, x, 0.125))
            found, proved = bound(method, model, x, 0.125)
            lost += worst >= 0
            assert found >= worst and not (proved and worst >= 0)
    assert lost >= 3  # there is something to be fooled by


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("dtype", DTYPES)
def test_long_sums_that_cancel(method: Certifier, dtype: torch.dtype) -> None:
    """Hundreds of huge terms that add up to nothing: the order of summation decides the sign."""
    for seed in range(6):
        g = draws(seed)
        half = torch.randn(1, 100, generator=g).double() * 1e4
        weight = torch.cat([torch.cat([half, -half], 1), torch.zeros(1, 200).double()])
        x = torch.rand(1, 100, generator=g).repeat(1, 2).to(dtype)
        model = net([(weight, torch.tensor([1e-6, 0.0]))], dtype)
        worst = float(reached(model, x, 0.0))
        found, proved = bound(method, model, x, 0.0)
        assert found >= worst and not (proved and worst >= 0)


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("dtype", DTYPES)
def test_margins_near_zero(method: Certifier, dtype: torch.dtype) -> None:
    """The bias is moved until a corner just ties: that is never proved; well away from it is."""
    easy = 0
    for seed in range(4):
        g = draws(seed)
        first = torch.randn(6, 4, generator=g).double(), 3 + torch.rand(6, generator=g).double()
        layers = [first, (torch.randn(2, 6, generator=g).double(), torch.zeros(2).double())]
        model, x = net(layers, dtype), (0.3 + 0.4 * torch.rand(1, 4, generator=g)).to(dtype)
        bias = model[2].bias
        with torch.no_grad():
            for _ in range(20):
                worst = float(reached(model, x, 0.05))
                if 0 <= worst <= 1e-6:
                    break
                bias[0] += worst if worst > 0 else worst / 2
            worst = float(reached(model, x, 0.05))
            found, proved = bound(method, model, x, 0.05)
            assert found >= worst and not (proved and worst >= 0)
            bias[0] += 64.0
        easy += bound(method, model, x, 0.05)[1]
    assert easy == 4


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("scale", [1e-45, 1e-38, 1e-30, 1e-20, 1e15, 1e25, 1e38])
def test_tiny_and_huge_weights(method: Certifier, scale: float) -> None:
    """Denormals may be flushed, sums may overflow: neither is ever on the certificate's side."""
    for seed, flush in product(range(3), (False, True)):
        g = draws(seed)
        layers = [(torch.randn(8, 5, generator=g).double() * scale, torch.zeros(8).double()),
                  (torch.randn(2, 8, generator=g).double(), torch.zeros(2).double())]  # fmt: skip
        model, x = net(layers, torch.float32), torch.rand(1, 5, generator=g)
        done = torch.set_flush_denormal(flush)
        try:
            found, proved = bound(method, model, x, 0.05)
            worst = float(reached(model, x, 0.05))
            with torch.no_grad():
                finite = bool(model(x).isfinite().all())
        finally:
            torch.set_flush_denormal(False)
        assert done or not flush
        assert not proved or (finite and worst < 0)
        assert found >= worst


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_denormal_inputs_and_radii(method: Certifier) -> None:
    for dtype, tiny in ((torch.float32, 1e-40), (torch.float64, 1e-310)):
        weight = torch.tensor([[0.0, 0.0], [1.0, -1.0]])
        model = net([(weight, torch.tensor([0.0, 0.0]))], dtype)
        x = torch.tensor([[tiny, 2 * tiny]], dtype=dtype)
        worst = float(reached(model, x, tiny))
        found, proved = bound(method, model, x, tiny)
        assert found >= worst and not (proved and worst >= 0)


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_inputs_that_are_no_numbers_prove_nothing(method: Certifier, bad: float) -> None:
    model = net([(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([9.0, 0.0]))], torch.float32)
    x = torch.tensor([[bad, 0.5]])
    _, proved = bound(method, model, x, 0.1)
    assert not proved
