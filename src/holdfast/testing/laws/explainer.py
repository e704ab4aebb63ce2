"""Laws of explainers: one number per input value, of the function and not of its build."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.core.dice import Dice
from holdfast.core.goal import Outputs, logits
from holdfast.core.kinds import Explainer, Readout
from holdfast.testing.laws import LawBroken
from holdfast.testing.traces import no_trace, stopped_anywhere
from holdfast.testing.worlds import draws, three_class


class _Net(nn.Module):
    """A smooth net in float64 with weights from a private generator."""

    def __init__(self, inputs: int = 6, hidden: int = 10) -> None:
        super().__init__()
        self.inner = nn.Linear(inputs, hidden).double()
        self.last = nn.Linear(hidden, 3).double()
        g = draws(0)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=g, dtype=p.dtype))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(torch.tanh(self.inner(x)))
        return out


def _x(rows: int = 7, inputs: int = 6) -> Tensor:
    return torch.rand(rows, inputs, generator=draws(1), dtype=torch.float64)


def _first(outputs: Outputs) -> Tensor:
    return logits(outputs)[:, 0]


def _explain(method: Explainer, model: nn.Module, x: Tensor, readout: Readout = _first) -> Tensor:
    return method(model, x, readout)


def law_shaped_like_the_input(method: Explainer) -> None:
    """Attributions have the shape, type and finiteness of the input; images and no rows too."""
    image = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    for model, x in ((_Net(), _x()), (_Net(), _x(0)), (image, torch.rand(2, 3, 2, 2))):
        found = _explain(method, model, x)
        if found.shape != x.shape or found.dtype != x.dtype or found.requires_grad:
            raise LawBroken(f"input {tuple(x.shape)} got attributions {tuple(found.shape)}")
        if not bool(found.isfinite().all()):
            raise LawBroken("attributions are not finite")


def law_leaves_the_model_as_it_was(method: Explainer) -> None:
    """Weights, gradients, flags, modes, hooks, the input and random states stay, stopped or not."""
    model, x = _Net(), _x()
    model.inner.weight.grad = torch.ones_like(model.inner.weight)
    given = x.clone()
    with no_trace(method, model):
        _explain(method, model, x)
    if not torch.equal(given, x) or x.requires_grad:
        raise LawBroken("changes the input")
    stopped_anywhere(method, model, lambda fragile: _explain(method, fragile, x))


def law_same_dice_same_result(method: Explainer) -> None:
    """The same dice give the same attributions, bit for bit."""
    model, x = _Net(), _x()
    a, b = (method(model, x, _first, dice=Dice.of(len(x), seed=3)) for _ in range(2))
    if not torch.equal(a, b):
        raise LawBroken("the same dice give other attributions")


def law_rows_do_not_depend_on_each_other(method: Explainer) -> None:
    """A row is explained the same alone, among others and in any order."""
    model, x = _Net(), _x()
    order = torch.tensor([3, 0, 6])
    whole, part = _explain(method, model, x), _explain(method, model, x[order])
    alone = torch.cat([_explain(method, model, x[i : i + 1]) for i in range(len(x))])
    same = torch.allclose(whole[order], part, rtol=1e-9, atol=1e-9)
    if not same or not torch.allclose(whole, alone, rtol=1e-9, atol=1e-9):
        raise LawBroken("a row's explanation depends on the other rows")


def law_depends_on_the_function_only(method: Explainer) -> None:
    """Nets with hidden units in another order are the same function and explained the same."""
    model, x = _Net(), _x()
    order = torch.randperm(10, generator=draws(2))
    other = _Net()
    with torch.no_grad():
        other.inner.weight.copy_(model.inner.weight[order])
        other.inner.bias.copy_(model.inner.bias[order])
        other.last.weight.copy_(model.last.weight[:, order])
    a, b = _explain(method, model, x), _explain(method, other, x)
    if not torch.allclose(a, b, rtol=1e-9, atol=1e-9):
        raise LawBroken("two builds of one function are explained differently")


def law_ignored_values_get_nothing(method: Explainer) -> None:
    """An input value that the function ignores is given nothing."""
    model = _Net()
    with torch.no_grad():
        model.inner.weight[:, 2] = 0
    if bool((_explain(method, model, _x())[:, 2] != 0).any()):
        raise LawBroken("gives weight to a value that the function ignores")


def law_depends_on_the_readout(method: Explainer) -> None:
    """Another class has another explanation."""
    world = three_class()
    a = _explain(method, world.model, world.x)
    b = _explain(method, world.model, world.x, lambda out: logits(out)[:, 1])
    if torch.allclose(a, b):
        raise LawBroken("explains every class the same")


def law_complete_where_declared(method: Explainer) -> None:
    """Explainers that declare `complete` add up to the change of the readout, within 1e-3."""
    if not getattr(method, "complete", False):
        return
    model, x = _Net(), _x()
    with torch.no_grad():
        change = _first(model(x)) - _first(model(torch.zeros_like(x)))
    if not torch.allclose(_explain(method, model, x).sum(1), change, atol=1e-3):
        raise LawBroken("attributions do not add up to the change of the readout")
