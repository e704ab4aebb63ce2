"""A growing threat: the size it has at each point of a run, and what it leaves as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import settings
from holdfast.core.kinds import Objective, Run, Threat
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.growing import GrowingThreat
from holdfast.recipes.adversarial import N_FGSM
from holdfast.recipes.families import families
from holdfast.recipes.short import SHORT_AT
from holdfast.run.loop import Control, Training
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import LInf

WEIGHT = torch.tensor([[1.0, -2.0, 0.5, 3.0], [-1.0, 1.0, 2.0, 0.0]]).double()
INNER = PGD(steps=3, travel=2.5, climb="soft")


def linear() -> nn.Linear:
    net = nn.Linear(4, 2, bias=False).double()
    with torch.no_grad():
        net.weight.copy_(WEIGHT)
    return net


def at(progress: float, model: nn.Module) -> TrainingRun:
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(6, 0), 100)
    run.progress = progress
    return run


@pytest.mark.parametrize(
    ("progress", "size"), [(0.0, 0.0), (0.2, 0.0), (0.3, 0.25), (0.5, 0.75), (0.6, 1.0), (1.0, 1.0)]
)
def test_the_loss_is_that_of_the_grown_radius(progress: float, size: float) -> None:
    """On a linear net the worst loss is known: the margin falls by radius times |w_0 - w_1|_1."""
    x, y = torch.full((6, 4), 0.5).double(), torch.arange(6) % 2
    base = AdversarialTraining(threat=LInf(radius=0.1), attack=INNER)
    net = linear()
    losses = GrowingThreat(base=base, wait=0.2, end=0.6)(at(progress, net), Batch(x, y, y))
    z = x @ WEIGHT.T
    margin = z.gather(1, y[:, None]) - z.gather(1, 1 - y[:, None])
    lost = 0.1 * size * (WEIGHT[0] - WEIGHT[1]).abs().sum()
    assert torch.allclose(losses, nn.functional.softplus(lost - margin.flatten()), atol=1e-6)


@pytest.mark.parametrize("plan", [N_FGSM, SHORT_AT])
def test_with_end_0_a_run_is_that_of_the_base(plan: Training) -> None:
    x = torch.rand(24, 4, generator=torch.Generator().manual_seed(1)).double()
    data = Batches(x=x, y=(x[:, 0] > 0.5).long(), size=8)
    growing = plan.against(LInf(radius=0.1)).objective
    assert isinstance(growing, GrowingThreat)
    found = []
    for objective in (growing.base, replace(growing, wait=0.0, end=0.0), growing):
        net = linear()
        replace(plan, objective=objective, epochs=3)(net, data)
        found.append(net.weight.detach().clone())
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_the_presets_can_be_aimed_and_are_read_as_a_worst_case() -> None:
    for plan in (N_FGSM, SHORT_AT):
        aimed = plan.against(LInf(radius=0.05))
        assert aimed.objective.threat == LInf(radius=0.05)  # type: ignore[union-attr]
        assert [f.name for f in families(aimed)] == ["worst case"]


@settings
class Counted(Objective):
    """Counts its steps in the run's memory."""

    threat: Threat = LInf(radius=0.1)

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        memory = run.memory(self)
        memory["steps"] = memory.get("steps", 0) + 1
        memory.setdefault("radii", []).append(float(self.threat.radius))  # type: ignore[attr-defined]
        found: Tensor = run.model(batch.x).square().sum(1)
        return found


def test_the_base_remembers_one_life_at_every_size() -> None:
    x = torch.rand(16, 4).double()
    base = Counted()
    plan = Training(objective=GrowingThreat(base=base, wait=0.0, end=0.5), epochs=4)
    run = plan(linear(), Batches(x=x, y=torch.arange(16) % 2, size=8))
    memory = run.memory(base)
    assert memory["steps"] == 8
    assert memory["radii"] == pytest.approx([0, 0.025, 0.05, 0.075, 0.1, 0.1, 0.1, 0.1])


def test_a_run_that_was_stopped_goes_on_with_the_same_weights(tmp_path) -> None:  # type: ignore[no-untyped-def]
    x = torch.rand(24, 4, generator=torch.Generator().manual_seed(1)).double()
    data = Batches(x=x, y=(x[:, 0] > 0.5).long(), size=8)
    plan = replace(SHORT_AT.against(LInf(radius=0.1)), epochs=4)
    whole, pieces = linear(), linear()
    plan(whole, data)
    plan(pieces, data, control=Control(folder=tmp_path, progress=lambda r: r.step >= 4))
    again = linear()
    plan(again, data, control=Control(folder=tmp_path))
    assert torch.equal(whole.weight, again.weight) and not torch.equal(whole.weight, pieces.weight)


def test_an_objective_without_a_threat_cannot_grow() -> None:
    x = torch.rand(6, 4).double()
    with pytest.raises(Unsupported, match="names no threat"):
        GrowingThreat(base="objective:supervised")(
            at(0.0, linear()), Batch(x, torch.arange(6) % 2, torch.arange(6))
        )
