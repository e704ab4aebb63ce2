"""The reversed gradient is minus the weight times that of the local loss, and reaches one side."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.objectives.patch_adversary import PatchAdversary
from holdfast.objectives.supervised import Supervised
from holdfast.run.training import TrainingRun


def scene(objective) -> tuple[nn.Module, TrainingRun, Batch]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3)).double()
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(6), 1)
    if hasattr(objective, "parts"):
        run.parts["objective"] = objective.parts(model)
    batch = Batch(torch.rand(6, 1, 6, 6, dtype=torch.float64), torch.arange(6) % 3, torch.arange(6))
    return model, run, batch


def gradients(objective) -> tuple[list[Tensor], TrainingRun, Batch]:
    model, run, batch = scene(objective)
    objective(run, batch).mean().backward()
    return [p.grad.clone() for p in model.parameters()], run, batch


def unit(h: Tensor) -> Tensor:
    return h / h.square().mean((1, 2, 3), keepdim=True).sqrt()


def local(run: TrainingRun, batch: Batch, head: nn.Module) -> Tensor:
    z = head(unit(run.model[0](batch.x)))
    return F.cross_entropy(z, batch.y[:, None, None].expand(-1, *z.shape[2:]))


@pytest.mark.parametrize("weight", [0.0, 0.7])
@pytest.mark.parametrize("reads", ["place", "patch", "deep"])
def test_both_gradients(weight, reads):
    plain, _, _ = gradients(Supervised())
    own, run, batch = gradients(PatchAdversary(weight=weight, warmup=0.0, pace=2.0, reads=reads))
    if not weight:
        assert all(torch.equal(a, b) for a, b in zip(own, plain, strict=True))
    head = run.parts["objective"]
    found = [p.grad.clone() for p in head.parameters()]
    run.model.zero_grad()
    head.zero_grad()
    # The cut at log K acts row by row; here no row is beyond it by construction of the weights.
    losses = F.cross_entropy(
        head(unit(run.model[0](batch.x))).flatten(2),
        batch.y[:, None].expand(-1, 16), reduction="none",
    ).mean(1)  # fmt: skip
    below = losses < torch.log(torch.tensor(3.0).double())
    (losses * below).mean().backward()
    for a, b, p in zip(own, plain, run.model.parameters(), strict=True):
        reverse = torch.zeros_like(a) if p.grad is None else p.grad
        assert torch.allclose(a, b - weight * reverse, atol=1e-12)
    head.zero_grad()
    local(run, batch, head).backward()
    for f, p in zip(found, head.parameters(), strict=True):
        assert torch.allclose(f, 2.0 * p.grad, atol=1e-12)


def test_nothing_is_reversed_in_the_warmup():
    plain, _, _ = gradients(Supervised())
    own, _, _ = gradients(PatchAdversary(weight=1.0, warmup=0.5))
    assert all(torch.equal(a, b) for a, b in zip(own, plain, strict=True))


def test_layers_by_name():
    model, _, _ = scene(Supervised())
    assert PatchAdversary(layer="3").site(model) is model[3]
    with pytest.raises(ConfigError):
        PatchAdversary(layer="conv9").site(model)
    with pytest.raises(Unsupported):
        PatchAdversary().site(nn.ReLU())
