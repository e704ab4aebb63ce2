"""Nothing is left behind, however deep the module is hidden and however the block ends."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from holdfast.core.digest import digest
from holdfast.core.quiet import modules_of, quiet
from holdfast.testing.laws import LawBroken
from holdfast.testing.traces import no_trace, state_of


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))


GLOBAL, LIST = net(), [net(), net()]


def meddle(model: nn.Module) -> None:
    """Everything that a careless method may do to a model, but for writing to weights."""
    model.train()
    model(torch.randn(8, 3))
    model[1].eval()
    for p in model.parameters():
        p.requires_grad_(True)
    model(torch.randn(8, 3)).sum().backward()
    model[0].weight.requires_grad_(False)
    model[1].running_mean = model[1].running_mean + 1
    model[1].running_var.mul_(2)
    model[3].register_forward_hook(lambda *a: None)
    model[3].register_forward_pre_hook(lambda *a: None)
    model[3].register_full_backward_hook(lambda *a: None)
    random.random()
    np.random.rand()
    torch.rand(1)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_everything_returns_however_the_block_ends(training: bool, error) -> None:
    model = net().train(training)
    model[0].weight.grad = torch.ones(4, 3)
    model[0].bias.requires_grad_(False)
    model[3].register_forward_hook(lambda *a: None)
    before = state_of(model)
    try:
        with quiet(model):
            assert not any(p.requires_grad for p in model.parameters())
            meddle(model)
            if error is not None:
                raise error
    except (ValueError, KeyboardInterrupt, SystemExit):
        pass
    assert state_of(model) == before
    assert torch.equal(model[0].weight.grad, torch.ones(4, 3))


def test_gradients_that_were_there_are_not_added_to() -> None:
    model = net()
    model[0].weight.grad = torch.ones(4, 3)
    with quiet(model):
        for p in model.parameters():
            p.requires_grad_(True)
        model(torch.randn(8, 3)).sum().backward()
    assert torch.equal(model[0].weight.grad, torch.ones(4, 3)) and model[0].bias.grad is None


def test_types_return() -> None:
    model = net().eval()
    with no_trace("quiet", model), quiet(model):
        model.half()


def test_removed_hooks_and_buffers_return_and_new_ones_go() -> None:
    model = net()
    handle = model[0].register_forward_hook(lambda *a: None)
    before = state_of(model)
    with quiet(model):
        handle.remove()
        del model[1]._buffers["running_mean"]
        model[0].register_buffer("more", torch.zeros(1))
    assert state_of(model) == before


def test_no_trace_sees_each_trace() -> None:
    for number, harm in enumerate(
        [
            lambda m: m.train(), lambda m: m[1].running_mean.add_(1), lambda m: torch.rand(1),
            lambda m: np.random.rand(), lambda m: random.random(), lambda m: m.double(),
            lambda m: m[0].weight.requires_grad_(False), lambda m: m[0].weight.data.add_(1e-6),
            lambda m: setattr(m[0].weight, "grad", torch.zeros(4, 3)),
            lambda m: m[0].register_forward_hook(lambda *a: None),
            lambda m: m[0].register_full_backward_hook(lambda *a: None),
        ]
    ):  # fmt: skip
        model = net().eval()
        with pytest.raises(LawBroken), no_trace(number, model):
            harm(model)


def test_a_graph_built_before_survives() -> None:
    """Buffers that did not change are not written to, so that gradients can still be taken."""
    model = net().eval()
    x = torch.randn(4, 3)
    out = model(x)
    with quiet(model):
        model(x)
    out.sum().backward()


@dataclass
class Held:
    model: nn.Module


class Called:
    def __init__(self, inner: object) -> None:
        self.inner = inner

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


def by_name(x: torch.Tensor) -> torch.Tensor:
    return GLOBAL(x)


def by_neighbour(x: torch.Tensor) -> torch.Tensor:
    return by_name(x)


def test_hidden_modules_are_found() -> None:
    model = net()

    def closure(x: torch.Tensor) -> torch.Tensor:
        return model(x)

    for hidden in (
        closure, partial(closure), model.forward, Held(model), Called(model), Called(closure),
        Called(model).__call__, lambda x, m=model: m(x), lambda x, *, m=model: m(x), [model],
        partial(lambda m, x: m(x), model), {"a": model}, Called([model]), (model, model[0]),
    ):  # fmt: skip
        assert modules_of(hidden) == [model], hidden
    assert modules_of(by_name) == modules_of(by_neighbour) == [GLOBAL]
    assert modules_of(lambda x: sum(m(x) for m in LIST)) == LIST
    for none in (lambda x: x, torch.relu, 1, None, "x", torch.ones(2), nn.Linear, []):
        assert modules_of(none) == []


def test_things_that_hold_themselves_are_searched_once() -> None:
    loop = Called(None)
    loop.inner = [loop, net()]
    assert len(modules_of(loop)) == 1


def test_digest_sees_every_weight() -> None:
    model = net()
    before = digest(model)
    with torch.no_grad():
        model[3].bias[1] += 1e-6
    assert digest(model) != before


@pytest.mark.parametrize("how", ["traced", "scripted"])
def test_compiled_programs_are_left_as_found(how):
    made, x = net().eval(), torch.randn(5, 3)
    model = torch.jit.trace(made, x) if how == "traced" else torch.jit.script(made)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with quiet(model):
        model.train()
        model(x)
        for name, buffer in model.named_buffers():
            if "mean" in name:
                buffer.add_(1)
    after = model.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert not any(part.training for part in model.modules() if isinstance(part, nn.Module))
