"""Training on natural variations against distortions that nobody trained for."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.claims.digits import split, trained
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.core.kinds import Objective
from holdfast.objectives.natural import NaturalTransformations
from holdfast.ops.latent import PrincipalGenerator, neutral
from holdfast.run.loop import Training

ROWS, EPOCHS, RANK = 400, 30, 20


def _sheared(x: Tensor, by: float) -> Tensor:
    """Slanted digits."""
    turn = torch.tensor([[1.0, by, 0.0], [0.0, 1.0, 0.0]]).expand(len(x), 2, 3)
    places = F.affine_grid(turn, [len(x), 1, 8, 8], align_corners=False)
    return F.grid_sample(x.view(-1, 1, 8, 8), places, align_corners=False).flatten(1)


def _thick(x: Tensor, by: float) -> Tensor:
    """Thicker, or for negative shares thinner strokes."""
    image = x.view(-1, 1, 8, 8)
    wide = F.max_pool2d(image, 3, 1, 1) if by > 0 else -F.max_pool2d(-image, 3, 1, 1)
    return torch.lerp(image, wide, abs(by)).flatten(1)


def distortions(x: Tensor) -> list[Tensor]:
    """Slant, thickness and contrast, both ways: made by nothing that the generator knows."""
    slants = [_sheared(x, by) for by in (-0.5, 0.5)]
    strokes = [_thick(x, by) for by in (-0.5, 0.5)]
    return [*slants, *strokes, 0.4 * x, (0.5 * x + 0.4).clamp(0, 1)]


@cache
def auxiliary(seed: int) -> nn.Sequential:
    """A net of its own that says which directions leave the class alone."""
    return trained(seed + 1000, split(seed, ROWS)[0], "objective:supervised", 20)


@cache
def judged(seed: int, kind: str) -> tuple[float, float]:
    """Clean accuracy, and the mean over the distortions."""
    data, test = split(seed, ROWS)
    x: Any = data.x
    maker = PrincipalGenerator.fit(x, RANK)
    more: dict[str, Any] = {"generator": maker}
    if kind != "standard":
        more["directions"] = neutral(
            maker.decode, maker.encode(x), torch.eye(RANK), auxiliary(seed), length=2.0
        )
    if kind == "moves-nothing":
        kind, more["magnitude"] = "worst", 0.0
    objective: Objective | str = "objective:supervised"
    if kind != "standard":
        objective = NaturalTransformations(mode=kind, **more)  # type: ignore[arg-type]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    fast = Later("torch:Adam", lr=2e-3)
    Training(objective=objective, epochs=EPOCHS, optimizer=fast)(
        model, Batches(x=x, y=data.y, size=64)
    )

    def right(x: Tensor) -> float:
        with torch.no_grad():
            return float((model(x).argmax(1) == test.y).double().mean())

    seen: Any = test.x
    each = [right(moved) for moved in distortions(seen)]
    return right(seen), sum(each) / len(each)


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean accuracy under distortions after worst variations, after drawn ones, after none."""
    (clean, worst) = judged(seed, mutant or "worst")
    (base, standard), (_, drawn) = judged(seed, "standard"), judged(seed, "random")
    good = worst >= standard + 0.03 and clean >= base - 0.01
    return Trial(worst, standard, good and standard <= drawn <= worst)


CLAIM = Claim(
    paper="natra",
    methods=("objective:natra",),
    says="Trained on the worst natural variations of a linear generator it is 3 points more "
    "accurate under distortions that nobody trained for, at 1 point of clean accuracy at most; "
    "drawn variations lie between.",
    left="mean accuracy under slant, thickness and contrast, worst variations",
    right="the same after plain training",
    trial=trial,
    mutants=("moves-nothing",),
    seconds=40,
    quick=False,
    known="does not hold",
    why="with 20 principal components for a generator it ends 0 to 2 points below plain training; "
    "a linear generator may simply not hold slant and thickness",
)
