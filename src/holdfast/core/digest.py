"""The identity of contents: equal digests mean equal weights, rows or settings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


def digest(thing: Any) -> str:
    """SHA-256 (hex) of tensors, modules, data sets, settings, containers and plain values."""
    sink = hashlib.sha256()
    _feed(sink, thing)
    return sink.hexdigest()


def _feed(sink: Any, thing: Any) -> None:
    if isinstance(thing, Tensor):
        flat = thing.detach().cpu().contiguous()
        sink.update(f"tensor {flat.dtype} {tuple(flat.shape)};".encode())
        if flat.numel():
            sink.update(flat.reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(thing, str | bytes):
        raw = thing.encode() if isinstance(thing, str) else thing
        sink.update(f"{type(thing).__name__} {len(raw)};".encode() + raw)
    elif isinstance(thing, Mapping):
        sink.update(f"map {len(thing)};".encode())
        for name in sorted(thing, key=str):
            _feed(sink, str(name))
            _feed(sink, thing[name])
    elif isinstance(thing, Sequence):
        sink.update(f"list {len(thing)};".encode())
        for item in thing:
            _feed(sink, item)
    else:
        _feed(sink, _parts(thing))


def _parts(thing: Any) -> Any:
    """A module, settings object, function or plain value as containers of simpler things."""
    if isinstance(thing, nn.Module):
        kinds = [f"{n}:{type(m).__qualname__}:{m.extra_repr()}" for n, m in thing.named_modules()]
        return ["module", type(thing).__module__, kinds, dict(thing.state_dict())]
    if is_dataclass(thing) and not isinstance(thing, type):
        name = f"{type(thing).__module__}.{type(thing).__qualname__}"
        return ["object", name, {f.name: getattr(thing, f.name) for f in fields(thing)}]
    if isinstance(thing, partial):
        return ["partial", thing.func, list(thing.args), thing.keywords]
    if callable(thing) and hasattr(thing, "__qualname__"):
        cells = [c.cell_contents for c in getattr(thing, "__closure__", None) or ()]
        return ["callable", f"{thing.__module__}.{thing.__qualname__}", cells]
    return f"{type(thing).__qualname__} {thing!r}"
