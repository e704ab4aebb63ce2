"""What a module is made of, as plain things that can be digested."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import Enum
from fractions import Fraction
from functools import partial
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Values whose repr says everything.
PLAIN = (
    bool, int, float, complex, Enum, range, slice, Fraction, PurePath, torch.dtype, torch.device,
    torch.memory_format, torch.layout, type(None), type(Ellipsis), type(NotImplemented),
)  # fmt: skip
_OWN = frozenset(vars(nn.Module())) | {"training"}


def name_of(kind: Any) -> str:
    """Module and qualified name of a class or function."""
    return f"{getattr(kind, '__module__', '')}.{kind.__qualname__}"


def module_parts(thing: nn.Module) -> list[Any]:
    """Architecture, weights, buffers and what a module remembers besides them."""
    kinds = [f"{n}:{type(m).__qualname__}:{m.extra_repr()}" for n, m in thing.named_modules()]
    state = dict(thing.state_dict())
    more = {n: b for n, b in thing.named_buffers() if n not in state}
    own = [_attributes(m) for m in thing.modules()]
    return [type(thing).__module__, kinds, state, more, own]


def _scripted(module: torch.jit.ScriptModule) -> dict[str, Any]:
    """Code, constants and the plain attributes that the code reads, without torch's numbering."""
    code, constants = getattr(module, "code_with_constants", ("", None))
    read = {n: getattr(module, n, None) for n in re.findall(r"self\.(\w+)", code)}
    return {
        "code": re.sub(r"___torch_mangle_\d+\.", "", code),
        "constants": getattr(constants, "const_mapping", {}),
        "attributes": {n: v for n, v in read.items() if isinstance(v, (*PLAIN, str, list, tuple))},
    }


def _attributes(module: nn.Module) -> dict[str, Any]:
    """What a user's module remembers besides weights: factors, activations, flags."""
    if isinstance(module, torch.fx.GraphModule):
        return {"code": module.code}
    if isinstance(module, torch.jit.ScriptModule):
        return _scripted(module)
    if type(module).__module__.startswith("torch.nn."):
        return {}  # its extra_repr says it
    return {
        k: v if _readable(v) else name_of(type(v)) for k, v in vars(module).items() if k not in _OWN
    }


def _readable(value: Any) -> bool:
    """Whether a value has contents; loggers, locks and sessions of a module count by their type."""
    if isinstance(value, Mapping):
        return all(_readable(k) and _readable(v) for k, v in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return all(_readable(v) for v in value)
    kinds = (*PLAIN, str, bytes, Tensor, np.ndarray, np.generic, nn.Module, partial)
    known = isinstance(value, kinds)
    return known or is_dataclass(value) or (callable(value) and hasattr(value, "__qualname__"))
