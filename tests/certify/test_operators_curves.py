"""Boxes and planes around functions and products, against points and high precision."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.certify.network.bends import Bend, Choice, Relu
from holdfast.certify.network.curves import Curve
from holdfast.certify.network.functions import CURVES, elu, power, reciprocal, softplus
from holdfast.certify.network.products import Product
from holdfast.certify.network.steps import Step
from holdfast.certify.network.waves import COSINE, SINE
from holdfast.ops.interval import Box

BOXES, POINTS = 600, 101
ALL: dict[str, Curve] = {
    **CURVES, "sin": SINE, "cos": COSINE, "softplus": softplus(1.0), "steep softplus":
    softplus(3.0), "elu": elu(1.0, 1.0, 1.0), "selu": elu(1.7580993408473766, 1.0507009873554805,
    1.0), "celu": elu(0.7, 1.0, 1 / 0.7), "reciprocal": reciprocal(), "cube": power(3.0),
    "fourth": power(4.0), "1.7": power(1.7), "-1.3": power(-1.3), "0.3": power(0.3),
}  # fmt: skip
KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    **{n: getattr(torch, n) for n in ("exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "square",
       "sigmoid", "tanh", "atan", "erf", "sin", "cos", "reciprocal")},
    "gelu": F.gelu, "gelu tanh": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu,
    "mish": F.mish, "log_sigmoid": F.logsigmoid, "hardswish": F.hardswish, "softplus": F.softplus,
    "elu": F.elu, "selu": F.selu, "celu": lambda x: F.celu(x, 0.7), "cube": lambda x: x**3,
    "fourth": lambda x: x**4, "1.7": lambda x: x**1.7, "-1.3": lambda x: x**-1.3,
    "0.3": lambda x: x**0.3,
}  # fmt: skip
m = mpmath
EXACT = {
    "exp": m.exp, "expm1": m.expm1, "log": m.log, "log1p": m.log1p, "sqrt": m.sqrt,
    "rsqrt": lambda x: 1 / m.sqrt(x), "square": lambda x: x * x,
    "sigmoid": lambda x: 1 / (1 + m.exp(-x)), "tanh": m.tanh, "atan": m.atan, "erf": m.erf,
    "sin": m.sin, "cos": m.cos, "reciprocal": lambda x: 1 / x,
    "gelu": lambda x: x * m.erfc(-x / m.sqrt(2)) / 2, "silu": lambda x: x / (1 + m.exp(-x)),
    "gelu tanh": lambda x: x / 2 * (1 + m.tanh(m.sqrt(2 / m.pi) * (x + m.mpf(0.044715) * x**3))),
    "mish": lambda x: x * m.tanh(m.log1p(m.exp(x))), "log_sigmoid": lambda x: -m.log1p(m.exp(-x)),
    "hardswish": lambda x: x * min(max(x + 3, 0), 6) / 6, "softplus": lambda x: m.log1p(m.exp(x)),
    "elu": lambda x: x if x > 0 else m.expm1(x), "cube": lambda x: x**3, "fourth": lambda x: x**4,
    "1.7": lambda x: x ** m.mpf(1.7), "-1.3": lambda x: x ** m.mpf(-1.3),
    "0.3": lambda x: x ** m.mpf(0.3),
}  # fmt: skip


def boxes(curve: Curve, seed: int) -> Box:
    """Widths from 1e-7 to 50, of all signs, within the domain."""
    g = torch.Generator().manual_seed(seed)
    width = 10 ** (-7 + 8.7 * torch.rand(BOXES, generator=g, dtype=torch.float64))
    low = width * (2 * torch.rand(BOXES, generator=g, dtype=torch.float64) - 1.5)
    low = low + 3 * torch.randn(BOXES, generator=g, dtype=torch.float64).round()
    width[:20] = 0
    if curve.domain[0] > -torch.inf:
        low = curve.domain[0] + 1e-3 + low.abs()
    high = low + width
    if type(curve).__name__ == "_Reciprocal":
        low, high = torch.where(low < 0, -high.abs() - width - 0.1, low + 0.1), high.abs() + 0.2
        high = torch.where(low < 0, low + width * 0.5 + 0.01, torch.maximum(high, low))
        high = torch.where(low < 0, high.clamp(max=-0.005), high)
    return Box(low, high)


def inside(box: Box) -> Tensor:
    share = torch.linspace(0, 1, POINTS, dtype=torch.float64)[:, None]
    return torch.minimum(box.low + share * (box.high - box.low), box.high)


def choices(bend: Bend, box: list[Box], seed: int) -> list[Choice | None]:
    g = torch.Generator().manual_seed(seed)
    size = box[0].low.shape
    flat = [torch.zeros(size).double(), torch.ones(size).double()]
    draws = [torch.rand(size, generator=g, dtype=torch.float64) for _ in range(2)]
    return [None, bend.start(box), Choice(*flat), Choice(*flat[::-1]), Choice(*draws)]


@pytest.mark.parametrize("name", ALL)
def test_planes_and_boxes_hold_a_function(name: str) -> None:
    curve = ALL[name]
    box = boxes(curve, 1)
    x = inside(box)
    y, hull = curve.function(x), curve.box([box])
    slack = 1e-14 * (y.abs() + curve.scale(x.abs()))
    fine = y.isfinite().all(0) & hull.low.isfinite()
    assert fine.double().mean() > 0.7
    assert ((y >= hull.low - slack) & (y <= hull.high + slack))[:, fine].all()
    reach = curve.reach([box], hull)
    for choice in choices(curve, [box], 2):
        (below,), below_offset, (above,), above_offset = curve.planes([box], choice)
        known = below.isfinite() & above.isfinite() & fine
        assert known.double().mean() > 0.6
        over = torch.maximum(below * x + below_offset - y, y - above * x - above_offset)
        size = 1e-15 * (y.abs() + (below.abs() + above.abs()) * x.abs() + slack)
        assert (over - size)[:, known].max() <= 0
        for slope, offset in ((below, below_offset), (above, above_offset)):
            terms = slope.abs() * box.magnitude + offset.abs()
            assert (terms <= 1.01 * reach + 1e-12)[known].all()
    first = curve.planes([box])
    for point in (box.low, box.high):
        gap = (first.above[0] * point + first.above_offset) - (
            first.below[0] * point + first.below_offset)  # fmt: skip
        tight = fine & (box.high == box.low)
        assert (gap.abs()[tight] <= 1e-12 * (1 + y.abs().amax(0))[tight]).all()


@pytest.mark.parametrize("name", ["exp", "gelu", "sin", "reciprocal"])
def test_planes_are_differentiable_in_the_choice(name: str) -> None:
    curve = ALL[name]
    box = Box(torch.full((3,), 0.4).double(), torch.tensor([0.9, 2.0, 3.5]).double())
    shares = [torch.tensor([0.3, 0.5, 0.7]).double().requires_grad_() for _ in range(2)]

    def height(*own: Tensor) -> Tensor:
        below, low, above, high = curve.planes([box], Choice(*own))
        return (below[0] * 0.7 + low).sum() + (above[0] * 0.8 + high).sum()

    slopes = torch.autograd.grad(height(*shares), shares)
    for i, slope in enumerate(slopes):
        step = 0.05  # the bisection leaves steps of 1e-5 of the interval
        moved = [[v.detach() + sign * step * (k == i) for k, v in enumerate(shares)]
                 for sign in (1, -1)]  # fmt: skip
        measured = (height(*moved[0]) - height(*moved[1])) / (2 * step)
        assert torch.allclose(slope.sum(), measured, atol=0.05)


@pytest.mark.parametrize("name", ["gelu", "tanh", "sin", "hardswish", "elu", "mish"])
def test_planes_are_nearly_the_best_in_the_middle(name: str) -> None:
    """Against the convex envelope of a thousand points: what is lost is a small part of the box."""
    curve, g = ALL[name], torch.Generator().manual_seed(3)
    low = 4 * torch.rand(300, generator=g, dtype=torch.float64) - 3.5
    box = Box(low, low + 3 * torch.rand(300, generator=g, dtype=torch.float64) + 0.1)
    x, found = inside(box), curve.planes([box])
    y, half = curve.function(x), POINTS // 2
    left, right, middle = slice(0, half), slice(half + 1, POINTS), x[half]
    share = (middle - x[left][:, None]) / (x[right][None] - x[left][:, None])
    chords = y[left][:, None] * (1 - share) + y[right][None] * share
    best = torch.minimum(chords.flatten(0, 1).amin(0), y[half])
    mine = found.below[0] * middle + found.below_offset
    assert (mine <= best + 1e-12).all()
    assert ((best - mine) / (y.amax(0) - y.amin(0) + 1e-9)).max() < 0.02


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_kernels_round_no_more_than_assumed(name: str, dtype: torch.dtype) -> None:
    curve, g = ALL[name], torch.Generator().manual_seed(4)
    tiny = 2.0 ** -(34 * torch.rand(6000, generator=g))
    x = torch.cat([3 * torch.randn(8000, generator=g), tiny, -tiny, torch.linspace(-95, 95, 4001)])
    x = x.to(dtype)
    low, high = curve.domain
    x = x[(x > low) & (x < high) & (x != 0)]
    vector, scalar = KERNELS[name](x), torch.cat([KERNELS[name](p) for p in x[:3000].split(3)])
    for found, at in ((vector, x), (scalar, x[:3000])):
        real = curve.function(at.double())
        info = torch.finfo(dtype)
        size = torch.maximum(real.abs(), curve.scale(at.double().abs()))
        error = (found.double() - real).abs() - curve.roundings * info.tiny
        fine = real.abs() < info.max / 4
        assert (error <= curve.roundings * info.eps / 2 * size)[fine].all()


@pytest.mark.parametrize("name", EXACT)
def test_values_in_float64_are_accurate(name: str) -> None:
    curve = ALL[name]
    x = torch.cat([torch.linspace(-30, 30, 61).double() + 0.0137, torch.tensor([1e-9, -1e-5, 0.7])])
    x = x[(x > curve.domain[0]) & (x < curve.domain[1])]
    kernel = KERNELS[name](x)
    with mpmath.workdps(50):
        for value, own, theirs in zip(x.tolist(), curve.function(x).tolist(), kernel.tolist(),
                                      strict=True):  # fmt: skip
            real = EXACT[name](mpmath.mpf(value))
            size = max(abs(real), mpmath.mpf(float(curve.scale(torch.tensor(abs(value))))))
            assert abs(own - real) <= size * 2.0**-46 + 1e-300
            if name not in ("softplus",):  # beyond its threshold the kernel is the identity
                assert abs(theirs - real) <= curve.roundings * size * 2.0**-53 + 1e-300


def test_mccormick_planes_are_the_hull_of_a_product() -> None:
    g = torch.Generator().manual_seed(5)
    ends = (4 * torch.rand(4, BOXES, generator=g, dtype=torch.float64) - 2).sort(0)[0]
    pick = torch.rand(BOXES, generator=g) < 0.5
    x = Box(torch.where(pick, ends[0], ends[1]), torch.where(pick, ends[2], ends[1]))
    y = Box(ends[1], ends[3])
    bend, at = Product(), torch.rand(50, 2, BOXES, generator=g, dtype=torch.float64)
    p, q = x.low + at[:, 0] * (x.high - x.low), y.low + at[:, 1] * (y.high - y.low)
    hull = bend.box([x, y])
    assert (p * q >= hull.low).all() and (p * q <= hull.high).all()
    for choice in choices(bend, [x, y], 6):
        below, low, above, high = bend.planes([x, y], choice)
        assert (below[0] * p + below[1] * q + low <= p * q).all()
        assert (above[0] * p + above[1] * q + high >= p * q).all()
    ones = Choice(torch.ones(BOXES).double(), torch.ones(BOXES).double())
    below, low, _, _ = bend.planes([x, y], ones)
    gap = (x.high - x.low) * (y.high - y.low)
    corner = x.high * y.high - (below[0] * x.high + below[1] * y.high + low)
    assert torch.allclose(corner, gap, atol=1e-12)
    exact = x.low * q[0] - (below[0] * x.low + below[1] * q[0] + low)
    assert exact.abs().max() < 1e-12


@pytest.mark.parametrize(
    "bend", [Step(torch.sign), Step(torch.floor), Relu()], ids=["sign", "floor", "relu"]
)
def test_steps_and_relu_between_their_planes(bend: Bend) -> None:
    box = boxes(SINE, 7)
    x = inside(box)
    for choice in choices(bend, [box], 8):
        (below,), low, (above,), high = bend.planes([box], choice)
        assert (below * x + low <= bend.value([x]) + 1e-12 * x.abs()).all()
        assert (above * x + high >= bend.value([x]) - 1e-12 * x.abs()).all()


@pytest.mark.parametrize("name", ["log", "sqrt", "rsqrt", "reciprocal", "1.7"])
def test_outside_of_the_domain_nothing_is_known(name: str) -> None:
    box = Box(torch.tensor([-1.0, -2.0, -1e-9]).double(), torch.tensor([1.0, 0.0, 1.0]).double())
    found = ALL[name].box([box])
    assert not found.low.isfinite().any() and not found.high.isfinite().any()
    assert not ALL[name].planes([box]).below_offset.isfinite().any()
