"""Random networks that are small enough to be decided."""

from __future__ import annotations

import torch
from torch import nn


def deep_net(g: torch.Generator, hidden: int) -> nn.Sequential:
    """Two inputs, two hidden layers of ReLUs, two classes; float64, drawn from the generator."""
    parts: list[nn.Module] = []
    for n, m in ((2, hidden), (hidden, hidden), (hidden, 2)):
        layer = nn.Linear(n, m).double()
        with torch.no_grad():
            layer.weight.copy_(torch.randn(m, n, generator=g, dtype=torch.float64))
            layer.bias.copy_(0.3 * torch.randn(m, generator=g, dtype=torch.float64))
        parts += [layer, nn.ReLU()]
    return nn.Sequential(*parts[:-1])
