"""Convex robust training: as hard to attack as adversarial training, and bounded by its value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast
from unittest.mock import patch

import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from sklearn.datasets import make_moons
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Later
from holdfast.core.goal import Untargeted
from holdfast.ops import gates
from holdfast.recipes import convex
from holdfast.recipes.convex import Convex
from holdfast.recipes.standard import PGD_AT, Standard
from holdfast.run.search import search
from holdfast.threats.norms import LInf

THREAT = LInf(radius=0.15, low=-4.0, high=4.0)  # as in the sheet; the box never binds
_interior, _program = gates.interior, gates.program


def crossed(x: Tensor, gate: Tensor, radius: float, moved: int) -> Tensor | None:
    """Bug: a unit has to keep its pattern at the rows only, not for every change."""
    return _interior(x, gate, 0.0, moved)


def loosened(x: Tensor, sign: Tensor, kept: Tensor, units: Tensor, **known: Any) -> Any:
    """Bug: the same in the program: `radius |u|_1` is missing from the pattern constraints."""
    made, start = _program(x, sign, kept, units, **known)
    patterned, bounds = len(made.cones) * len(x), made.cones.size + len(x)
    rows = made.rows.toarray()
    rows[:patterned, bounds:] *= 1e-3  # not zero: the bounds would have no end
    entries = start[made.cones[:, 1 : 1 + known["moved"]]]
    start[bounds:][: entries.size] = 1 + abs(entries).ravel()
    return replace(made, rows=csr_matrix(rows)), start


def _moons(rows: int, seed: int) -> Batches:
    x, y = make_moons(rows, noise=0.1, random_state=seed)
    return Batches(x=torch.from_numpy(x), y=torch.from_numpy(y), size=rows)


def _net(seed: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, 2)).double()


def _worst(model: nn.Module, data: Batches) -> Tensor:
    x = cast(Tensor, data.x)
    attack = PGD(steps=40, restarts=5)
    found = search(attack, model, x, Untargeted(data.y), THREAT, dice=Dice.of(len(data), 9))
    return found.margin  # the adversary's, negative where the row stands


def trial(seed: int, mutant: str = "") -> Trial:
    """Robust accuracy of three networks; the value must bound the loss under attack."""
    data, fresh = _moons(60, seed), _moons(500, seed + 1000)
    bugs = {
        "": (_interior, _program), "trains-clean": (_interior, _program),
        "patterns-may-change": (crossed, loosened),
    }[mutant]  # fmt: skip
    recipe = Convex(threat=THREAT if mutant != "trains-clean" else LInf(radius=0.0))
    hard = _net(seed)
    try:
        with patch.object(gates, "interior", bugs[0]), patch.object(convex, "program", bugs[1]):
            run = recipe(hard, data, dice=Dice.of(60, seed))
    except Unsupported:  # the solver notices that a bug leaves it no inside to start from
        if not mutant:
            raise
        return Trial(0.0, 1.0, False)
    attacked = float(F.relu(1 + _worst(hard, data)).mean())  # mean hinge loss under attack
    bounded = attacked <= run.history[0]["loss"] + 1e-6
    own = {"hard": hard, "adversarial": _net(seed), "clean": _net(seed)}
    plan: dict[str, Any] = {"optimizer": Later("torch:Adam", lr=0.01), "epochs": 300}
    replace(PGD_AT, **plan).against(THREAT)(own["adversarial"], data, dice=Dice.of(60, seed))
    Standard(**plan)(own["clean"], data, dice=Dice.of(60, seed))
    right = {name: float((_worst(net, fresh) < 0).double().mean()) for name, net in own.items()}
    bar = max(right["adversarial"] - 0.02, right["clean"] + 0.1)
    return Trial(right["hard"], bar, bounded and right["hard"] >= bar)


CLAIM = Claim(
    paper="convex-adversarial",
    methods=("recipe:convex",),
    says="On two moons (60 rows, l-inf 0.15) the convex program gives at least the robust accuracy "
    "of adversarial training less 2 points and 10 points more than clean training, and its value "
    "bounds the loss under attack.",
    left="robust accuracy of the convex program on fresh rows",
    right="the larger of the two bars",
    trial=trial,
    mutants=("patterns-may-change", "trains-clean"),
    seconds=80,
    quick=False,
    known="does not hold",
    why="the bound holds, the accuracy does not: no line passes 60 moons at a distance of 0.15, "
    "so only the affine unit keeps its pattern, while clean training already has 90 to 95 %",
)
