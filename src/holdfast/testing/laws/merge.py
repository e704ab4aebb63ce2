"""Laws of merges: states in, one state of the same form out, and nothing else touched."""

from __future__ import annotations

import copy

import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.kinds import Merge, State
from holdfast.testing.laws import LawBroken
from holdfast.testing.traces import no_trace


def _world() -> tuple[nn.Module, list[State], State, Batches]:
    """A net, three states near each other, the state they came from, and rows to judge them."""
    with torch.random.fork_rng():
        torch.manual_seed(9)
        model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
    model = model.double()
    g = torch.Generator().manual_seed(1)
    base = {k: v.clone() for k, v in model.state_dict().items()}
    states = [
        {
            k: v + 0.1 * torch.rand(v.shape, generator=g, dtype=v.dtype)
            if v.is_floating_point() else v.clone()
            for k, v in base.items()
        }
        for _ in range(3)
    ]  # fmt: skip
    x = torch.rand(40, 4, generator=g, dtype=torch.float64)
    return model, states, base, Batches(x=x, y=(x[:, 0] > 0.5).long(), size=16)


def _same(a: State, b: State, tolerance: float = 0.0) -> bool:
    if a.keys() != b.keys():
        return False
    return all(
        v.shape == b[k].shape and torch.allclose(v, b[k], rtol=0, atol=tolerance)
        for k, v in a.items()
    )


def law_equal_states_give_that_state(merge: Merge) -> None:
    """Copies of one state merge into that state."""
    model, states, base, data = _world()
    merged = merge([states[0]] * 3, base, model=model, batches=data)
    if not _same(merged, states[0], 1e-12):
        raise LawBroken(f"{merge}: equal states do not give that state")
    if not _same(merge(states[:1], base, model=model, batches=data), states[0], 1e-12):
        raise LawBroken(f"{merge}: one state does not give itself")


def law_form_is_kept(merge: Merge) -> None:
    """Names, shapes and types are those of the states; everything is finite."""
    model, states, base, data = _world()
    merged = merge(states, base, model=model, batches=data)
    if {k: (v.shape, v.dtype) for k, v in merged.items()} != {
        k: (v.shape, v.dtype) for k, v in base.items()
    }:
        raise LawBroken(f"{merge}: names, shapes or types change")
    if not all(bool(v.isfinite().all()) for v in merged.values() if v.is_floating_point()):
        raise LawBroken(f"{merge}: the merged state is not finite")


def law_order_does_not_matter(merge: Merge) -> None:
    """Unless it declares `ordered`, the order of the states does not show."""
    if getattr(merge, "ordered", False):
        return
    model, states, base, data = _world()
    merged = merge(states, base, model=model, batches=data)
    if not _same(merged, merge(states[::-1], base, model=model, batches=data), 1e-12):
        raise LawBroken(f"{merge}: the order of the states shows")


def law_same_dice_same_state(merge: Merge) -> None:
    """The same dice give the same bits."""
    model, states, base, data = _world()
    a, b = (
        merge(states, base, model=model, batches=data, dice=Dice.of(len(data), 2)) for _ in range(2)
    )
    if not _same(a, b):
        raise LawBroken(f"{merge}: the same dice give two states")


def law_leaves_its_inputs(merge: Merge) -> None:
    """States, base and model are as before, and the result shares no memory with them."""
    model, states, base, data = _world()
    kept = copy.deepcopy((states, base, model.state_dict()))
    with no_trace(merge, model):
        merged = merge(states, base, model=model, batches=data)
    for value in merged.values():
        if value.is_floating_point():
            value.add_(1)
    now = (states, base, model.state_dict())
    pairs = [*zip(kept[0], now[0], strict=True), (kept[1], now[1]), (kept[2], now[2])]
    if not all(_same(a, b) for a, b in pairs) or not model.training:
        raise LawBroken(f"{merge}: changes a state, the base or the model")
