"""Rectified labels against their formula, their bound, and runs without them."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.hooks.ema import EMA
from holdfast.hooks.rectified import RectifiedLabels, rectified
from holdfast.run.loop import Training
from holdfast.run.training import TrainingRun


def drawn(n: int = 10_000) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    z = 4 * torch.randn(n, 6, generator=g, dtype=torch.float64)
    return z, torch.randint(6, (n,), generator=g)


def test_is_the_formula_and_the_label_leads_by_the_square_of_the_gap() -> None:
    z, y = drawn()
    for share in (0.3, 0.8, 1.0):
        p = (z / 1.7).softmax(1)
        label = F.one_hot(y, 6).double()
        gap = p.amax(1) - p.gather(1, y[:, None]).squeeze(1)
        say = (share - gap).clamp(0, 1)[:, None]
        q = rectified(z, y, 1.7, share)
        assert torch.allclose(q, say * p + (1 - say) * label, atol=1e-12)
        assert torch.allclose(q.sum(1), torch.ones(len(y)).double(), atol=1e-12)
        own = q.gather(1, y[:, None]).squeeze(1)
        others = q.scatter(1, y[:, None], -1.0).amax(1)
        assert (own - others >= gap**2 - 1e-12).all()


def test_no_say_a_sure_teacher_and_no_label() -> None:
    z, y = drawn(50)
    label = F.one_hot(y, 6).double()
    assert torch.equal(rectified(z, y, 2.0, 0.0), label)
    assert torch.allclose(rectified(1e3 * label, y, 2.0, 0.9), label, atol=1e-12)
    wrong = rectified(1e3 * label.roll(1, 1), y, 1.0, 0.95)  # sure of another class: no say
    assert torch.allclose(wrong, label, atol=1e-12)
    assert torch.equal(rectified(z, label, 2.0, 0.7), rectified(z, y, 2.0, 0.7))
    assert not rectified(z, torch.full_like(y, -100), 2.0, 0.7).any()


def test_the_teacher_is_the_average_in_evaluation_mode_and_anneals() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).double()
    run, hook, average = TrainingRun(model, nn.ModuleDict(), Dice.of(8), 10), RectifiedLabels(), EMA
    twin, batch = average(decay=0.995), Batch(drawn(8)[0][:, :4], drawn(8)[1] % 3, torch.arange(8))
    for move in (0.5, -0.2, 0.1):
        with torch.no_grad():
            model[0].weight += move
            model[1].running_mean += move
        hook.stepped(run)
        twin.stepped(run)
        run.advance()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    given = hook.batch(run, batch)
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items()) and model.training
    teacher = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).double().eval()
    teacher.load_state_dict(twin.averaged(run))
    part = (1 + math.cos(math.pi * 0.3)) / 2
    with torch.no_grad():
        z = teacher(batch.x)
    expected = rectified(z, batch.y, 1 + part, 0.95 - 0.25 * part)
    assert torch.allclose(given.y, expected, atol=1e-12)
    assert given.y.argmax(1).equal(batch.y)


def test_it_ends_with_the_average_if_asked() -> None:
    x = torch.rand(24, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ends = []
    for hooks in ((RectifiedLabels(low=0.0, high=0.0, swap=True),), (EMA(decay=0.995),)):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = nn.Linear(4, 3).double()
        plan = Training(epochs=2, optimizer=Later("torch:SGD", lr=0.3), hooks=hooks)
        plan(model, Batches(x=x, y=x[:, :3].argmax(1), size=8))
        ends.append(model.weight.detach().clone())
    assert torch.allclose(ends[0], ends[1], atol=1e-12)
