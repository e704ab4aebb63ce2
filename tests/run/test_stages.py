"""Who is asked what, when: hooks, turns, backward passes, optimizers, progress."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.core.data import Batch, Batches
from holdfast.core.fields import Later, settings
from holdfast.core.kinds import Backward, Hook, Objective, Run
from holdfast.objectives.supervised import Supervised
from holdfast.run.loop import Control, Training, Turn
from holdfast.run.scaler import Scaler
from holdfast.run.weighted import alone

SEEN: list[str] = []


def data(rows: int = 10, size: int = 4) -> Batches:
    x = torch.rand(rows, 6, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return Batches(x=x, y=x[:, :3].argmax(1), size=size)


def net(norm: bool = False) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        mid = [nn.BatchNorm1d(8)] if norm else []
        return nn.Sequential(nn.Linear(6, 8), *mid, nn.ReLU(), nn.Linear(8, 3)).double()


@settings
class Diary(Hook):
    """Writes down every stage."""

    name: str

    def start(self, run: Run) -> None:
        SEEN.append(f"{self.name} start")

    def batch(self, run: Run, batch: Batch) -> Batch:
        SEEN.append(f"{self.name} batch {len(batch.index)}")
        return batch

    def losses(self, run: Run, batch: Batch, losses: Tensor) -> Tensor:
        SEEN.append(f"{self.name} losses")
        return losses

    def share(self, run: Run, batch: Batch, losses: Tensor) -> None:
        assert not losses.requires_grad
        SEEN.append(f"{self.name} share")

    def gradients(self, run: Run) -> None:
        assert all(p.grad is not None for p in run.model.parameters())
        SEEN.append(f"{self.name} gradients")

    def stepped(self, run: Run) -> None:
        SEEN.append(f"{self.name} stepped {run.step}")

    def epoch(self, run: Run) -> None:
        SEEN.append(f"{self.name} epoch {run.epoch}")

    def end(self, run: Run) -> None:
        SEEN.append(f"{self.name} end {run.epoch}")


def test_stages_come_in_order_and_hooks_in_the_order_of_the_list() -> None:
    SEEN.clear()
    Training(epochs=2, hooks=(Diary(name="a"), Diary(name="b")))(net(), data(7))
    stages = ["start"]
    for epoch in range(2):
        for step, rows in enumerate((4, 3), 2 * epoch + 1):
            stages += [f"batch {rows}", "losses", "share", "gradients", f"stepped {step}"]
        stages.append(f"epoch {epoch}")
    stages.append("end 2")
    assert SEEN == [f"{name} {stage}" for stage in stages for name in "ab"]


def test_the_first_look_of_sam_is_not_clipped_or_counted() -> None:
    SEEN.clear()
    Training(epochs=1, optimizer=Later("optimizer:sam"), hooks=(Diary(name="a"),))(net(), data(4))
    looks = ["a losses", "a share", "a losses", "a share", "a gradients", "a stepped 1"]
    assert SEEN[2:-2] == looks


@settings
class Notes(Objective):
    """A weighted supervised objective that writes down its name."""

    name: str
    weight: float = 1.0

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        SEEN.append(f"{self.name}{run.step}")
        return self.weight * Supervised()(run, batch)


def test_turns_play_before_the_main_objective_every_so_often() -> None:
    SEEN.clear()
    turn = Turn(objective=Notes(name="t"), parts=("2",), every=2)
    Training(objective=Notes(name="m"), epochs=1, turns=(turn,))(net(), data(16))
    assert SEEN == ["t0", "m0", "m1", "t2", "m2", "m3"]


@settings
class Duel(Objective):
    """One side of the game `u v + u^2 / 2 - v^2 / 2`, whose only fixed point is 0."""

    sign: float

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        u, v = run.model.u, run.model.v  # type: ignore[union-attr]
        value = (u * v + u.square() / 2 - v.square() / 2).sum()
        return (self.sign * value).expand(len(batch.index))


class Sides(nn.Module):
    """Two players as submodules of one model."""

    class One(nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.full((1,), value, dtype=torch.float64))

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Sides.One(1.0), Sides.One(-1.0)

    @property
    def u(self) -> Tensor:
        return self.first.w

    @property
    def v(self) -> Tensor:
        return self.second.w


def test_a_game_is_played_alternately_to_its_fixed_point() -> None:
    rate = Later("torch:SGD", lr=0.2)
    model, hand = Sides(), [1.0, -1.0]
    turn = Turn(objective=Duel(sign=-1.0), parts=("second",), optimizer=rate)
    plan = Training(
        objective=Duel(sign=1.0), turns=(turn,), optimizer=rate, epochs=30, schedule="constant"
    )
    plan(model, data(4))
    for _ in range(30):
        hand[1] += 0.2 * (hand[0] - hand[1])
        hand[0] -= 0.2 * (hand[1] + hand[0])
    assert [float(model.u.detach()), float(model.v.detach())] == pytest.approx(hand, abs=1e-12)
    assert abs(hand[0]) + abs(hand[1]) < 0.05


@settings
class Doubled(Backward):
    """Leaves twice the gradient."""

    def __call__(self, run: Run, batch: Batch, objective: Objective) -> Tensor:
        losses = objective(run, batch)
        (2 * losses.mean()).backward()
        return losses.detach()


def test_the_backward_pass_makes_the_gradient() -> None:
    half, full = net(), net()
    plan = {"epochs": 2, "schedule": "constant"}
    Training(backward=Doubled(), optimizer=Later("torch:SGD", lr=0.05), **plan)(half, data())
    Training(optimizer=Later("torch:SGD", lr=0.1), **plan)(full, data())
    for p, q in zip(half.parameters(), full.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-14)


class Ridge(nn.Linear):
    """A layer with a penalty."""

    def penalty(self) -> Tensor:
        return 0.05 * self.weight.square().sum()


@settings
class Squares(Objective):
    """Squared error against the sum of the inputs."""

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        return (run.model(batch.x).squeeze(1) - batch.x.sum(1)).square()  # type: ignore[union-attr]


@settings
class Heavy(Hook):
    """The first rows count more."""

    def share(self, run: Run, batch: Batch, losses: Tensor) -> Tensor:
        return torch.where(batch.index < 5, 1.5, 0.5).double()


def test_line_search_sees_what_is_minimised() -> None:
    """With shares and a penalty, LBFGS ends in the closed form of weighted ridge regression."""
    model, rows = Ridge(6, 1, bias=False).double(), data(10, size=5)
    search = Later("torch:LBFGS", lr=1.0, line_search_fn="strong_wolfe", tolerance_grad=1e-12,
                   tolerance_change=1e-14, max_iter=50)  # fmt: skip
    plan = Training(objective=Squares(), optimizer=search, hooks=(Heavy(),), accumulate=2,
                    epochs=4, schedule="constant")  # fmt: skip
    plan(model, rows)
    x = rows.x
    weight = torch.where(torch.arange(10) < 5, 1.5, 0.5).double()[:, None] / 10
    gram = x.T @ (weight * x) + 0.05 * torch.eye(6).double()  # type: ignore[union-attr]
    exact = torch.linalg.solve(gram, x.T @ (weight[:, 0] * x.sum(1)))  # type: ignore[union-attr]
    assert torch.allclose(model.weight[0], exact, atol=1e-7)


def test_progress_is_told_after_every_step_and_history_after_every_epoch() -> None:
    told = []
    control = Control(progress=lambda run: told.append((run.step, run.progress, run.epoch)))
    run = Training(epochs=2, optimizer=Later("torch:SGD", lr=0.2))(net(), data(), control=control)
    assert told == [(s, s / 6, (s - 1) // 3) for s in range(1, 7)]
    assert [row["rate"] for row in run.history] == pytest.approx(
        [0.2 * (1 + math.cos(math.pi * s / 6)) / 2 for s in (2, 5)]
    )


def test_history_is_the_mean_over_the_rows() -> None:
    model, still = net(), Later("torch:SGD", lr=0.0)
    expected = F.cross_entropy(model(data().x), data().y)
    run = Training(epochs=1, optimizer=still, accumulate=2)(model, data())
    assert run.history[0]["loss"] == pytest.approx(float(expected.detach()), abs=1e-12)


def test_running_statistics_count_a_batch_once_at_the_weights_of_the_step() -> None:
    """SAM looks twice at each batch; batch normalisation remembers the first look only."""
    model, twin = net(norm=True), net(norm=True)
    sam = Later("optimizer:sam", base=Later("torch:SGD", lr=0.0), radius=0.5)
    Training(epochs=1, optimizer=sam)(model, data(4))
    twin.train()(data(4).x)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.allclose(getattr(model[1], name), getattr(twin[1], name), atol=1e-14)


def test_a_batch_of_one_row_is_learned_with_running_statistics() -> None:
    model = net(norm=True)
    run = Training(epochs=2)(model, data(9))
    assert run.step == 6 and all(p.isfinite().all() for p in model.parameters())
    assert int(model[1].num_batches_tracked) == 4
    with alone(model.train(), 1):
        assert not model[1].training and model[2].training
    assert model[1].training


def test_the_scale_of_half_precision_grows_after_good_steps_and_halves_after_bad_ones() -> None:
    memory: dict[str, object] = {}
    scaler = Scaler("fp16", memory, patience=2)
    factors = []
    for finite in (True, True, True, False, True, True):
        scaler.update(finite)
        factors.append(scaler.factor / 2**16)
    assert factors == [1, 2, 2, 1, 1, 2]
    p = nn.Parameter(torch.ones(2))
    p.grad = torch.full((2,), 3 * scaler.factor)
    assert scaler.unscale([p]) and torch.equal(p.grad, torch.full((2,), 3.0))
    p.grad[0] = torch.inf
    assert not scaler.unscale([p]) and p.grad is None
