"""What smoothing certifies about small nets on handwritten digits: the scene of several claims."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from holdfast.certify.smoothing.randomized import Smoothing
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Model
from holdfast.defend.smoothed import smoothed
from holdfast.threats.norms import L2


def radii(model: Model, data: Batches, sigma: float, samples: int = 500) -> Tensor:
    """`(n,)`: certified radii of the rows, 0 where the answer is wrong or there is none."""
    x: Any = data.x
    certifier = Smoothing(selection=50, samples=samples, alpha=0.01, shared=True)
    found = certifier(
        smoothed(model, sigma=sigma), x, Untargeted(data.y), L2(radius=0.1),
        dice=Dice(0, data.index),
    )  # fmt: skip
    return found.radius if found.radius is not None else torch.zeros(len(data))


def certified(model: Model, data: Batches, sigma: float, radius: float) -> float:
    """Share of rows that are right and certified at a radius."""
    return float((radii(model, data, sigma) >= radius).double().mean())


def seeded(seed: int, *layers: type[nn.Module] | tuple[int, int]) -> nn.Sequential:
    """A net of linear layers, given by their sizes, and of others, with weights from a seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = [nn.Linear(*one) if isinstance(one, tuple) else one() for one in layers]
        return nn.Sequential(*made)
