"""Training on one step, on kept changes and on aligned slopes, against naive twins."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.hooks.replay import Replay
from holdfast.hooks.selection import RobustSelection, collapsed
from holdfast.objectives.fast import FastAdversarialTraining, misalignment
from holdfast.objectives.free import FreeAdversarialTraining
from holdfast.run.loop import Control, Training
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import LInf

RADIUS = 0.1


def net(norm: bool = False) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        middle = [nn.BatchNorm1d(16)] if norm else []
        return nn.Sequential(nn.Linear(5, 16), *middle, nn.Tanh(), nn.Linear(16, 3)).double()


def data(n: int = 24) -> Batches:
    x = torch.rand(n, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Batches(x=x, y=x[:, :3].argmax(1), size=8)


def run_of(model: nn.Module, n: int = 24) -> TrainingRun:
    return TrainingRun(model, nn.ModuleDict(), Dice.of(n), 1)


def boxed(x: torch.Tensor, change: torch.Tensor, radius: float) -> torch.Tensor:
    return (x + change.clamp(-radius, radius)).clamp(0, 1) - x


@pytest.mark.parametrize("noise", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_one_step_is_its_naive_twin(noise: float, mode: str) -> None:
    """Bounded steps end in the ball, unbounded ones in the box of valid inputs alone."""
    bounded = noise < 2
    rows, threat = data().whole, LInf(radius=RADIUS)
    ours, twin = net(norm=True).train(), net(norm=True).train()
    objective = FastAdversarialTraining(
        threat=threat, noise=noise, travel=1.25, bounded=bounded, mode=mode
    )
    losses = objective(run_of(ours), rows)
    start = threat.scaled(noise).sample(rows.x, Dice.of(24).spawn("attack"))
    kept = {k: v.clone() for k, v in twin.named_buffers()}
    moved = (rows.x + start).requires_grad_()
    loss = F.cross_entropy(twin.train(mode == "train")(moved), rows.y, reduction="none")
    if mode == "train":  # rows are coupled there, and what is climbed is another sum of them
        z = twin(moved)
        others = z.masked_fill(F.one_hot(rows.y, 3).bool(), -torch.inf).logsumexp(1)
        loss = others - z.gather(1, rows.y[:, None]).squeeze(1)
    (slope,) = torch.autograd.grad(loss.sum(), moved)
    for k, v in twin.named_buffers():
        v.copy_(kept[k])
    change = boxed(rows.x, start + 1.25 * RADIUS * slope.sign(), RADIUS if bounded else 9.0)
    expected = F.cross_entropy(twin.train()(rows.x + change), rows.y, reduction="none")
    assert torch.allclose(losses, expected, atol=1e-10)
    pairs = zip(ours.named_buffers(), twin.named_buffers(), strict=True)
    assert all(torch.allclose(a.double(), b.double()) for (_, a), (_, b) in pairs)


def test_slopes_of_a_linear_model_are_aligned_and_others_are_the_formula() -> None:
    rows, threat = data().whole, LInf(radius=RADIUS)
    away = threat.sample(rows.x, Dice.of(24))
    linear, two = nn.Linear(5, 2).double(), rows.y % 2
    assert misalignment(run_of(linear), rows.x, two, threat, away).abs().max() < 1e-12
    model = net()
    given = misalignment(run_of(model), rows.x, rows.y, threat, away)
    slopes = []
    for x in (rows.x, rows.x + away):
        x = x.clone().requires_grad_()
        loss = F.cross_entropy(model(x), rows.y, reduction="sum")
        slopes.append(torch.autograd.grad(loss, x, create_graph=True)[0])
    expected = 1 - F.cosine_similarity(slopes[0], slopes[1], dim=1)
    assert torch.allclose(given, expected, atol=1e-10) and given.mean() > 1e-4
    weights = list(model.parameters())[:3]
    ours, twin = (torch.autograd.grad(v.mean(), weights) for v in (given, expected))
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(ours, twin, strict=True))
    normed = net(norm=True).train()
    before = normed[1].running_mean.clone()
    misalignment(run_of(normed), rows.x, rows.y, threat, away)
    assert torch.equal(before, normed[1].running_mean)


def test_free_training_is_the_loop_by_hand() -> None:
    """Each batch three times; the change moves with the weights and lasts over batches."""
    ours, twin, rows = net(), net(), data(20)  # the last batch is shorter
    rate = Later("torch:SGD", lr=0.2)
    objective = FreeAdversarialTraining(threat=LInf(radius=RADIUS))
    plan = Training(
        objective=objective, optimizer=rate, epochs=3, schedule="constant", hooks=(Replay(times=3),)
    )
    plan(ours, rows)
    change, step, kept = torch.zeros(8, 5).double(), 0, None
    for epoch in range(3):
        for batch in rows.draw(Dice.of(20).spawn(f"epoch{epoch}")):
            kept = batch if step % 3 == 0 else kept
            n = len(kept.y)
            moved = boxed(kept.x, change[:n], RADIUS).requires_grad_()
            loss = F.cross_entropy(twin(kept.x + moved), kept.y)
            slope, *slopes = torch.autograd.grad(loss, [moved, *twin.parameters()])
            with torch.no_grad():
                for p, g in zip(twin.parameters(), slopes, strict=True):
                    p -= 0.2 * g
            uphill = boxed(kept.x, moved.detach() + RADIUS * slope.sign(), RADIUS)
            change = torch.cat([uphill, change[n:]])
            step += 1
    pairs = zip(ours.parameters(), twin.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in pairs)


def test_free_training_forgetting_its_change_is_one_step_late_zero_start() -> None:
    model, rows = net(), data(8).whole
    objective = FreeAdversarialTraining(threat=LInf(radius=RADIUS))
    run = run_of(model, 8)
    first = objective(run, rows)
    assert torch.allclose(first, F.cross_entropy(model(rows.x), rows.y, reduction="none"))
    first.mean().backward()
    step = FastAdversarialTraining(threat=objective.threat, noise=0.0, travel=1.0, mode="eval")
    assert torch.allclose(objective(run, rows), step(run_of(model, 8), rows), atol=1e-12)


def test_replayed_runs_resume_with_the_same_weights(tmp_path) -> None:
    plan = Training(
        objective=FreeAdversarialTraining(threat=LInf(radius=RADIUS)),
        epochs=3,
        hooks=(Replay(times=4),),
    )
    whole, halves = net(), net()
    plan(whole, data())
    plan(halves, data(), control=Control(folder=tmp_path, progress=lambda run: run.step == 5))
    plan(halves, data(), control=Control(folder=tmp_path))
    pairs = zip(whole.parameters(), halves.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_collapse_is_told_from_a_bad_epoch() -> None:
    assert collapsed([0.6, 0.9], [0.5, 0.05], 0.2)
    assert not collapsed([0.6, 0.1], [0.5, 0.05], 0.2)  # both attacks: the model just got worse
    assert not collapsed([0.6, 0.9], [0.5, 0.2], 0.2)
    assert not collapsed([0.6, 0.9], [0.5, 0.0], 0.0)
    assert not collapsed([0.9], [0.0], 0.2)


def test_selection_keeps_the_best_epoch_and_writes_the_history() -> None:
    rows, seen = data(), []
    hook = RobustSelection(held=rows, threat=LInf(radius=0.02))

    def watch(run: TrainingRun) -> bool:
        seen.append({k: v.clone() for k, v in run.model.state_dict().items()})
        return False

    model = net()
    plan = Training(epochs=4, optimizer=Later("torch:SGD", lr=3.0), hooks=(hook,))
    run = plan(model, rows, control=Control(progress=watch))
    curve = [row["robust"] for row in run.history]
    best = max(range(4), key=lambda e: curve[e])
    ends = seen[2::3]  # three steps per epoch
    assert all(torch.equal(v, ends[best][k]) for k, v in model.state_dict().items())
    assert run.memory(hook)["gap"] == curve[best] - curve[-1]
    assert all(row["clean"] >= row["robust"] and "fast" in row for row in run.history)
