"""Leave no trace: a model and the global random state are as they were, whatever was run."""

from __future__ import annotations

import functools
import random
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

DEPTH = 5
LEAVES = (Tensor, str, bytes, int, float, type, types.ModuleType, type(None))
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def modules_of(model: Any) -> list[nn.Module]:
    """The modules inside a model: itself, or those that a callable is made of.

    Partials, methods, closures, dataclasses, callable objects, containers, and global names that
    a function uses are searched. A module inside another one that was found is not named again.
    """
    found: dict[int, nn.Module] = {}
    _look(model, DEPTH, found, set())
    inner = {id(part) for m in found.values() for part in m.modules() if part is not m}
    return [m for m in found.values() if id(m) not in inner]


def _look(thing: Any, depth: int, found: dict[int, nn.Module], seen: set[int]) -> None:
    if isinstance(thing, nn.Module):
        found[id(thing)] = thing
    elif depth and not isinstance(thing, LEAVES) and id(thing) not in seen:
        seen.add(id(thing))
        for part in _inside(thing):
            _look(part, depth - 1, found, seen)


def _inside(thing: Any) -> list[Any]:
    """What a callable, an object or a container is made of."""
    found: list[Any] = []
    if isinstance(thing, Mapping):
        found = list(thing.values())
    elif isinstance(thing, list | tuple | set | frozenset):
        found = list(thing)
    elif isinstance(thing, functools.partial):
        found = [thing.func, *thing.args, *thing.keywords.values()]
    elif isinstance(thing, types.MethodType):
        found = [thing.__self__, thing.__func__]
    elif isinstance(thing, types.FunctionType):
        found = [c.cell_contents for c in thing.__closure__ or () if _filled(c)]
        found += [*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values()]
        named = [thing.__globals__.get(n) for n in _names(thing.__code__)]
        found += [v for v in named if isinstance(v, nn.Module) or _beside(v, thing)]
    elif is_dataclass(thing):
        found = [getattr(thing, f.name) for f in fields(thing)]
    elif callable(thing) and hasattr(thing, "__dict__"):
        found = list(vars(thing).values())
    return found


def _names(code: types.CodeType) -> set[str]:
    """Names that code and the functions defined in it look up."""
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _beside(value: Any, function: types.FunctionType) -> bool:
    """Whether a global belongs to the function's own code: its neighbours and containers."""
    if isinstance(value, list | tuple | dict):
        return any(isinstance(v, nn.Module) for v in _inside(value))
    return isinstance(value, types.FunctionType) and value.__module__ == function.__module__


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


class _Kept:
    """Everything about one module that a call must not change, and how to bring it back."""

    def __init__(self, part: nn.Module) -> None:
        self.part, self.kind, self.training = part, type(part), part.training
        self.parameters = dict(part._parameters)
        self.buffers = dict(part._buffers)
        self.values = {n: b.detach().clone() for n, b in self.buffers.items() if b is not None}
        self.hooks = {name: dict(getattr(part, name)) for name in HOOKS}

    def restore(self) -> None:
        part = self.part
        part.training = self.training
        _same(part._parameters, self.parameters)
        _same(part._buffers, self.buffers)
        for name, before in self.values.items():
            buffer = part._buffers[name]
            # Compared first: writing would spoil graphs that hold the buffer.
            if buffer is not None and not _equal(buffer, before):
                buffer.data = before if buffer.dtype != before.dtype else buffer.data
                buffer.copy_(before)
        if type(part) is self.kind:  # lazy modules turn into others and drop their hooks
            for name, hooks in self.hooks.items():
                _same(getattr(part, name), hooks)


def _same(now: dict[Any, Any], before: dict[Any, Any]) -> None:
    """Bring a dictionary back to the objects it held.

    The members of a compiled module stand in no dictionary and can be neither added nor removed.
    """
    if not isinstance(now, dict):
        return
    if list(now) != list(before) or any(now[k] is not before[k] for k in now):
        now.clear()
        now.update(before)


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.device == b.device and torch.equal(a, b)


@contextmanager
def _global_draws(devices: list[int]) -> Iterator[None]:
    """Put back the random states of torch, Python and, where it is loaded, NumPy."""
    numpy = sys.modules.get("numpy")
    ours = random.getstate()
    theirs = numpy.random.get_state() if numpy is not None else None
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(ours)
            if numpy is not None:
                numpy.random.set_state(theirs)


@contextmanager
def quiet(*models: Any) -> Iterator[None]:
    """Run a block that leaves models and global random state untouched, even if it raises.

    Inside, parameters need no gradient and have none; afterwards requires_grad, gradients, modes,
    buffers, hooks, types and devices of the models and the random states of torch, Python and
    NumPy are bit-identical to before. Weights that are written to in place stay written: only
    recipes may do that.
    """
    modules = [m for model in models for m in modules_of(model)]
    kept = [_Kept(part) for m in modules for part in m.modules()]
    parameters = list({id(p): p for m in modules for p in m.parameters()}.values())
    before = [(p, p.data, p.requires_grad, p.grad) for p in parameters]
    devices = {p.device.index or 0 for p in parameters if p.is_cuda}
    with _global_draws(sorted(devices)):
        try:
            for p in parameters:
                p.requires_grad_(False)
                p.grad = None
            yield
        finally:
            with torch.no_grad():
                for part in kept:
                    part.restore()
                for p, data, flag, gradient in before:
                    if p.dtype != data.dtype or p.device != data.device:
                        p.data = data
                    p.requires_grad_(flag)
                    p.grad = gradient
