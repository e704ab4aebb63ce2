"""Vectors added to patches: nothing at first, and nothing else is ever trained."""

import pytest
import torch
from torch import nn

from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.fields import Later
from holdfast.layers.patch_tokens import PatchTokens, with_patch_tokens
from holdfast.objectives.resolution import ResolutionDistillation
from holdfast.ops.resize import at_resolution
from holdfast.run.loop import Training
from holdfast.run.training import TrainingRun


class Small(nn.Module):
    """Four patches and a class token through one linear block."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(1, 6, 4, 4)
        self.block = nn.Sequential(nn.Linear(6, 6), nn.Tanh())

    def forward(self, x):
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        seen = torch.cat([tokens.mean(1, keepdim=True), tokens], 1)
        return self.block(seen).mean(1)


def made():
    torch.manual_seed(0)
    return Small(), torch.rand(8, 1, 8, 8)


def test_tokens_change_nothing_until_trained_and_the_rest_stays():
    model, x = made()
    student = with_patch_tokens(model, ["block"], 4, 6)
    assert torch.equal(student(x), model(x))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    objective = ResolutionDistillation(teacher=model, shares=(0.25,))
    data = Batches(x=x, y=torch.full((8,), -100), size=8)
    fast = Later("torch:Adam", lr=0.01)
    Training(objective=objective, epochs=3, optimizer=fast)(student, data)
    assert student.block.tokens.abs().min() > 0
    for k, v in student.state_dict().items():
        if k != "block.tokens":
            assert torch.equal(v, before[k.replace("block.block", "block")])


def test_only_the_patches_are_moved():
    layer = PatchTokens(nn.Identity(), 3, 2)
    with torch.no_grad():
        layer.tokens.fill_(1)
    x = torch.zeros(1, 5, 2)
    assert layer(x)[0, :, 0].tolist() == [0, 0, 1, 1, 1]
    with pytest.raises(ShapeError):
        layer(torch.zeros(1, 2, 2))
    with pytest.raises(ConfigError):
        with_patch_tokens(made()[0], ["nowhere"], 4, 6)


def test_the_loss_is_the_contrast_of_both_resolutions():
    model, x = made()
    objective = ResolutionDistillation(teacher=model, shares=(0.25,), temperature=0.5)
    batch = Batch(x, torch.full((8,), -100), torch.arange(8))
    run = TrainingRun(model, nn.ModuleDict(), Dice(0, batch.index), 1)
    run.own([objective])
    got = objective(run, batch).detach()

    def unit(v):
        return v / v.norm(dim=1, keepdim=True)

    known = unit(model(x))
    total = torch.zeros(8)
    for seen in (known, unit(model(at_resolution(x, 0.25).clamp(0, 1)))):
        alike = (seen @ known.T / 0.5).exp()
        for k in range(8):
            total[k] -= torch.log(alike[k, k] / alike[k].sum()) / 4
            total[k] -= torch.log(alike[k, k] / alike[:, k].sum()) / 4
    assert torch.allclose(got, total.detach(), atol=1e-5)
