"""Laws of optimizers: the contract of `step(closure)`, and that they minimise."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from holdfast.testing.laws import LawBroken

Maker = Callable[[list[nn.Parameter]], Optimizer]


def _weights() -> list[nn.Parameter]:
    g = torch.Generator().manual_seed(3)
    made = [torch.randn(4, generator=g, dtype=torch.float64) for _ in range(2)]
    return [nn.Parameter(2 * w) for w in made]


def _loss(weights: list[nn.Parameter]) -> Tensor:
    """A bowl whose curvatures go from 0.2 to 1 and whose minimum is 0 at 0."""
    curves = torch.linspace(0.2, 1.0, 4, dtype=torch.float64)
    return torch.stack([0.5 * (curves * w.square()).sum() for w in weights]).sum()


def _closure(weights: list[nn.Parameter], optimizer: Optimizer) -> Callable[[], Any]:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = _loss(weights)
        loss.backward()
        return loss

    return closure


def _stepped(make: Maker, steps: int) -> tuple[list[nn.Parameter], Optimizer]:
    weights = _weights()
    optimizer = make(weights)
    for _ in range(steps):
        optimizer.step(_closure(weights, optimizer))
    return weights, optimizer


def law_minimises_a_bowl(make: Maker) -> None:
    """Two hundred steps with its defaults lower a quadratic loss at least tenfold."""
    weights, _ = _stepped(make, 200)
    if not float(_loss(weights).detach()) < 0.1 * float(_loss(_weights()).detach()):
        raise LawBroken(f"{make}: does not minimise a quadratic")


def law_returns_the_loss_before_the_step(make: Maker) -> None:
    """`step(closure)` evaluates the closure with gradients on and returns its first loss."""
    weights = _weights()
    optimizer = make(weights)
    before = float(_loss(weights).detach())
    with torch.no_grad():
        value = optimizer.step(_closure(weights, optimizer))
    if value is None or abs(float(torch.as_tensor(value).detach()) - before) > 1e-12:
        raise LawBroken(f"{make}: step(closure) returns {value}, not the loss before the step")


def law_leaves_no_graph(make: Maker) -> None:
    """Weights stay leaves and no state holds a graph."""
    weights, optimizer = _stepped(make, 3)
    tensors = [v for s in optimizer.state.values() for v in s.values() if isinstance(v, Tensor)]
    if any(not w.is_leaf or w.grad_fn is not None for w in weights):
        raise LawBroken(f"{make}: weights are no leaves after a step")
    if any(t.requires_grad for t in tensors):
        raise LawBroken(f"{make}: its state holds a graph")


def law_continues_from_its_state(make: Maker) -> None:
    """Saved and loaded in the middle, it goes on with the same bits."""
    weights, optimizer = _stepped(make, 4)
    others = [nn.Parameter(w.detach().clone()) for w in weights]
    other = make(others)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for _ in range(3):
        optimizer.step(_closure(weights, optimizer))
        other.step(_closure(others, other))
    if not all(torch.equal(w, o) for w, o in zip(weights, others, strict=True)):
        raise LawBroken(f"{make}: loading its state does not continue the run")


def law_without_gradient_nothing_moves(make: Maker) -> None:
    """A weight whose gradient is None keeps its bits and gets no state."""
    weights, idle = _weights(), nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = make([*weights, idle])
    for _ in range(3):
        optimizer.step(_closure(weights, optimizer))
    if bool((idle != 1).any()) or optimizer.state.get(idle):
        raise LawBroken(f"{make}: moves a weight that has no gradient")


def law_rates_can_be_set_from_outside(make: Maker) -> None:
    """At rate 0, set in its groups, weights keep their bits."""
    weights = _weights()
    optimizer = make(weights)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    optimizer.step(_closure(weights, optimizer))
    if not all(torch.equal(w, o) for w, o in zip(weights, _weights(), strict=True)):
        raise LawBroken(f"{make}: moves weights at rate 0")
