"""The scene that claims about augmentation share: few digits, a small net, five common changes."""

from __future__ import annotations

from dataclasses import replace
from math import pi
from statistics import mean
from typing import Literal

import torch
from torch import Tensor, nn

from holdfast.claims.fitted import accuracy, convolutional, drawn, fitted, perceptron
from holdfast.claims.small_net import digits
from holdfast.core.kinds import Hook, Objective
from holdfast.ops.filters import smooth
from holdfast.ops.photometric import contrast, moved, rotation

Kind = Literal["convolutional", "perceptron", "smooth"]


def smoothed(hidden: int, seed: int) -> nn.Module:
    """A net of one hidden layer whose bends are smooth, so that slopes have slopes."""
    return drawn(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.Softplus(beta=10),
                                       nn.Linear(hidden, 10)), seed)  # fmt: skip


def learned(
    seed: int,
    *,
    kind: Kind = "perceptron",
    hooks: tuple[Hook, ...] = (),
    objective: Objective | str = "objective:supervised",
    rows: int = 300,
    epochs: int = 60,
) -> nn.Module:
    """A net after training on some digits of the first half, batches of 50, by Adam."""
    data = replace(digits(seed)[0].take(slice(0, rows)), size=50)
    made: dict[str, nn.Module] = {
        "convolutional": convolutional(1, 10, seed), "perceptron": perceptron(64, 64, 10, seed),
        "smooth": smoothed(64, seed),
    }  # fmt: skip
    model = fitted(made[kind], data, epochs=epochs, seed=seed, hooks=hooks, objective=objective)
    return model.eval()


def turned(x: Tensor, degrees: float) -> Tensor:
    """Images turned around their middle."""
    angle = torch.full((len(x),), degrees * pi / 180)
    return moved(x, rotation(angle), torch.zeros(len(x), 2))


def aside(x: Tensor, right: float, down: float = 0.0) -> Tensor:
    """Images moved by pixels, black behind them."""
    eye = torch.eye(2).expand(len(x), 2, 2)
    return moved(x, eye, torch.tensor([right, down]).expand(len(x), 2))


def corrupted(x: Tensor, seed: int) -> list[Tensor]:
    """Images under noise of 0.2, a blur, half the contrast, one pixel aside, turned by 15."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    half = contrast(x, torch.full((len(x),), 0.5))
    return [(x + 0.2 * noise).clamp(0, 1), smooth(x, 0.8), half, aside(x, 1.0), turned(x, 15.0)]


def scores(model: nn.Module, seed: int) -> tuple[float, float]:
    """Mean accuracy under the five changes, and on the second half of the digits as it is."""
    test = digits(seed)[1]
    x: Tensor = test.x  # type: ignore[assignment]
    hard = mean(accuracy(model, c, test.y) for c in corrupted(x, seed))
    return hard, accuracy(model, x, test.y)
