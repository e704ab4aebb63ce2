"""Small nets with drawn weights and a short training: what claims about shifts are tried on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.core.kinds import Hook, Objective
from holdfast.run.loop import Training


def drawn(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A module whose weights come from the seed; the global random state stays."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def perceptron(inputs: int, hidden: int, classes: int, seed: int) -> nn.Module:
    """A net of one hidden layer on flattened inputs, brought from [0, 1] to [-1, 1]."""
    return drawn(lambda: nn.Sequential(nn.Flatten(), Centred(), nn.Linear(inputs, hidden),
                                       nn.ReLU(), nn.Linear(hidden, classes)), seed)  # fmt: skip


class Centred(nn.Module):
    """From [0, 1] to [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x - 1


def convolutional(channels: int, classes: int, seed: int, width: int = 12) -> nn.Module:
    """Two convolutions with a maximum after each, and one linear layer, for any size of image."""
    return drawn(lambda: nn.Sequential(
        nn.Conv2d(channels, width, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d(2), nn.Flatten(),
        nn.Linear(64, classes)), seed)  # fmt: skip


def fitted(
    model: nn.Module,
    data: Batches,
    *,
    epochs: int,
    seed: int = 0,
    optimizer: Later | None = None,
    objective: Objective | str = "objective:supervised",
    hooks: tuple[Hook, ...] = (),
) -> nn.Module:
    """The model after training, by Adam unless said."""
    fast = optimizer if optimizer is not None else Later("torch:Adam", lr=3e-3)
    Training(objective=objective, epochs=epochs, optimizer=fast, hooks=hooks)(
        model, data, dice=Dice.of(len(data), seed)
    )
    return model


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of rows that the model gets right."""
    with torch.no_grad():
        return float((model(x).argmax(1) == y).double().mean())
