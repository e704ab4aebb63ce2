"""The single pass of an optimizer moves weights as its steps one by one do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from holdfast.core.data import Batches
from holdfast.core.later import Later
from holdfast.run.fused import alike, made
from holdfast.run.loop import Training

MAKERS = [
    Later("torch:SGD", lr=0.1, momentum=0.9, weight_decay=1e-3, nesterov=True),
    Later("torch:SGD", lr=0.1),
    Later("torch:Adam", lr=0.1),
    Later("torch:AdamW", lr=0.1, amsgrad=True),
    Later("torch:Adagrad", lr=0.1),
]


def weights(dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    """Weights of several forms, the same in each call."""
    dice = torch.Generator().manual_seed(0)
    return [
        nn.Parameter(torch.randn(shape, generator=dice, dtype=torch.float64).to(dtype))
        for shape in ((7, 5, 3, 3), (17, 9), (6,), ())
    ]


def moved(optimizer: Optimizer, given: list[nn.Parameter], lie: Callable[[Tensor], Tensor]) -> None:
    """Three steps with gradients that lie in memory as told."""
    dice = torch.Generator().manual_seed(1)
    for _ in range(3):
        for p in given:
            p.grad = lie(torch.randn(p.shape, generator=dice, dtype=torch.float64).to(p.dtype))
        alike(optimizer)
        optimizer.step()


def turned(gradient: Tensor) -> Tensor:
    """The same numbers, the first axis last in memory."""
    return gradient.movedim(0, -1).contiguous().movedim(-1, 0) if gradient.dim() else gradient


@pytest.mark.parametrize("lie", [lambda g: g, turned], ids=["alike", "turned"])
@pytest.mark.parametrize("make", MAKERS, ids=repr)
def test_one_pass_is_all_passes(make: Later, lie: Callable[[Tensor], Tensor]) -> None:
    """However gradients lie, weights end where the steps one by one take them."""
    once, twice = weights(), weights()
    fused = made(make, once)
    assert fused.defaults["fused"] is True
    moved(fused, once, lie)
    moved(make(twice), twice, lie)
    for a, b in zip(once, twice, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("way", [{"fused": False}, {"foreach": True}, {"differentiable": True}])
def test_what_was_chosen_stays(way: dict[str, bool]) -> None:
    """A way of moving that was asked for is kept."""
    optimizer = made(Later("torch:SGD", lr=0.1, **way), weights())
    assert not optimizer.defaults["fused"]


def test_where_it_goes_wrong_it_is_not_used() -> None:
    """Weights of few bits, and those that lie otherwise, are moved one by one."""
    make = Later("torch:SGD", lr=0.1)
    assert not made(make, weights(torch.bfloat16)).defaults["fused"]
    across = [nn.Parameter(torch.randn(4, 6).T)]
    assert not made(make, across).defaults["fused"]


def test_an_exchanged_weight_is_moved_right() -> None:
    """A hook may give a weight another place in memory between two steps."""
    given, plain = weights(), weights()
    optimizer, other = made(MAKERS[0], given), MAKERS[0](plain)
    moved(optimizer, given, lambda g: g)
    given[1].data = given[1].data.T.contiguous().T
    moved(optimizer, given, lambda g: g)
    moved(other, plain, lambda g: g)
    moved(other, plain, lambda g: g)
    for a, b in zip(given, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    assert not optimizer.param_groups[0]["fused"]


@pytest.mark.parametrize("make", MAKERS, ids=repr)
def test_weights_that_join_later_are_moved_right(make: Later) -> None:
    """A weight without a gradient in the first steps, as where a layer is frozen for a while."""
    given, plain = weights(), weights()
    optimizer, other = made(make, given), make(plain)
    for some in (slice(0, 2), slice(0, 0), slice(None)):
        for own, one in ((given, optimizer), (plain, other)):
            one.zero_grad()
            moved(one, own[some], lambda g: g)
    for a, b in zip(given, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


class Words(nn.Module):
    """Few words, and gradients only for those that were read."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(6, 4, sparse=True), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the mean word."""
        return self.out(self.table(x).mean(1))  # type: ignore[no-any-return]


def test_sparse_gradients_move_what_they_name() -> None:
    """A word that is never read keeps its vector, and the others learn."""
    torch.manual_seed(0)
    model = Words()
    before = model.table.weight.detach().clone()
    x, y = torch.randint(0, 5, (32, 3)), torch.randint(0, 2, (32,))
    Training(optimizer=Later("torch:SGD", lr=0.1), epochs=1)(model, Batches(x=x, y=y, size=8))
    after = model.table.weight.detach()
    assert torch.equal(before[5], after[5])
    assert (before[:5] != after[:5]).any(1).all()
