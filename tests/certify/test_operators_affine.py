"""Affine operators: their three maps belong to one matrix; what they refuse they name."""

from __future__ import annotations

from math import prod

import pytest
import torch
from torch import Tensor, nn

from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.ibp import IBP
from holdfast.certify.linear.region import Region
from holdfast.certify.network.along import Along, Centre, Contraction, Differences, Stacked
from holdfast.certify.network.known import Known
from holdfast.certify.network.matrices import Each, Resample, Transposed
from holdfast.certify.network.operators import Convolution, Operator
from holdfast.certify.network.picks import Pick
from holdfast.certify.reading.layout import Layout, Placed, layout_of, tags
from holdfast.certify.reading.reader import read
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Untargeted
from holdfast.ops.interval import Box
from holdfast.threats.norms import LInf

G = torch.Generator().manual_seed(0)


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=G, dtype=torch.float64)


CASES: dict[str, tuple[Operator, list[tuple[int, ...]]]] = {
    "along": (Along(draw(3, 4), 2), [(2, 4, 2)]),
    "stacked": (Stacked(draw(2, 3, 4)), [(2, 5, 3)]),
    "stacked left": (Stacked(draw(2, 4, 3), True), [(2, 3, 5)]),
    "resample": (Resample(draw(5, 6).to_sparse(), (2, 2, 3), (2, 5), 6), [(2, 2, 3)]),
    "transposed": (Transposed(draw(4, 1, 3, 2), None, (2, 1), (1, 0), (1, 2), 2, (3, 4), (1, 0)),
                   [(4, 3, 4)]),
    "each": (Each(Convolution(draw(2, 2, 2), None, (1,), (1,), (1,), 1, (3,)), 3), [(3, 2, 3)]),
    "pick": (Pick(torch.tensor([0, 3, 3, 5, 7, 1]), ((2, 2), (3,)), (2, 3)), [(2, 2), (3,)]),
    "differences": (Differences(), [(2, 4)]),
    "centre": (Centre((1, 3), (2, 3, 4)), [(2, 3, 4)]),
    "centre of two": (Centre((1,), (2,)), [(2,)]),
    "contraction": (Contraction((2,), (2, 3, 4), False, 1.0), [(2, 3, 4)]),
    "known": (Known(others=((3,),)), [(2,), (3,)]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_three_maps_are_one_matrix(name: str) -> None:
    op, shapes = CASES[name]
    sizes = [prod(s) for s in shapes]
    total = sum(sizes)
    parts = torch.eye(total, dtype=torch.float64).split(sizes, 1)
    eye = [p.reshape(total, *s) for p, s in zip(parts, shapes, strict=True)]
    matrix = op.linear(eye).flatten(1).T
    half = torch.rand(2, total, generator=G, dtype=torch.float64)
    halves = [p.reshape(2, *s) for p, s in zip(half.split(sizes, 1), shapes, strict=True)]
    assert torch.allclose(op.spread(halves).flatten(1), half @ matrix.abs().T, atol=1e-12)
    a = draw(3, *op.linear(halves).shape[1:])
    back = torch.cat([p.reshape(3, -1) for p in op.back(a)], 1)
    assert torch.allclose(back, a.flatten(1) @ matrix, atol=1e-12)
    assert op.terms >= int((matrix != 0).sum(1).max())


@pytest.mark.parametrize("layout", [Layout(), Layout(1), Layout(0, 1, 4), Layout(1, 3, 2)], ids=str)
def test_rows_are_found_wherever_they_stand(layout: Layout) -> None:
    shape = [5, 2 * 1, 3]
    shape[layout.axis] = 2 * layout.outer * layout.inner
    placed = Placed(0, layout, tuple(shape))
    numbers = tags(placed, 2, 0)
    assert layout_of((numbers % 2).long(), 2) == layout
    turned = layout.turned((numbers // 2).long(), 2).flatten(1)
    assert torch.equal(turned, torch.arange(placed.size).expand(2, -1))


NAMED = {
    "lgamma": (lambda z: torch.lgamma(z + 1), "lgamma", ""),
    "comparison": (lambda z: z * (z > 0.5), "gt", "relu"),
    "round": (lambda z: z.round(), "round", "floor"),
    "topk": (lambda z: z.topk(2)[0], "topk", "sort"),
    "fft": (lambda z: torch.fft.rfft(z).real, "fft", "matrix"),
    "written": (lambda z: torch.zeros(len(z), 2).double().copy_(z[:, :2]), "copy", "cat"),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_what_cannot_be_read_is_named_with_what_to_use_instead(name: str) -> None:
    function, operator, instead = NAMED[name]
    x = torch.rand(2, 4, dtype=torch.float64)
    with pytest.raises(Unsupported, match=operator) as caught:
        read(function, x)
    assert instead in str(caught.value)


@pytest.mark.parametrize("function", [torch.log, torch.rsqrt, torch.reciprocal, torch.sqrt])
def test_a_row_that_may_leave_a_domain_is_never_proved(function) -> None:
    """Even where a bounded function follows, which would hide it."""
    layer = nn.Linear(1, 1).double()
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.fill_(-0.5)

    def model(z: Tensor) -> Tensor:
        hidden = torch.sigmoid(function(layer(z)))
        return torch.cat([hidden + 5, hidden], 1)

    x = torch.tensor([[0.55], [0.9]]).double()
    found = IBP()(model, x, Untargeted(torch.zeros(2).long()), LInf(radius=0.1))
    assert found.proved.tolist() == [False, True]


def test_bounds_do_not_depend_on_the_rows_beside() -> None:
    from holdfast.testing.probes import ProbeNet

    net = ProbeNet("multihead attention", 1)
    x = torch.rand(5, *net.shape, generator=G).double()
    graph = read(net, x)

    def box(rows: Tensor) -> Box:
        return propagate(graph, Region(Box(rows - 0.01, rows + 0.01), rows), "crown").boxes[-1]

    whole, part = box(x), box(x[2:3])
    assert torch.allclose(whole.low[2:3], part.low, atol=1e-9)
