"""Recipes on data that can be learned perfectly."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.certify.linear.ibp import IBP as Intervals
from holdfast.certify.lipschitz.certifier import Lipschitz
from holdfast.claims.digits import accuracy, split
from holdfast.core import catalog
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.core.goal import Untargeted
from holdfast.recipes.standard import CROWN_IBP, GLORO, IBP, PGD_AT, TRADES, Standard
from holdfast.run.search import search
from holdfast.threats.norms import L2, LInf


def world() -> Batches:
    """One wide feature that survives the threat, forty narrow ones that fit better and do not."""
    g = torch.Generator().manual_seed(0)
    y = torch.randint(2, (256,), generator=g)
    sign = (2.0 * y - 1)[:, None]
    wide = 0.5 + 0.25 * sign + 0.12 * torch.randn(256, 1, generator=g)
    narrow = 0.5 + 0.05 * sign + 0.01 * torch.randn(256, 40, generator=g)
    return Batches(x=torch.cat([wide, narrow], 1).clamp(0, 1), y=y, size=32)


def robust(model: nn.Module) -> float:
    data = world()
    found = search(PGD(steps=20), model, data.x, Untargeted(data.y), LInf(radius=0.1))
    return 1 - float(found.broken.double().mean())


@pytest.mark.parametrize("recipe", [PGD_AT, TRADES])
def test_hardening_hardens(recipe) -> None:
    torch.manual_seed(0)
    plain, hard = nn.Linear(41, 2), nn.Linear(41, 2)
    hard.load_state_dict(plain.state_dict())
    fast = Later("torch:Adam", lr=0.05)
    Standard(optimizer=fast, epochs=10)(plain, world())
    replace(recipe, optimizer=fast, epochs=10).against(LInf(radius=0.1))(hard, world())
    assert robust(plain) < 0.5 < 0.75 < robust(hard)


BOX, ROUND = LInf(radius=0.1), L2(radius=0.5)


@pytest.mark.parametrize(
    ("recipe", "certifier", "threat"),
    [(IBP, Intervals(), BOX), (CROWN_IBP, Intervals(), BOX), (GLORO, Lipschitz(), ROUND)],
    ids=["ibp", "crown-ibp", "gloro"],
)
def test_presets_prove_of_digits_what_plain_training_does_not(recipe, certifier, threat):
    data, test = split(0, 640)
    goal, proved, right = Untargeted(test.y), [], []
    for method in (Standard(), recipe.against(threat)):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
        )
        method(net, data)
        proved.append(float(certifier(net, test.x, goal, threat).proved.double().mean()))
        right.append(accuracy(net, test))
    assert proved[1] > proved[0] + 0.3, proved
    assert right[1] > 0.8, right


def test_recipes_are_built_from_text() -> None:
    built = catalog.build(
        "recipe:pgd-at", epochs="3", optimizer={"use": "torch:Adam", "lr": 0.01},
        hooks=[{"use": "hook:ema", "decay": 0.9}],
        objective={"use": "objective:pgd-at", "threat": {"use": "threat:linf", "radius": 0.2}},
    )  # fmt: skip
    assert built.epochs == 3 and built.objective.threat == LInf(radius=0.2)
    assert built.hooks[0].decay == 0.9
