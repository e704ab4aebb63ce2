"""Error added by small changes grows nearly linearly, and a gradient predicts how much."""

from __future__ import annotations

from functools import cache, partial
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.goal import Goal
from holdfast.core.kinds import Model, Threat
from holdfast.measures.model import power_law as file
from holdfast.measures.model.linear_distance import linear_distance
from holdfast.measures.model.power_law import power_law
from holdfast.threats.norms import L2, LInf

FOLDS, ROWS, WINDOW = 5, 1500, (0.005, 0.1)
STEP = PGD(steps=1, travel=1.0, start="none", climb="margin")


def _net(hidden: int, generator: torch.Generator) -> nn.Sequential:
    layers = [nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10)] if hidden else []
    model = nn.Sequential(*(layers or [nn.Linear(64, 10)]))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.15 * torch.randn(p.shape, generator=generator) if p.dim() > 1 else 0 * p)
    return model


@cache
def folds(seed: int, hidden: int) -> tuple[tuple[nn.Sequential, Batches], ...]:
    """A net for each fold, trained on the other four, and the rows of that fold, in float64."""
    from sklearn.datasets import load_digits

    data = load_digits()
    g = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.target), generator=g)[:ROWS]
    x, y = (
        torch.tensor(data.data / 16, dtype=torch.float32)[order],
        torch.tensor(data.target)[order],
    )
    found = []
    for fold in range(FOLDS):
        own = torch.arange(ROWS) % FOLDS == fold
        model = _net(hidden, g)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[~own]), y[~own]).backward()
            optimizer.step()
        model.zero_grad()
        found.append((model.double().eval(), Batches(x=x[own].double(), y=y[own], size=512)))
    return tuple(found)


def _euclidean(model: Model, x: Tensor, goal: Goal, threat: Threat) -> Tensor:
    """Bug: the Euclidean length of the slope, under a threat of another norm."""
    return linear_distance(model, x, goal, L2(radius=threat.radius))  # type: ignore[attr-defined]


def _through_walls(model: Model, x: Tensor, goal: Goal, threat: Threat) -> Tensor:
    """Bug: counts coordinates that the box keeps from moving."""
    free = LInf(radius=threat.radius, low=-9.0, high=9.0)  # type: ignore[attr-defined]
    return linear_distance(model, x, goal, free)


@cache
def curves(seed: int, hidden: int, mutant: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sizes, and added error and its prediction over all folds."""
    bugs = {"slope-of-another-norm": _euclidean, "slope-through-walls": _through_walls}
    slope = bugs.get(mutant, linear_distance)
    ask = partial(power_law, threat=LInf(radius=0.2), attack=STEP, window=(1e-9, 1.0), seed=seed)
    with patch.object(file, "linear_distance", slope):
        parts = [ask(model, rows) for model, rows in folds(seed, hidden)]
    added = np.mean([p.added for p in parts], axis=0)
    if mutant == "counts-clean-errors":
        clean = [float((m(b.x).argmax(1) != b.y).double().mean()) for m, b in folds(seed, hidden)]
        added = added + np.mean(clean)
    return np.array(parts[0].sizes), added, np.mean([p.predicted for p in parts], axis=0)


def trial(seed: int, mutant: str = "") -> Trial:
    """Exponent and quality of the fit for a net and a linear model; the prediction's error."""
    exponents, good = [], True
    for hidden in (64, 0):
        sizes, added, predicted = curves(seed, hidden, mutant)
        use = (added >= WINDOW[0]) & (added <= WINDOW[1])
        if use.sum() < 3:
            return Trial(0.0, 1.0, False)
        slope, height = np.polyfit(np.log(sizes[use]), np.log(added[use]), 1)
        left = np.log(added[use]) - slope * np.log(sizes[use]) - height
        fit = 1 - left.var() / np.log(added[use]).var()
        first = np.flatnonzero(use)[:5]
        off = abs(predicted[first].sum() / added[first].sum() - 1)
        exponents.append(float(slope))
        good &= bool(fit > 0.95 and off <= 0.25)
    left_side = sum(exponents) / 2
    return Trial(left_side, 1.0, good and 0.7 <= left_side <= 1.5)


CLAIM = Claim(
    paper="adv-power-law",
    methods=("measure:power-law",),
    says="On 1,500 digits in five folds the error added by one step fits a power of its size with "
    "a mean exponent between 0.7 and 1.5 and R2 above 0.95, for a net and a linear model, and the "
    "first-order prediction is within 25 % of it at the five smallest sizes of the fit.",
    left="mean exponent of both models",
    right="1",
    trial=trial,
    seeds=(41, 42, 43),
    mutants=("counts-clean-errors", "slope-of-another-norm", "slope-through-walls"),
    seconds=20,
    quick=False,
)
