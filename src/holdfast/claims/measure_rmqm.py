"""Even steps score higher than uneven ones of the same way, in any unit."""

from __future__ import annotations

from unittest.mock import patch

import torch
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.kinds import Model
from holdfast.measures.model import trajectory
from holdfast.measures.model.trajectory import RMQM, path_quality, rmqm
from holdfast.threats.norms import LInf

REACH = LInf(radius=0.3)


def _unscaled(paths: Tensor, *, normalize: bool, name: str, alpha: float, seed: int) -> RMQM:
    """Bug: features in their own unit."""
    return path_quality(paths, normalize=False, name=name, alpha=alpha, seed=seed)


def _from_the_start(paths: Tensor, *, normalize: bool, name: str, alpha: float, seed: int) -> RMQM:
    """Bug: distances from the beginning where steps belong."""
    away = (paths - paths[:, :1]).norm(dim=2, keepdim=True).cumsum(1)
    spread = torch.pdist(paths[:, 0]).mean()
    return path_quality(away / spread, normalize=False, name=name, alpha=alpha, seed=seed)


BUGS = {"own-unit": _unscaled, "distance-for-step": _from_the_start}


def trial(seed: int, mutant: str = "") -> Trial:
    """A linear encoder, the same times three, and a staircase that goes as far in jumps."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(60, 6, generator=g, dtype=torch.float64)
    layer = nn.Linear(6, 6, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.eye(6))

    def stairs(x: Tensor) -> Tensor:
        return (12 * x).round() / 12

    def score(encoder: Model) -> RMQM:
        return rmqm(encoder, Batches(x=x, y=torch.zeros(60).long()), threat=REACH, seed=seed)

    with patch.object(trajectory, "path_quality", BUGS.get(mutant, path_quality)):
        even, scaled, uneven = score(layer), score(lambda x: 3 * layer(x)), score(stairs)
    # What a step varies by is relative; of two steps near zero it may be anything.
    still = float(even.variation.max()) < 1e-6
    same = bool(torch.allclose(even.score, scaled.score, rtol=1e-9))
    left, right = float(uneven.score.mean()), float(even.score.mean())
    return Trial(left, right, still and same and left < right)


CLAIM = Claim(
    paper="measure:rmqm",
    methods=("measure:rmqm",),
    says="Steps of a linear encoder do not vary, its score does not depend on its scale, and a "
    "staircase along the same way scores less.",
    left="score of the staircase",
    right="score of the linear encoder",
    trial=trial,
    mutants=("own-unit", "distance-for-step"),
    seconds=1,
)
