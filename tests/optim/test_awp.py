"""AWP against the published loop written out, and how many passes it takes under attack."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Later, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Attack, Hook, Model, Objective, Run, Threat
from holdfast.hooks.ema import EMA
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.attribution import AttributionProtection
from holdfast.objectives.awr import AdaptivelyWeighted
from holdfast.objectives.dial import DomainInvariant
from holdfast.objectives.fast import FastAdversarialTraining
from holdfast.objectives.image_text import FareLoss
from holdfast.objectives.logit_pairing import LogitPairing
from holdfast.objectives.mart import MART
from holdfast.objectives.mtard import TwoTeachers
from holdfast.objectives.mutual import MutualTraining
from holdfast.objectives.pubdef import PubDef
from holdfast.objectives.trades import Trades
from holdfast.objectives.unlearning import AdversarialUnlearning
from holdfast.optim.awp import AWP
from holdfast.recipes.adversarial import AWP_AT, TRADES_AWP
from holdfast.run.loop import Control, Training
from holdfast.threats.norms import LInf

RADIUS = 0.1
SHORT = PGD(steps=4, travel=2.5, climb="soft", start="none")
BASE = Later("torch:SGD", lr=0.1, momentum=0.9, weight_decay=0.01)
X = torch.rand(12, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
Y = torch.arange(12) % 3


def net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(5, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 3)
        ).double()  # fmt: skip


def height(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The logsumexp of the ways to win, of which the cross-entropy is a rising function."""
    z = model(x)
    own = z.gather(1, y[:, None])
    return z.scatter(1, y[:, None], -torch.inf).logsumexp(1) - own[:, 0]


def attacked(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Four signed steps from the inputs; the highest point that was seen."""
    change = torch.zeros_like(x)
    best, record = change, torch.full((len(x),), -torch.inf, dtype=x.dtype)
    for step in range(5):
        change = change.detach().requires_grad_()
        high = height(model, x + change, y)
        best = torch.where((high > record)[:, None], change, best).detach()
        record = torch.maximum(record, high.detach())
        if step < 4:
            (slope,) = torch.autograd.grad(high.sum(), change)
            moved = (change + 2.5 / 4 * RADIUS * slope.sign()).clamp(-RADIUS, RADIUS)
            change = (x + moved).clamp(0, 1) - x
    return x + best


def published(model: nn.Module, epochs: int, gamma: float) -> None:
    """The loop of the paper: a proxy climbs, its move is rescaled per tensor, added, taken off."""
    optimizer = BASE(model.parameters())
    for _ in range(epochs):
        x = attacked(model, X, Y)
        proxy = copy.deepcopy(model)
        climber = torch.optim.SGD(proxy.parameters(), lr=0.01)
        climber.zero_grad()
        (-F.cross_entropy(proxy(x), Y)).backward()
        climber.step()
        moves = {}
        for (name, w), p in zip(model.named_parameters(), proxy.parameters(), strict=True):
            if w.dim() > 1 and "weight" in name:
                v = (p - w).detach()
                moves[name] = gamma * w.detach().norm() / (v.norm() + 1e-20) * v
        with torch.no_grad():
            for name, v in moves.items():
                model.get_parameter(name).add_(v)
        optimizer.zero_grad()
        F.cross_entropy(model(x), Y).backward()
        optimizer.step()
        with torch.no_grad():
            for name, v in moves.items():
                model.get_parameter(name).sub_(v)


def plan(objective: Objective | str, optimizer: Later, epochs: int = 1, **more: object) -> Training:
    return Training(
        objective=objective, optimizer=optimizer, epochs=epochs, schedule="constant", **more
    )


@pytest.mark.parametrize("gamma", [0.01, 0.3])
def test_the_loop_of_the_paper(gamma: float) -> None:
    ours, theirs = net(), net()
    objective = AdversarialTraining(attack=SHORT, threat=LInf(radius=RADIUS))
    optimizer = Later("optimizer:awp", base=BASE, radius=gamma)
    plan(objective, optimizer, 20)(ours, Batches(x=X, y=Y, size=12))
    published(theirs, 20, gamma)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    apart = [(a - b).norm() for a, b in zip(ours.parameters(), net().parameters(), strict=True)]
    assert min(a.item() for a in apart) > 1e-3  # they have moved


class _Counted(nn.Module):
    """A net that counts the rows that go through it, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.seen = net(), [0, 0]

    def forward(self, x: Tensor) -> Tensor:
        out = self.inner(x)
        self.seen[0] += len(x)
        if out.requires_grad:
            out.register_hook(lambda _: self.seen.__setitem__(1, self.seen[1] + len(x)))
        return out


ALL = (
    AdversarialTraining(attack=SHORT), AdversarialTraining(attack=SHORT, clean=0.5),
    Trades(attack=SHORT), MART(attack=SHORT), FastAdversarialTraining(),
)  # fmt: skip


@pytest.mark.parametrize("name", ["optimizer:awp", "optimizer:sam"])
@pytest.mark.parametrize("objective", ALL, ids=lambda o: type(o).__name__)
def test_no_attack_is_repeated(objective: Objective, name: str) -> None:
    """The second look costs what is learned from, once more, forward and back."""
    seen = {}
    for which, chosen in (("once", BASE), ("twice", Later(name, base=BASE))):
        model = _Counted()
        plan(objective, chosen, accumulate=2)(model, Batches(x=X, y=Y, size=4))
        seen[which] = model.seen
    learned = 2 if isinstance(objective, Trades | MART) or getattr(objective, "clean", 0) else 1
    more = [b - a for a, b in zip(seen["once"], seen["twice"], strict=True)]
    assert more == [12 * learned, 12 * learned]


@settings
class _Asked(Attack):
    """Moves every row to the edge; counts how often it is asked."""

    asked: ClassVar[int] = 0

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        type(self).asked += 1
        return threat.project(x, torch.ones_like(threat.none(x)))


@pytest.mark.parametrize("of", [
    AttributionProtection, AdversarialTraining, LogitPairing, DomainInvariant, MutualTraining,
    AdaptivelyWeighted, TwoTeachers, AdversarialUnlearning, FareLoss, PubDef,
], ids=lambda o: o.__name__)  # fmt: skip
def test_whoever_asks_an_attack_asks_it_once_a_step(of: Any) -> None:
    asked = {}
    objective = of.example(None) if hasattr(of, "example") else of()
    objective = replace(objective, attack=_Asked())
    if of is PubDef:
        objective = replace(objective, keep=False)
    for which, chosen in (("once", BASE), ("twice", Later("optimizer:awp", base=BASE))):
        _Asked.asked, model = 0, nn.Linear(4, 3).double()
        plan(objective, chosen)(model, Batches(x=X[:, :4], y=Y, size=4))
        asked[which] = _Asked.asked
    assert asked["once"] == asked["twice"] >= 3


@pytest.mark.parametrize("objective", [DomainInvariant(attack=SHORT), MutualTraining(attack=SHORT)])
def test_heads_and_peers_learn_from_kept_changes_too(objective: Objective) -> None:
    model = net()
    run = plan(objective, Later("optimizer:awp", base=BASE), 2)(model, Batches(x=X, y=Y, size=4))
    assert run.step == 6 and all(bool(p.isfinite().all()) for p in model.parameters())


def test_moves_are_shares_of_tensors_and_vectors_stay() -> None:
    model = net()
    optimizer = AWP(model.parameters(), base=Later("torch:SGD", lr=0.0), radius=0.2)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    looks = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(X), Y)
        loss.backward()
        looks.append((loss.item(), {n: p.detach().clone() for n, p in model.named_parameters()}))
        return loss

    optimizer.step(closure)
    assert looks[1][0] > looks[0][0]
    for name, w in before.items():
        share = float((looks[1][1][name] - w).norm() / w.norm().clamp(min=1e-9))
        assert share == pytest.approx(0.2 if w.dim() > 1 else 0.0)
        assert torch.equal(model.get_parameter(name), w)


def test_radius_zero_is_the_base_bit_for_bit() -> None:
    nets = [net(), net()]
    objective = AdversarialTraining(attack=SHORT, threat=LInf(radius=RADIUS))
    for model, chosen in zip(nets, (BASE, Later("optimizer:awp", base=BASE, radius=0.0)),
                             strict=True):  # fmt: skip
        plan(objective, chosen, 3)(model, Batches(x=X, y=Y, size=5))
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(a, b)


class _Watch(Hook):
    """Notes the weights of every step."""

    def stepped(self, run: Run) -> None:
        run.memory(self)["all"] = [*run.memory(self).get("all", []), run.model[0].weight.clone()]


def test_it_waits_for_its_share_of_the_run() -> None:
    kept = []
    for chosen in (BASE, Later("optimizer:awp", base=BASE, radius=0.1, wait=0.5)):
        watch = _Watch()
        run = plan("objective:supervised", chosen, 4, hooks=(watch,))(
            net(), Batches(x=X, y=Y, size=12)
        )
        kept.append(run.memory(watch)["all"])
    assert [torch.equal(a, b) for a, b in zip(*kept, strict=True)] == [True, True, False, False]


def test_weights_come_back_where_the_second_look_fails() -> None:
    model, calls = net(), []
    optimizer = AWP(model.parameters(), radius=0.3)

    def closure() -> Tensor:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError
        loss = F.cross_entropy(model(X), Y)
        loss.backward()
        return loss

    with pytest.raises(RuntimeError):
        optimizer.step(closure)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), net().parameters(), strict=True)
    )


def test_nothing_of_a_look_is_kept_behind_its_step() -> None:
    run = AWP_AT.against(LInf(radius=RADIUS))
    done = plan(run.objective, run.optimizer)(net(), Batches(x=X, y=Y, size=4))
    assert done.memory("looks") == {}


@pytest.mark.parametrize("at", [2, 5])
def test_stopped_and_continued_it_ends_with_the_same_bits(at: int, tmp_path: Path) -> None:
    awp = Later("optimizer:awp", base=BASE, radius=0.1, wait=0.4)
    data, hard = Batches(x=X, y=Y, size=4), AdversarialTraining(attack=SHORT)
    whole, parts = net(), net()
    plan(hard, awp, 3)(whole, data)
    stop = Control(folder=tmp_path, progress=lambda run: run.step == at)
    assert plan(hard, awp, 3)(parts, data, control=stop).step == at
    plan(hard, awp, 3)(parts, data, control=Control(folder=tmp_path))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(),
                                                 strict=True))  # fmt: skip


class _Full(nn.Module):
    """A net that has no memory for more than so many rows, from some pass on."""

    def __init__(self, most: int, passes: int) -> None:
        super().__init__()
        self.inner, self.most, self.left = net(), most, passes

    def forward(self, x: Tensor) -> Tensor:
        self.left -= 1
        if len(x) > self.most and self.left < 0:
            raise RuntimeError("CUDA out of memory")
        made: Tensor = self.inner(x)
        return made


@pytest.mark.parametrize("passes", [0, 6])
def test_where_memory_runs_out_in_either_look_the_step_is_finished(passes: int) -> None:
    """Six passes are the attack and the first look: then only the second look is halved."""
    small, whole = _Full(5, passes), _Full(99, 0)
    for model in (small, whole):
        objective = AdversarialTraining(attack=SHORT, threat=LInf(radius=0.0))
        plan(objective, Later("optimizer:awp", base=BASE, radius=0.1), 2)(
            model, Batches(x=X, y=Y, size=12)
        )
    for a, b in zip(small.parameters(), whole.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-12)
    assert small.left < whole.left  # more passes, of fewer rows


def test_presets_and_refusals() -> None:
    assert AWP_AT.optimizer.settings["radius"] == 0.01 and TRADES_AWP.hooks == (EMA(decay=0.995),)
    for wrong in ({"radius": -1.0}, {"wait": 2.0}, {"radius": float("nan")}):
        with pytest.raises(ConfigError, match="AWP"):
            AWP(net().parameters(), **wrong)
