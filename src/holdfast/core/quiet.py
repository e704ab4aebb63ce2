"""Leave no trace: a model and the global random state are as they were, whatever was run."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import nn


def modules_of(model: Any, depth: int = 4) -> list[nn.Module]:
    """The modules inside a model: itself, a partial, a method, a closure or a dataclass."""
    if isinstance(model, nn.Module):
        return [model]
    if depth == 0 or model is None or isinstance(model, torch.Tensor | str | int | float):
        return []
    inner: list[Any] = []
    if isinstance(model, functools.partial):
        inner += [model.func, *model.args, *model.keywords.values()]
    if is_dataclass(model) and not isinstance(model, type):
        inner += [getattr(model, f.name) for f in fields(model)]
    inner.append(getattr(model, "__self__", None))
    inner += [c.cell_contents for c in getattr(model, "__closure__", None) or () if _filled(c)]
    found: dict[int, nn.Module] = {}
    for thing in inner:
        found |= {id(m): m for m in modules_of(thing, depth - 1)}
    return list(found.values())


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


@contextmanager
def quiet(*models: Any) -> Iterator[None]:
    """Run a block that leaves models and global random state untouched.

    Inside, parameters need no gradient; afterwards requires_grad, gradients, modes, buffers and
    the random state of torch are bit-identical to before.
    """
    modules = [m for model in models for m in modules_of(model)]
    parameters = [p for m in modules for p in m.parameters()]
    wanted = [p.requires_grad for p in parameters]
    gradients = [p.grad for p in parameters]
    modes = [(s, s.training) for m in modules for s in m.modules()]
    live = any(training for _, training in modes)
    buffers = [(b, b.detach().clone()) for m in modules for b in m.buffers()] if live else []
    devices = {p.device.index or 0 for p in parameters if p.is_cuda}
    with torch.random.fork_rng(devices=sorted(devices)):
        try:
            for p in parameters:
                p.requires_grad_(False)
            yield
        finally:
            for p, flag, gradient in zip(parameters, wanted, gradients, strict=True):
                p.requires_grad_(flag)
                p.grad = gradient
            for part, training in modes:
                part.training = training
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
