"""Clouds of points under drops and noise: a curriculum aimed at salient points, and none."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import pi

import torch
from torch import Tensor, nn

from holdfast.backward.meta import FirstOrderMAML
from holdfast.claims.fitted import accuracy, drawn
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.core.kinds import Objective
from holdfast.objectives.curriculum import PointCurriculum
from holdfast.ops.points import chosen_points, without
from holdfast.run.loop import Training

POINTS, ROWS, TEST, EPOCHS, DROP, SPREAD = 64, 300, 300, 12, 0.5, 0.05
ADAM = Later("torch:Adam", lr=3e-3)


def clouds(count: int, seed: int) -> Batches:
    """Spheres, cubes, tori, cones and plates of 64 points, turned around the upright axis."""
    g = torch.Generator().manual_seed(seed)
    u, v, w = torch.rand(3, count, POINTS, generator=g)
    a, b = 2 * pi * u, 2 * pi * v
    r = (1 - (2 * v - 1) ** 2).sqrt()
    sphere = torch.stack([r * a.cos(), r * a.sin(), 2 * v - 1], 2)
    flat = torch.stack([2 * u - 1, 2 * v - 1, 2 * w - 1], 2)
    cube = flat / flat.abs().amax(2, keepdim=True)
    ring = 0.7 + 0.3 * b.cos()
    torus = torch.stack([ring * a.cos(), ring * a.sin(), 0.3 * b.sin()], 2)
    root = v.sqrt()
    cone = torch.stack([root * a.cos(), root * a.sin(), 1 - 2 * root], 2)
    plate = torch.stack([2 * u - 1, 2 * v - 1, torch.zeros_like(u)], 2)
    y = torch.randint(5, (count,), generator=g)
    x = torch.stack([sphere, cube, torus, cone, plate], 1)[torch.arange(count), y]
    angle = 2 * pi * torch.rand(count, generator=g)
    c, s = angle.cos(), angle.sin()
    zero, one = torch.zeros(count), torch.ones(count)
    turn = torch.stack([c, -s, zero, s, c, zero, zero, zero, one], 1).view(count, 3, 3)
    size = 0.5 + 0.5 * torch.rand(count, 1, 1, generator=g)
    return Batches(x=size * (x @ turn.mT), y=y, size=50)


class PointNet(nn.Module):
    """Each point through the same small net, the maximum over points, and classes."""

    def __init__(self) -> None:
        super().__init__()
        self.point = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 64), nn.ReLU())
        self.classes = nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.classes(self.point(x).amax(1))
        return z


@cache
def _teacher(seed: int) -> nn.Module:
    """Meta-learned over clouds as they are, moved, and thinned by repeating points."""
    data = clouds(ROWS, seed)
    x, g = data.x.clone(), torch.Generator().manual_seed(seed)  # type: ignore[union-attr]
    group = torch.arange(ROWS) % 3
    x[group == 1] += SPREAD * torch.randn(x[group == 1].shape, generator=g)
    x[group == 2] = x[group == 2][:, torch.arange(POINTS) // 2]
    model = drawn(PointNet, seed + 50)
    tasks = replace(data, x=x, group=group)
    Training(backward=FirstOrderMAML(steps=1, rate=0.05), optimizer=ADAM, epochs=EPOCHS)(
        model, tasks, dice=Dice.of(ROWS, seed)
    )
    return model.eval()


@cache
def _net(seed: int, kind: str) -> nn.Module:
    end = {"drops": (DROP,), "spreads": (SPREAD,)}
    objectives: dict[str, Objective | str] = {
        "": PointCurriculum(teacher=_teacher(seed)), "plain": "objective:supervised",
        "constant": PointCurriculum(teacher=_teacher(seed), **end),  # type: ignore[arg-type]
        "never-rises": PointCurriculum(drops=(0.0,), spreads=(0.0,)),
    }  # fmt: skip
    model, data = drawn(PointNet, seed), clouds(ROWS, seed)
    epochs = EPOCHS if objectives[kind] != "objective:supervised" else 2 * EPOCHS
    Training(objective=objectives[kind], optimizer=ADAM, epochs=epochs)(
        model, data, dice=Dice.of(ROWS, seed)
    )
    return model.eval()


def _score(seed: int, kind: str, weight: Tensor | None = None, spread: float = SPREAD) -> float:
    """Accuracy without half of the points, by weight, and with the others moved."""
    test, model = clouds(TEST, seed + 900), _net(seed, kind)
    x: Tensor = test.x  # type: ignore[assignment]
    dice = Dice.of(TEST, seed)
    chance = dice.uniform((POINTS,), dtype=torch.float64)
    own = torch.ones(TEST, POINTS) if weight is None else weight
    kept = without(x, chosen_points(own, int(DROP * POINTS), chance))
    return accuracy(model, kept + spread * dice.normal(kept.shape[1:]), test.y)


def _aimed(seed: int, exact: bool) -> bool:
    """Shares add up to one, follow the points, and salient drops cost more than random ones."""
    model, test = _net(seed, "plain"), clouds(TEST, seed + 900)
    own = PointCurriculum().salient(model, test.whole)
    if not exact:
        own = 1 / own.clamp(min=1e-9)
    order = torch.randperm(POINTS, generator=torch.Generator().manual_seed(1))
    x: Tensor = test.x  # type: ignore[assignment]
    moved = test.whole._replace(x=x[:, order])
    follows = torch.allclose(PointCurriculum().salient(model, moved), own[:, order], atol=1e-5)
    harm = _score(seed, "plain", own, 0.0) < _score(seed, "plain", None, 0.0)
    return follows and harm and bool(torch.allclose(own.sum(1), torch.ones(TEST), atol=1e-4))


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy without half of the points and with noise, after the curriculum and without."""
    kind = "" if mutant == "aims-at-the-flat" else mutant
    left, right = _score(seed, kind), _score(seed, "plain")
    constant = _score(seed, "constant")
    aimed = _aimed(seed, mutant != "aims-at-the-flat")
    return Trial(left, right, left > right + 0.1 and left >= constant - 0.01 and aimed)


CLAIM = Claim(
    paper="intact",
    methods=("objective:point-curriculum", "backward:first-order-maml"),
    says="Without half of the points and with moves of 0.05, a net taught by the curriculum is "
    "more than ten points more accurate than one taught on clean clouds, and within one point of "
    "one under all the noise from the start; salient points cost more than random ones.",
    left="accuracy on spoilt clouds after the curriculum",
    right="after training on clean clouds",
    trial=trial,
    seeds=(1, 2, 3),
    mutants=("never-rises", "aims-at-the-flat"),
    seconds=30,
    quick=False,
    known="does not hold",
    why="a maximum over points bears drops as it is (0.92, 0.91, 0.88 without the curriculum), and "
    "a teacher meta-learned in 12 epochs is right on 62 percent of clean clouds",
)
