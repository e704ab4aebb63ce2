"""Budget that is exchanged between coordinates: against a solver, and what always holds."""

import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from holdfast.ops.exchange import exchange_l1
from holdfast.ops.geometry import project_l1, room

RADIUS, SIZE = 0.7, 9


def problem(seed: int, rows: int = 10, fill: float = 8.0) -> tuple[Tensor, ...]:
    """Changes within ball and box (full for a large `fill`), gradients and rooms."""
    g = torch.Generator().manual_seed(seed)
    x = (2 * torch.rand(rows, SIZE, generator=g, dtype=torch.float64) - 0.5).clamp(0, 1)
    down, up = room(x, 0.0, 1.0)
    drawn = torch.randn(rows, SIZE, generator=g, dtype=torch.float64) * fill
    drawn[:, ::3] = 0  # some coordinates are unchanged
    d = project_l1(drawn, torch.full((rows,), RADIUS, dtype=torch.float64), down, up)
    return d, torch.randn(rows, SIZE, generator=g, dtype=torch.float64), down, up


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("moved", "share"), [(0.1, 1.0), (0.6, 0.5), (5.0, 0.5), (5.0, 1.0)])
def test_the_exchange_is_the_optimum_of_a_linear_programme(
    seed: int, moved: float, share: float
) -> None:
    """What comes and what stays are the variables; a full ball stays full."""
    d, g, down, up = problem(seed)
    found = exchange_l1(d, g, moved, share, RADIUS, down, up)
    for row in range(len(d)):
        way = torch.where(g[row] > 0, up[row], -down[row])
        there = torch.where(g[row] > 0, d[row], -d[row])
        most = torch.where(there >= 0, torch.minimum(way - there, share * way).clamp(min=0), 0.0)
        held, full = d[row].abs(), float(d[row].abs().sum())
        worth = torch.cat([g[row].abs(), g[row] * d[row].sign()])
        comes = torch.cat([torch.ones(SIZE), torch.zeros(SIZE)])[None].numpy()
        best = linprog(
            -worth.numpy(), A_ub=comes, b_ub=[moved], A_eq=torch.ones(1, 2 * SIZE).numpy(),
            b_eq=[full], bounds=[(0.0, float(v)) for v in [*most, *held]],
        )  # fmt: skip
        assert full == pytest.approx(RADIUS)
        assert float((g[row] * found[row]).sum()) == pytest.approx(-best.fun, abs=1e-9)


@pytest.mark.parametrize("fill", [0.05, 8.0])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_an_exchange_stays_inside_and_never_loses(fill: float, kind: torch.dtype) -> None:
    d, g, down, up = (part.to(kind) for part in problem(3, 200, fill))
    found = exchange_l1(d, g, 0.3, 0.5, RADIUS, down, up)
    assert (found.abs().sum(1, dtype=torch.float64) <= RADIUS).all()
    assert ((found >= down) & (found <= up)).all()
    assert ((g * (found - d)).sum(1) >= -1e-5).all()
    came = (found.abs() - d.abs()).clamp(min=0).sum(1)
    assert (came <= 0.3 + 1e-5).all()
    assert (came > 0.01).any()


def test_no_length_and_no_slope_change_nothing() -> None:
    d, g, down, up = problem(4, fill=0.05)
    assert torch.equal(exchange_l1(d, g, 0.0, 0.5, RADIUS, down, up), d)
    assert torch.equal(exchange_l1(d, torch.zeros_like(g), 0.5, 0.5, RADIUS, down, up), d)


def test_rows_do_not_see_each_other() -> None:
    d, g, down, up = problem(5)
    both = exchange_l1(d, g, 0.4, 0.5, RADIUS, down, up)
    for i in range(len(d)):
        own = exchange_l1(
            d[i : i + 1], g[i : i + 1], 0.4, 0.5, RADIUS, down[i : i + 1], up[i : i + 1]
        )
        assert torch.equal(own[0], both[i])


def test_an_empty_batch_stays_empty() -> None:
    none = torch.zeros(0, 1, 4, 4)
    assert exchange_l1(none, none, 1.0, 0.5, RADIUS, none, none).shape == none.shape


def test_what_stands_on_the_wrong_side_alone_is_no_dead_end() -> None:
    d = torch.tensor([[-0.3, -0.1], [0.0, 0.3], [0.2, -0.2]], dtype=torch.float64)
    g = torch.tensor([[2.0, 1.0], [2.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
    down, up = torch.full_like(d, -0.5), torch.full_like(d, 0.5)
    for _ in range(12):
        d = exchange_l1(d, g, 0.1, 0.5, 0.4, down, up)
    best = torch.tensor([[0.4, 0.0], [0.4, 0.0], [0.0, 0.4]], dtype=torch.float64)
    assert torch.allclose(d, best, atol=1e-6)
