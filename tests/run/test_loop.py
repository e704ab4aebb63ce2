"""The training loop against hand-written loops and against itself."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.fields import Later, settings
from holdfast.core.kinds import Hook, Objective, Run
from holdfast.hooks.ema import EMA
from holdfast.run.checkpoint import read_state, write_state
from holdfast.run.loop import Control, Training, Turn
from holdfast.run.schedule import rate


def data(n: int = 40, size: int = 8, dtype: torch.dtype = torch.float64) -> Batches:
    g = torch.Generator().manual_seed(7)
    x = torch.rand(n, 6, generator=g, dtype=dtype)
    return Batches(x=x, y=(x[:, :3].argmax(1)), size=size)


def net(dropout: float = 0.0, dtype: torch.dtype = torch.float64, norm: bool = False) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        mid = [nn.BatchNorm1d(12)] if norm else []
        return nn.Sequential(
            nn.Linear(6, 12), *mid, nn.ReLU(), nn.Dropout(dropout), nn.Linear(12, 3)
        ).to(dtype)


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(
        torch.equal(p, q)
        for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def apart(a: nn.Module, b: nn.Module) -> float:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return max(float((p - q).abs().max()) for p, q in pairs)


SGD = Later("torch:SGD", lr=0.3, momentum=0.9)


def test_equal_to_a_loop_by_hand() -> None:
    ours, hand, batches = net(), net(), data()
    Training(optimizer=SGD, epochs=3, schedule="constant")(ours, batches, dice=Dice.of(40, 5))
    optimizer = torch.optim.SGD(hand.parameters(), lr=0.3, momentum=0.9)
    for epoch in range(3):
        for batch in batches.draw(Dice.of(40, 5).spawn(f"epoch{epoch}")):
            optimizer.zero_grad()
            F.cross_entropy(hand(batch.x), batch.y).backward()
            optimizer.step()
    assert apart(ours, hand) < 1e-14


def test_accumulation_is_the_large_batch() -> None:
    small, large = net(), net()
    plan = Training(optimizer=SGD, epochs=3, hooks=(EMA(decay=0.5),))
    replace(plan, accumulate=4)(small, data(size=3))
    plan(large, data(size=12))
    assert apart(small, large) < 1e-12


class Stop:
    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self, run: object) -> bool:
        return run.step == self.at  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("at", [2, 5, 7])
def test_resume_is_bitwise(at: int, tmp_path) -> None:
    sam = Later("optimizer:sam", base=Later("torch:Adam", lr=0.01))
    plan = Training(optimizer=sam, epochs=3, hooks=(EMA(decay=0.9),), warmup=0.2)
    whole, parts = net(0.5, norm=True), net(0.5, norm=True)
    expected = plan(whole, data())
    first = plan(parts, data(), control=Control(folder=tmp_path, progress=Stop(at)))
    assert first.step == at and first.stopped == "asked"
    other = net(0.5, norm=True)
    for p in other.parameters():
        p.data.zero_()
    second = plan(other, data(), control=Control(folder=tmp_path))
    assert same(whole, other) and second.history == expected.history and second.stopped == ""
    third = net(0.5, norm=True)
    again = plan(third, data(), control=Control(folder=tmp_path))
    assert same(whole, third) and again.step == expected.step
    with pytest.raises(ConfigError, match="another"):
        replace(plan, epochs=4)(net(norm=True), data(), control=Control(folder=tmp_path))


def test_leaves_global_state_and_is_reproducible() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    a, b, c = net(0.5), net(0.5), net(0.5)
    Training(epochs=1)(a, data())
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    Training(epochs=1)(b, data())
    Training(epochs=1)(c, data(), dice=Dice.of(40, 1))
    assert same(a, b) and not same(a, c)
    assert all(p.grad is None for p in a.parameters()) and not a.training


def test_deadline_stops_between_steps() -> None:
    run = Training(epochs=1000)(net(), data(), control=Control(deadline=0.05))
    assert run.stopped == "deadline" and 0 < run.step < run.steps


def test_interrupt_finishes_the_step_and_can_be_resumed(tmp_path) -> None:
    import signal

    def press(run: object) -> None:
        if run.step == 4:  # type: ignore[attr-defined]
            signal.raise_signal(signal.SIGINT)

    whole, model = net(), net()
    Training(epochs=2)(whole, data())
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may ignore it
    with pytest.raises(KeyboardInterrupt):
        Training(epochs=2)(model, data(), control=Control(folder=tmp_path, progress=press))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    Training(epochs=2)(model, data(), control=Control(folder=tmp_path))
    assert same(whole, model)


class Penalised(nn.Linear):
    def penalty(self) -> Tensor:
        return 0.1 * self.weight.square().sum()


def test_penalties_and_shares_enter_the_minimum() -> None:
    @settings
    class FirstClass(Hook):
        def share(self, run: Run, batch: Batch, losses: Tensor) -> Tensor:
            wanted = (batch.y == 0).to(losses)
            return wanted / wanted.mean().clamp(min=1e-9)

    batches = data(size=40)
    layer, hand = Penalised(6, 3).double(), nn.Linear(6, 3).double()
    hand.load_state_dict(layer.state_dict())
    plan = Training(
        optimizer=Later("torch:SGD", lr=0.1), epochs=1, schedule="constant", hooks=(FirstClass(),)
    )
    plan(layer, batches)
    rows = batches.y == 0
    loss = F.cross_entropy(hand(batches.x[rows]), batches.y[rows])
    (loss + 0.1 * hand.weight.square().sum()).backward()
    expected = hand.weight - 0.1 * hand.weight.grad
    assert torch.allclose(layer.weight, expected, atol=1e-12)


def test_turns_train_their_own_parts_only() -> None:
    @settings
    class Rise(Objective):
        def __call__(self, run: Run, batch: Batch) -> Tensor:
            return -run.model(batch.x).logsumexp(1)

    model, start = net(), net()
    still = Later("torch:SGD", lr=1e-30)
    turn = Turn(objective=Rise(), parts=("3",), optimizer=Later("torch:SGD", lr=0.1), every=2)
    Training(optimizer=still, epochs=1, turns=(turn,))(model, data())
    assert torch.equal(model[0].weight, start[0].weight)
    assert not torch.equal(model[3].weight, start[3].weight)
    with pytest.raises(ConfigError, match="nose"):
        Training(turns=(replace(turn, parts=("nose",)),))(model, data())


def test_refuses_losses_of_another_shape_and_no_rows() -> None:
    @settings
    class Scalar(Objective):
        def __call__(self, run: Run, batch: Batch) -> Tensor:
            return run.model(batch.x).sum()

    with pytest.raises(ShapeError, match="one loss per row"):
        Training(objective=Scalar())(net(), data())
    with pytest.raises(ShapeError, match="needs one row"):
        Training()(net(), data().take(slice(0, 0)))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_about_the_same(precision: str) -> None:
    full, half = net(dtype=torch.float32), net(dtype=torch.float32)
    batches = data(dtype=torch.float32)
    a = Training(epochs=4)(full, batches)
    b = Training(epochs=4, precision=precision)(half, batches)
    assert abs(a.history[-1]["loss"] - b.history[-1]["loss"]) < 0.02
    assert not same(full, half)


def test_overflow_in_half_precision_moves_nothing() -> None:
    @settings
    class Huge(Objective):
        def __call__(self, run: Run, batch: Batch) -> Tensor:
            return 1e36 * run.model(batch.x).float().sum(1)

    model, start = net(dtype=torch.float32), net(dtype=torch.float32)
    run = Training(objective=Huge(), precision="fp16", epochs=1)(model, data(dtype=torch.float32))
    assert same(model, start) and run.memory("scaler")["factor"] == 2.0**11


def test_schedules_have_their_ends() -> None:
    assert rate("constant", 50, 100, 0.0) == 1.0
    assert rate("cosine", 0, 100, 0.0) == 1.0 and abs(rate("cosine", 50, 100, 0.0) - 0.5) < 1e-12
    assert abs(rate("linear", 75, 100, 0.0) - 0.25) < 1e-12
    assert rate("linear", 0, 100, 0.1) == 1 / 11 and rate("constant", 9, 100, 0.1) == 10 / 11
    cycle = [rate("onecycle", s, 100, 0.0) for s in range(100)]
    assert cycle[0] == pytest.approx(0.04) and max(cycle) == cycle[30] == 1.0 and cycle[99] < 0.01


def test_states_come_back_exactly_and_a_crash_keeps_the_old(tmp_path) -> None:
    file = tmp_path / "s.safetensors"
    state = {"a": torch.rand(3), "b": {0: (1, 2.5, None), "x": [True, "t"]}, "c": 0.1 + 0.2}
    write_state(file, state)
    back = read_state(file)
    assert torch.equal(back.pop("a"), state.pop("a")) and back == state
    with pytest.raises(ConfigError, match="memory"):
        write_state(file, {"a": object()})
    assert read_state(file)["c"] == 0.1 + 0.2
    assert [p.name for p in tmp_path.iterdir()] == ["s.safetensors"]
