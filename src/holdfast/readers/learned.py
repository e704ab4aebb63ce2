"""What an object of a library has learned, as plain things: the same in every process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

PLAIN = (bool, int, float, str, bytes, np.generic, type(None))


def learned(thing: Any, above: frozenset[int] = frozenset()) -> Any:
    """What pickling would keep of a thing, without its bytes.

    Records of arrays are taken field by field, because the bytes between them are anything.
    """
    if isinstance(thing, np.ndarray):
        return _array(thing, above)
    if isinstance(thing, PLAIN):
        return thing
    if isinstance(thing, type) or hasattr(thing, "__qualname__"):
        return f"{thing.__module__}.{thing.__qualname__}"
    within = above | {id(thing)}
    found: Any = "again"
    if id(thing) in above:
        return found
    if isinstance(thing, list | tuple):
        found = [learned(v, within) for v in thing]
    elif isinstance(thing, Mapping):
        found = {str(k): learned(v, within) for k, v in thing.items()}
    elif isinstance(thing, set | frozenset):
        found = sorted(map(str, thing))
    else:
        name = f"{type(thing).__module__}.{type(thing).__qualname__}"
        found = [name, learned(_state(thing), within)]
    return found


def _array(thing: np.ndarray, above: frozenset[int]) -> Any:
    if thing.dtype.names:
        return {n: np.ascontiguousarray(thing[n]) for n in thing.dtype.names}
    return learned(thing.ravel().tolist(), above) if thing.dtype.hasobject else thing


def _state(thing: Any) -> Any:
    try:
        state = thing.__getstate__()
        return list(thing.__reduce_ex__(2)[1:3]) if state is None else state
    except Exception:  # whatever a class of an extension raises
        return None
