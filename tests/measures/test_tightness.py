"""Propagation tightness against products of matrices, a closed form and exact cases."""

import math
from itertools import pairwise

import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.measures.model.tightness import propagation_tightness, sign_violations

G = torch.Generator().manual_seed(0)


def net(*sizes: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for n, m in pairwise(sizes):
        layer = nn.Linear(n, m).double()
        with torch.no_grad():
            layer.weight.copy_(torch.randn(m, n, generator=G))
            layer.bias.copy_(torch.randn(m, generator=G))
        parts += [layer, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def data(rows: int, size: int) -> Batches:
    x = torch.rand(rows, size, generator=G, dtype=torch.float64)
    return Batches(x=x, y=torch.arange(rows) % 3, size=4)


def test_it_is_the_quotient_of_products_of_matrices() -> None:
    model, batches = net(6, 9, 8, 3), data(7, 6)
    w = [m.weight.detach() for m in model if isinstance(m, nn.Linear)]
    biases = [m.bias.detach() for m in model if isinstance(m, nn.Linear)]
    for mode in ("linear", "local"):
        found = propagation_tightness(model, batches, radius=0.1, mode=mode).values
        for row in range(7):
            x, y = batches.x[row], int(batches.y[row])
            half = (torch.minimum(x + 0.1, torch.ones(())) - (x - 0.1).clamp(0)) / 2
            spec = torch.eye(3).double()[[k for k in range(3) if k != y]] - torch.eye(3).double()[y]
            masks, z = [], x
            for weight, bias in zip(w[:2], biases[:2], strict=True):
                z = weight @ z + bias
                masks.append(torch.diag((z > 0).double() if mode == "local" else z * 0 + 1))
                z = z.relu()
            last = spec @ w[2]
            exact = (last @ masks[1] @ w[1] @ masks[0] @ w[0]).abs() @ half
            boxes = last.abs() @ masks[1] @ w[1].abs() @ masks[0] @ w[0].abs() @ half
            assert torch.allclose(found[row], exact / boxes, atol=1e-10)


def test_random_weights_follow_the_gamma_functions() -> None:
    for width in (4, 16, 64):
        a = torch.randn(20000, width, generator=G)
        b = torch.randn(20000, width, generator=G)
        seen = float((a * b).sum(1).abs().mean() / (a * b).abs().sum(1).mean())
        root = math.sqrt(math.pi) * math.gamma((width + 1) / 2)
        assert abs(seen / (root / (width * math.gamma(width / 2))) - 1) < 0.03


def test_without_cancellation_boxes_are_exact_and_dead_nets_are_not_counted() -> None:
    model = net(5, 8, 2)
    with torch.no_grad():
        for p in model.parameters():
            p.abs_()
        model[2].weight[0] = 0
    batches = Batches(x=data(6, 5).x, y=torch.zeros(6, dtype=torch.int64), size=4)
    assert torch.allclose(propagation_tightness(model, batches).values, torch.ones(6, 1).double())
    with torch.no_grad():
        model[0].bias.fill_(-100.0)
    dead = propagation_tightness(model, batches)
    assert bool(dead.values.isnan().all()) and dead.readings()[0].n == 0


def test_sign_violations_are_counted() -> None:
    signs = torch.outer(torch.tensor([1.0, -1.0, 1.0]), torch.tensor([1.0, 1.0, -1.0, 1.0]))
    assert sign_violations(signs) == 0
    signs[0, 0] = -1
    assert sign_violations(signs) == 2 * 3
