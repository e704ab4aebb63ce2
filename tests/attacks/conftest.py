"""A small convolutional net in single precision for comparisons with other libraries."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def net():
    """A model, images in [0, 1], and the model's own answers as labels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(4 * 64, 10),
        ).eval()
        x = torch.rand(32, 1, 8, 8)
        return model, x, model(x).argmax(1)
