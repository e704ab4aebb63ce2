"""Back-propagation against the gradient in closed form."""

import torch
from torch import nn

from holdfast.backward.backprop import Backprop
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.fields import settings
from holdfast.core.kinds import Objective, Run
from holdfast.run.training import TrainingRun


@settings
class Squares(Objective):
    """Half the squared error of each row."""

    def __call__(self, run: Run, batch: Batch) -> torch.Tensor:
        return (run.model(batch.x).squeeze(1) - batch.y).square() / 2


def test_gradient_is_that_of_the_mean_and_adds_to_what_is_there() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(7, 3, generator=g).double(), torch.randn(7, generator=g).double()
    model = nn.Linear(3, 1, bias=False).double()
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(7), 1)
    batch = Batch(x, y, torch.arange(7))
    losses = Backprop()(run, batch, Squares())
    off = x @ model.weight[0].detach() - y
    assert torch.allclose(losses, off.square() / 2) and not losses.requires_grad
    assert torch.allclose(model.weight.grad[0], x.T @ off / 7, atol=1e-12)
    Backprop()(run, batch.take(slice(0, 2)), Squares())
    expected = x.T @ off / 7 + x[:2].T @ off[:2] / 2
    assert torch.allclose(model.weight.grad[0], expected, atol=1e-12)
