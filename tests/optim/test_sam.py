"""SAM against its closed form on a quadratic and against its base."""

import copy

import pytest
import torch
from torch import nn

from holdfast.core.errors import ConfigError
from holdfast.core.fields import Later
from holdfast.optim.sam import SAM

A = torch.diag(torch.tensor([1.0, 3.0, 9.0], dtype=torch.float64))


def bowl(w: nn.Parameter, optimizer, seen: list | None = None, scale: float = 1.0):
    def closure():
        optimizer.zero_grad()
        loss = scale * 0.5 * w @ A @ w
        loss.backward()
        if seen is not None:
            seen.append(w.detach().clone())
        return loss

    return closure


def start() -> nn.Parameter:
    return nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_quadratic_closed_form_decay_outside_the_move(decay: float) -> None:
    w = start()
    before = w.detach().clone()
    optimizer = SAM([w], base=Later("torch:SGD", lr=0.1, weight_decay=decay), radius=0.05)
    seen: list = []
    loss = optimizer.step(bowl(w, optimizer, seen))
    g = A @ before
    worst = before + 0.05 * g / g.norm()
    assert torch.allclose(seen[1], worst, atol=1e-12) and len(seen) == 2
    assert torch.allclose(w, before - 0.1 * (A @ worst + decay * before), atol=1e-9)
    assert float(loss) == float(0.5 * before @ A @ before)


def test_move_is_joint_over_all_weights() -> None:
    a, b = nn.Parameter(torch.tensor([3.0])), nn.Parameter(torch.tensor([4.0]))
    optimizer, seen = SAM([a, b], radius=0.5), []

    def closure():
        optimizer.zero_grad()
        loss = 0.5 * (a.square() + b.square()).sum()
        loss.backward()
        seen.append((float(a), float(b)))
        return loss

    optimizer.step(closure)
    assert seen[1] == pytest.approx((3.3, 4.4))


@pytest.mark.parametrize("base", [Later("torch:SGD", lr=0.1, momentum=0.9), "torch:Adam"])
def test_radius_zero_is_the_base(base) -> None:
    w, v = start(), start()
    ours = SAM([w], base=base, radius=0.0)
    theirs = copy.copy(base if isinstance(base, Later) else Later(base))([v])
    for _ in range(5):
        ours.step(bowl(w, ours))
        theirs.step(bowl(v, theirs))
    assert torch.equal(w, v)


def test_weights_come_back_bit_for_bit() -> None:
    w = start()
    before = w.detach().clone()
    optimizer = SAM([w], base=Later("torch:SGD", lr=0.0), radius=0.3)
    optimizer.step(bowl(w, optimizer))
    assert torch.equal(w, before)
    with pytest.raises(RuntimeError):
        optimizer.step(_fails_second(w, optimizer))
    assert torch.equal(w, before) and not optimizer.probing


def _fails_second(w, optimizer):
    calls = []

    def closure():
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError
        return bowl(w, optimizer)()

    return closure


def test_scale_of_the_loss_does_not_matter_to_the_move() -> None:
    w, v, seen, scaled = start(), start(), [], []
    SAM([w]).step(bowl(w, SAM([w]), seen))
    SAM([v]).step(bowl(v, SAM([v]), scaled, 1024.0))
    assert torch.allclose(seen[1], scaled[1], atol=1e-12)


def test_zero_and_broken_gradients_move_nothing_first() -> None:
    for scale in (0.0, float("nan")):
        w, seen = start(), []
        optimizer = SAM([w], base=Later("torch:SGD", lr=0.0))
        optimizer.step(bowl(w, optimizer, seen, scale))
        assert torch.equal(seen[1], start().data)


def test_schedulers_and_state_pass_through() -> None:
    w = start()
    optimizer = SAM([w], base={"use": "torch:SGD", "lr": 0.1, "momentum": 0.9})
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step(bowl(w, optimizer))
    scheduler.step()
    assert optimizer.base.param_groups[0]["lr"] == 0.05
    other_w = nn.Parameter(w.detach().clone())
    other = SAM([other_w], base=Later("torch:SGD", lr=9.0, momentum=0.9))
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    optimizer.step(bowl(w, optimizer))
    other.step(bowl(other_w, other))
    assert torch.equal(w, other_w)


def test_leaves_a_sharp_minimum_for_a_flat_one_where_its_base_stays() -> None:
    """A narrow hole, 0.2 deep, at 1 on the slope of a wide valley around 0."""
    ends = []
    for radius in (0.4, 0.0):
        w = nn.Parameter(torch.tensor([1.08], dtype=torch.float64))
        optimizer = SAM([w], base=Later("torch:SGD", lr=0.05), radius=radius)

        def closure(w=w):
            w.grad = None
            hole = 0.2 * torch.exp(-((w - 1) ** 2).sum() / (2 * 0.15**2))
            loss = 0.1 * w.square().sum() - hole
            loss.backward()
            return loss

        for _ in range(150):
            optimizer.step(closure)
        ends.append(float(w.detach()))
    assert ends[0] < 0.7 and abs(ends[1] - 1) < 0.1


def test_needs_a_closure_and_a_radius() -> None:
    with pytest.raises(ConfigError, match="closure"):
        SAM([start()]).step()
    with pytest.raises(ConfigError, match="radius"):
        SAM([start()], radius=-1.0)
