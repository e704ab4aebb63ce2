"""Lipschitz certificates against written-out matrices, closed forms and attacks."""

import pytest
import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.certify.lipschitz.certifier import Lipschitz
from holdfast.certify.lipschitz.norms import crude_norm, norm_above, on_torus, power_norm
from holdfast.certify.network.operators import Convolution
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Untargeted
from holdfast.layers.lipschitz import (
    LinearResidual,
    MinMax,
    Orthogonal,
    Residual,
    UnitRows,
    liresnet,
)
from holdfast.run.search import search
from holdfast.testing.worlds import three_class
from holdfast.threats.norms import L1, L2, LInf

G = torch.Generator().manual_seed(0)
CASES = [  # outputs, inputs, kernel, stride, padding, dilation, groups, size
    (4, 3, 3, 1, 1, 1, 1, 6), (4, 4, 3, 2, 1, 1, 2, 7), (6, 4, 3, 1, 2, 2, 2, 8),
    (4, 3, 5, 2, 2, 1, 1, 8), (4, 4, 2, 2, 0, 1, 1, 6), (2, 2, 3, 3, 1, 2, 1, 9),
]  # fmt: skip


def weights(model: nn.Module, dtype: torch.dtype = torch.float64, scale: float = 0.6) -> nn.Module:
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(scale * torch.randn(p.shape, generator=G) / max(p[0].numel(), 1) ** 0.5)
    return model.to(dtype).eval()


@pytest.mark.parametrize("case", CASES)
def test_convolutions_are_bounded_by_their_frequencies_and_by_their_matrix(case) -> None:
    outs, ins, k, s, p, d, g, n = case
    weight = torch.randn(outs, ins // g, k, k, generator=G, dtype=torch.float64)
    op = Convolution(weight, None, (s, s), (p, p), (d, d), g, (n, n))
    eye = torch.eye(ins * n * n, dtype=torch.float64).reshape(-1, ins, n, n)
    exact = float(torch.linalg.svdvals(op.linear([eye]).flatten(1))[0])
    torus, best = float(on_torus(op)), float(norm_above(op, (ins, n, n)))
    assert exact <= best <= torus and exact <= torus <= 1.5 * exact
    assert best <= exact * (1 + 1e-9)
    assert exact <= float(crude_norm(op, (ins, n, n)))
    seen = float(power_norm(op, (ins, n, n), 300, None)[0])
    assert 0.999 * exact <= seen <= exact * (1 + 1e-12)


def test_the_torus_is_exact_on_a_long_input_in_the_limit() -> None:
    weight = torch.tensor([[[1.0, 2.0, 1.0]]], dtype=torch.float64)
    op = Convolution(weight, None, (1,), (1,), (1,), 1, (64,))
    assert 4 <= float(on_torus(op)) <= 4 + 1e-9  # the sum of the kernel, at frequency zero


def test_layers_keep_lengths_and_blocks_are_one_convolution() -> None:
    x, y = (torch.randn(5, 6, 4, 4, generator=G, dtype=torch.float64) for _ in range(2))
    turn = MinMax()
    assert torch.allclose(turn(x).flatten(1).norm(dim=1), x.flatten(1).norm(dim=1), atol=1e-12)
    apart = (turn(x) - turn(y)).flatten(1).norm(dim=1)
    assert bool((apart <= (x - y).flatten(1).norm(dim=1) + 1e-12).all())
    block = weights(LinearResidual(6, depth=4))
    branch = torch.nn.functional.conv2d(x, block.branch, padding=1)
    expected = x + 0.5 * block.gain[:, None, None] * branch + block.bias[:, None, None]
    assert torch.allclose(block(x), expected, atol=1e-12)
    for shape in ((8, 5), (5, 8)):
        matrix = weights(Orthogonal(*shape)).matrix
        values = torch.linalg.svdvals(matrix)
        assert float(values.max()) <= 1 and float(values.min()) > 0.97
    assert torch.allclose(weights(UnitRows(5, 3)).matrix.norm(dim=1), torch.ones(3).double())


def test_the_radius_of_an_orthogonal_linear_net_is_the_distance_to_the_boundary() -> None:
    turn = nn.Linear(8, 8).double()
    with torch.no_grad():
        turn.weight.copy_(torch.linalg.qr(torch.randn(8, 8, generator=G).double()).Q)
    world = three_class(rows=8)
    head = nn.Linear(8, 3).double()
    with torch.no_grad():
        head.weight.copy_(world.model.weight @ turn.weight.T)
        head.bias.copy_(world.model.bias - head.weight @ turn.bias)
    model = nn.Sequential(turn, head).eval()
    found = Lipschitz()(model, world.x, world.goal, L2(radius=0.01))
    assert torch.allclose(found.radius, world.radius(2), rtol=1e-9)
    assert bool((found.radius <= world.radius(2)).all())


class Skip(nn.Module):
    """No Sequential: it has to be read."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(x + torch.relu(self.a(x)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["minmax", "residual", "convolution", "liresnet", "read"])
def test_no_attack_leaves_the_bound_or_succeeds_inside_the_radius(kind, dtype) -> None:
    model: nn.Module = {
        "minmax": lambda: nn.Sequential(nn.Linear(8, 16), MinMax(), nn.Linear(16, 3)),
        "residual": lambda: nn.Sequential(
            nn.Linear(8, 16), nn.ReLU(), Residual(nn.Linear(16, 16), nn.ReLU()),
            Orthogonal(16, 6), UnitRows(6, 3)),
        "convolution": lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Flatten(),
            nn.Linear(4, 3)),
        "liresnet": lambda: liresnet(3, inputs=2, width=4, depth=2, size=4, neck=4),
        "read": Skip,
    }[kind]()  # fmt: skip
    model = weights(model, dtype, 1.5)
    shape = (2, 4, 4) if kind in ("convolution", "liresnet") else (8,)
    x = torch.rand(12, *shape, generator=G, dtype=torch.float64).to(dtype)
    with torch.no_grad():
        goal = Untargeted(model(x).argmax(1))
    attack = PGD(steps=20, restarts=3)
    for threat in (L2(radius=0.2), LInf(radius=0.05), L1(radius=0.3)):
        found = Lipschitz()(model, x, goal, threat)
        margin = search(attack, model, x, goal, threat).margin.double()
        assert bool((margin <= found.margin).all())
    radius = Lipschitz()(model, x, goal, L2(radius=0.2)).radius
    for row in range(4):
        one = slice(row, row + 1)
        inside = L2(radius=float(radius[row]), low=-10.0, high=10.0)
        assert not bool(search(attack, model, x[one], goal.take(one), inside).broken.any())


def test_what_is_not_what_its_layers_say_is_refused() -> None:
    class Twice(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * torch.sigmoid(super().forward(x))

    x, goal = torch.rand(3, 4), Untargeted(torch.zeros(3, dtype=torch.int64))
    hooked = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    patched = nn.Sequential(nn.Linear(4, 2))
    patched[0].forward = lambda x: 3 * nn.functional.linear(x, patched[0].weight).sigmoid()
    for model in (nn.Sequential(Twice(4, 2)), hooked, patched):
        with pytest.raises(Unsupported):
            Lipschitz()(model.eval(), x, goal, L2(radius=0.1))
