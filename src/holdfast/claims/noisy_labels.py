"""The scene that claims about noisy labels share: digits, of whose labels 60 % are wrong.

A wrong label is any other class, each as likely. A net with 256 hidden units is trained for 100
epochs with Adam at 1e-3, long enough to learn wrong labels by heart, and judged as it ends.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from holdfast.claims.digits import accuracy, drawn, net
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.core.kinds import Loss
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.objectives.supervised import Supervised
from holdfast.run.loop import Training

ROWS, NOISE, EPOCHS = 1297, 0.6, 100


def noisy(seed: int) -> tuple[Batches, Batches, Batches]:
    """Rows with their visible labels, the same rows with the true ones, and 500 others."""
    g = torch.Generator().manual_seed(seed)
    x, y = drawn(g)
    true, test = y[:ROWS], Batches(x=x[ROWS:], y=y[ROWS:], size=500)
    other = (true + torch.randint(1, 10, (ROWS,), generator=g)) % 10
    seen = torch.where(torch.rand(ROWS, generator=g) < NOISE, other, true)
    return Batches(x=x[:ROWS], y=seen, size=64), Batches(x=x[:ROWS], y=true), test


def learned(seed: int, loss: Loss) -> tuple[float, float]:
    """Accuracy on held-out rows, and on the true labels of those that were learned from."""
    seen, true, test = noisy(seed)
    model: nn.Module = net(seed, 256)
    plan = Training(
        objective=Supervised(loss=loss),
        epochs=EPOCHS,
        optimizer=Later("torch:Adam", lr=1e-3),
        schedule="constant",
    )
    plan(model, seen)
    return accuracy(model, test), accuracy(model, true)


@cache
def plain(seed: int) -> tuple[float, float]:
    """The same with cross-entropy: what robust losses are held against."""
    return learned(seed, cross_entropy)
