"""A broken defence: refused unless for study, and exactly its formula then."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import build, find
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.adversary import LargestLoss, goal_of, worst
from holdfast.objectives.logit_pairing import LogitPairing
from holdfast.run.loop import Training
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import LInf

THREAT, STILL = LInf(radius=0.1), PGD(steps=2, start="none")
PAIRING = LogitPairing(study=True, threat=THREAT, attack=STILL, weight=0.7)


def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()


def batch() -> Batch:
    x = torch.rand(7, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Batch(x, torch.arange(7) % 3, torch.arange(7))


def run_of(model) -> TrainingRun:
    return TrainingRun(model, nn.ModuleDict(), Dice.of(7), 1)


def test_refused_by_name_unless_for_study():
    data = Batches(x=batch().x, y=batch().y)
    with pytest.raises(Unsupported, match="study=True"):
        Training(objective="objective:logit-pairing", epochs=1)(net(), data)
    Training(objective=build("objective:logit-pairing", study="true"), epochs=1)(net(), data)
    assert "mask" in find("objective:logit-pairing").says


def test_without_a_weight_it_is_training_on_both():
    model = net()
    twin = AdversarialTraining(threat=THREAT, attack=STILL, clean=0.5)
    ours = replace(PAIRING, weight=0.0)(run_of(model), batch())
    assert torch.allclose(ours, twin(run_of(model), batch()))


def test_each_pairing_is_its_formula():
    model, b = net(), batch()
    goal = LargestLoss(goal_of(b.y))
    change = worst(STILL, model, b.x, goal, THREAT, Dice.of(7), "eval")
    z, moved = model(b.x), model(b.x + change)
    plain, hard = (F.cross_entropy(v, b.y, reduction="none") for v in (z, moved))
    near = 0.7 * ((z - moved) ** 2).sum(1)
    assert torch.allclose(PAIRING(run_of(model), b), (plain + hard) / 2 + near)
    other = 0.7 * ((z - z[[6, 0, 1, 2, 3, 4, 5]]) ** 2).sum(1)
    clean = replace(PAIRING, pairs="clean", clean=1.0)
    assert torch.allclose(clean(run_of(model), b), plain + other)
    squeeze = replace(PAIRING, pairs="squeeze", clean=1.0)
    assert torch.allclose(squeeze(run_of(model), b), plain + 0.7 * (z**2).sum(1))
