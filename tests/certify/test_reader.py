"""What the reader of networks accepts is bounded rightly; what it cannot see is refused."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from holdfast.certify.linear.crown import CROWN
from holdfast.certify.linear.ibp import IBP
from holdfast.certify.reading.reader import read
from holdfast.certify.reading.recorder import Recorder
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Untargeted
from holdfast.threats.norms import LInf

GOAL = Untargeted(torch.zeros(4, dtype=torch.long))


def layer() -> nn.Linear:
    made = nn.Linear(4, 3).double()
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in made.parameters():
            p.copy_(torch.randn(p.shape, generator=g, dtype=p.dtype))
    return made


LIN, X = layer(), torch.rand(4, 4, generator=torch.Generator().manual_seed(2)).double()
LAST = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


def spike(value: float) -> Tensor:
    """What an attacker would hide: a jump in a strip so thin that no probe meets it."""
    return 50 * LAST if 0.50101 < value < 0.50102 else 0 * LAST


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, g):
        return g


class Hidden(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.from_numpy(np.tanh(x.numpy()))

    @staticmethod
    def backward(ctx, g):
        return g


def counting(state: list[int]):
    def model(z: Tensor) -> Tensor:
        state[0] += 1
        return LIN(z) * (1 if state[0] == 1 else 2)

    return model


def overwritten(z: Tensor) -> Tensor:
    c = z - 0.5
    view = c.view(-1, 4)
    c.relu_()
    return LIN(view)


def written(z: Tensor, view: bool = False) -> Tensor:
    """Values of the input in memory that the record takes for a constant."""
    c = torch.zeros(len(z), 4, dtype=z.dtype)
    part = c[:, :2] if view else c
    part += z[:, :2] if view else z
    return LIN(c if view else c.view(-1, 4)[: len(z)]) if view else LIN(z) + spiked(c)


def spiked(c: Tensor) -> Tensor:
    return 50 * LAST * (c[:1] > 2)


MASK = torch.tensor([True, False] * 8)[:, None]

REFUSED = {
    "tolist": lambda z: LIN(z) + spike(z.tolist()[0][0]),
    "numpy": lambda z: LIN(z) + spike(z.numpy()[0, 0]),
    "detached numpy": lambda z: LIN(z) + spike(z.detach().numpy()[0, 0]),
    "numpy of a view": lambda z: LIN(z) + spike(z.view(2, 2, -1).numpy()[0, 0, 0]),
    "data": lambda z: LIN(z.data),
    "data of a value": lambda z: LIN((z * 2).data),
    "asarray": lambda z: LIN(z) + spike(np.asarray(z)[0, 0]),
    "dlpack": lambda z: LIN(z) + spike(np.from_dlpack(z)[0, 0]),
    "storage": lambda z: LIN(z) + spike(z.untyped_storage()[0] / 255),
    "printing": lambda z: LIN(z) + spike(len(str(z))),
    "formatting": lambda z: LIN(z) + spike(len(f"{z}")),
    "deepcopy": lambda z: LIN(copy.deepcopy(z)),
    "item": lambda z: LIN(z) + spike(z.sum().item()),
    "float": lambda z: LIN(z) + spike(float(z.mean((0, 1)))),
    "branch": lambda z: LIN(z) if z.max() > 0 else -LIN(z),
    "equal": lambda z: LIN(z) if torch.equal(z, z) else LIN(z) * 2,
    "any": lambda z: LIN(z) if not z.isnan().any() else LIN(z) * 2,
    "hidden autograd function": lambda z: LIN(Hidden.apply(z)),
    "round": lambda z: LIN(z.round()),
    "cast": lambda z: LIN(z.long().double()),
    "other rows": lambda z: LIN(z.flip(0)),
    "cumulated rows": lambda z: LIN(z.cumsum(0)),
    "set item": lambda z: LIN(z.clone().index_fill_(1, torch.tensor([0]), 0.0)),
    "overwritten view": overwritten,
    "argmax": lambda z: LIN(z) * z.max(1, keepdim=True)[1],
    "argsort": lambda z: LIN(z) + spike(z.sort(1)[1][0, 0].item() / 7),
    "comparison": lambda z: LIN(z * (z > 0.50101)),
    "sum of rows": lambda z: LIN(z + z.sum(0)),
    "folded rows": lambda z: LIN((z.view(-1) @ z.view(-1)) * z),
    "softmax of rows": lambda z: LIN(z.softmax(0)),
    "sorted rows": lambda z: LIN(z.sort(0)[0]),
    "maximum of rows": lambda z: LIN(z - z.amax(0)),
    "product of rows": lambda z: LIN(z @ z.T @ z),
    "rolled rows": lambda z: LIN(z.roll(1, 0)),
    "rows as features": lambda z: LIN(z.view(2, 2, -1).transpose(0, 1).reshape(z.shape)),
    "written": lambda z: written(z),
    "written view": lambda z: written(z, view=True),
    "weights from the input": lambda z: nn.functional.linear(z, z[:1].expand(3, 4)),
    "a mask per row": lambda z: LIN(torch.where(MASK[: len(z)], z, -z)),
    "dropout": lambda z: nn.functional.dropout(LIN(z), training=True),
    "numpy noise": lambda z: LIN(z) + np.random.default_rng().random() * 1e-3,
    "state": counting([0]),
}  # fmt: skip

READ = {
    "added to zeros": lambda z: LIN(torch.zeros_like(z).add_(z)),
    "a part of a tuple": lambda z: LIN(z - z.max(1, keepdim=True)[0]),
    "transposed rows": lambda z: LIN(z.T.T),
    "clamp": lambda z: LIN(z.clamp(0, 0.5)),
    "squares": lambda z: LIN(z * z),
    "sorting": lambda z: LIN(z.sort(1).values),
    "custom autograd function": lambda z: LIN(Doubled.apply(z)),
    "copy": lambda z: LIN(z.clone().mul_(2)),
    "factor": lambda z: LIN(torch.sub(z, 0.5, alpha=2)),
    "one minus": lambda z: LIN(1 - z),
    "clamp at zero": lambda z: LIN((z - 0.5).clamp(min=0)),
    "vmap": lambda z: torch.vmap(LIN)(z),
    "tensordot": lambda z: torch.tensordot(z, LIN.weight.T, 1),
    "through float32": lambda z: LIN(z.float().double()),
    "shapes": lambda z: LIN(z.unflatten(1, (2, 2)).transpose(1, 2).flatten(1)),
    "in place": lambda z: LIN(nn.functional.relu(z - 0.5, inplace=True)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_recorder_cannot_see_is_refused(name: str) -> None:
    with pytest.raises(Unsupported):
        IBP()(REFUSED[name], X, GOAL, LInf(radius=0.05))


@pytest.mark.parametrize("name", READ)
def test_what_is_read_is_bounded(name: str) -> None:
    model, g = READ[name], torch.Generator().manual_seed(1)
    bounds = [m(model, X, GOAL, LInf(radius=0.05)).margin for m in (IBP(), CROWN())]
    with torch.no_grad():
        for _ in range(200):
            move = 0.05 * (2 * torch.rand(X.shape, generator=g) - 1).double().sign()
            margin = GOAL(model((X + move).clamp(0, 1)))
            assert all((margin <= b).all() for b in bounds)


def test_a_model_that_answers_nan_at_a_point_of_the_threat_is_refused() -> None:
    class Sometimes(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            out = LIN(z)
            return out if len(z) == 2 else out * torch.nan  # traced on two rows

    with pytest.raises(Unsupported, match="something else"):
        CROWN()(Sometimes(), X, GOAL, LInf(radius=0.05))


def test_layers_used_twice_are_bounded() -> None:
    square, g = nn.Linear(4, 4).double(), torch.Generator().manual_seed(1)

    def model(z: Tensor) -> Tensor:
        return LIN(torch.relu(square(torch.relu(square(z)))) + z)

    found = CROWN()(model, X, GOAL, LInf(radius=0.05)).margin
    with torch.no_grad():
        for _ in range(200):
            move = 0.05 * (2 * torch.rand(X.shape, generator=g) - 1).double().sign()
            assert (GOAL(model((X + move).clamp(0, 1))) <= found).all()


def test_the_compiler_of_torch_stays_out() -> None:
    """It is not loaded by reading, and where a model brings it along it sees the model only."""
    assert not hasattr(Recorder.__torch_dispatch__, "__wrapped__"), "torch would load it: seconds"
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    x, compiled = torch.rand(2, 3), []

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    kinds = [type(node.operator) for node in read(model, x).nodes]
    whole = torch.compile(model, backend=backend)
    assert [type(node.operator) for node in read(whole, x).nodes] == kinds
    assert len(compiled) <= 1


@pytest.mark.parametrize("how", ["traced", "scripted"])
def test_compiled_programs_are_read_as_they_were_written(how):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = nn.Sequential(
            nn.Conv2d(1, 2, 3, padding=1),
            nn.BatchNorm2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32, 3),
        ).eval()
    x = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    model = torch.jit.trace(made, x) if how == "traced" else torch.jit.script(made)
    threat = LInf(radius=0.05)
    torch.testing.assert_close(
        CROWN()(model, x, GOAL, threat).margin, CROWN()(made, x, GOAL, threat).margin
    )


def test_a_compiled_program_that_cannot_be_read_says_why():
    class Rounded(nn.Module):
        def forward(self, x):
            return torch.round(x.flatten(1)[:, :3])

    model = torch.jit.trace(Rounded(), X)
    with pytest.raises(Unsupported, match="round"):
        IBP()(model, X, GOAL, LInf(radius=0.05))
