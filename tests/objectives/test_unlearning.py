"""Unlearning under attack against its targets."""

from __future__ import annotations

import torch
from torch import nn

from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.objectives.unlearning import AdversarialUnlearning, Near
from holdfast.run.search import search
from holdfast.run.training import TrainingRun
from holdfast.threats.embedding import Embedding

STILL = Embedding(radius=0.0, relative=False)


class Noise(nn.Module):
    """A conditional model of points, times and conditions."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first, self.last = nn.Linear(6, 16).double(), nn.Linear(16, 2).double()

    def forward(self, x: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.last(torch.tanh(self.first(torch.cat([x["z"], x["condition"]], 1))))


def scene() -> tuple[Batch, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    x = {"z": torch.randn(6, 2, generator=g).double()}
    x["condition"] = torch.randn(6, 4, generator=g).double()
    forget = torch.tensor([1, 1, 1, 0, 0, 0]).bool()
    return Batch(x, torch.zeros(6), torch.arange(6), None, {"forget": forget}), forget


def losses(loss: AdversarialUnlearning, model: nn.Module, batch: Batch) -> torch.Tensor:
    return loss(TrainingRun(model, nn.ModuleDict(), Dice.of(6), 1), batch)


def test_targets_are_the_formula():
    (batch, forget), model, old = scene(), Noise(1), Noise(2)
    empty = torch.full((4,), 0.3).double()
    loss = AdversarialUnlearning(
        reference=old, empty=empty, threat=STILL, guidance=0.7, retain=2.0, warmup=0.0
    )
    known = old(batch.x)
    none = old({**batch.x, "condition": empty.expand(6, 4)})
    away = none - 0.7 * (known - none)
    now = model(batch.x)
    true = torch.where(forget, (now - away).square().mean(1), 2 * (now - known).square().mean(1))
    assert torch.allclose(losses(loss, model, batch), true)
    warm = AdversarialUnlearning(reference=old, empty=empty, guidance=0.7, retain=2.0, warmup=0.5)
    assert torch.allclose(losses(warm, model, batch), true)


def test_what_stays_pulls_nothing_at_the_start():
    batch, _ = scene()
    batch = batch._replace(more={"forget": torch.zeros(6).bool()})
    model, old = Noise(1), Noise(1)
    losses(AdversarialUnlearning(reference=old, warmup=0.0), model, batch).sum().backward()
    assert all(float(p.grad.abs().max()) == 0 for p in model.parameters())


def test_the_attack_comes_closer_to_the_concept():
    batch, _ = scene()
    model, old = Noise(1), Noise(2)
    with torch.no_grad():
        goal, c = Near(old(batch.x)), batch.x["condition"]

    def asked(condition: torch.Tensor) -> torch.Tensor:
        return model({**batch.x, "condition": condition})

    threat = Embedding(radius=0.5, relative=False)
    found = search(PGD(steps=10, travel=2.5, start="none", climb="soft"), asked, c, goal, threat)
    assert (goal.soft(threat.through(asked, c, found.change)) > goal.soft(asked(c))).all()
    loss = AdversarialUnlearning(reference=old, threat=threat, warmup=0.0)
    plain = AdversarialUnlearning(reference=old, threat=STILL, warmup=0.0)
    assert not torch.equal(losses(loss, model, batch), losses(plain, model, batch))
