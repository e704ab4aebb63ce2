"""The identity of contents: equal digests mean equal weights, rows or settings."""

from __future__ import annotations

import hashlib
import types
import uuid
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.core.contents import PLAIN, module_parts, name_of

OURS = ("holdfast.", "torch.")  # code that is identified elsewhere, by version or source
_PROCESS = uuid.uuid4().hex


def digest(thing: Any) -> str:
    """SHA-256 (hex) of tensors, modules, data sets, settings, containers, functions and values.

    Functions and lambdas are their code, defaults and what they enclose; bound methods count
    their object; modules count weights, buffers and plain attributes, but not whether they are in
    training mode. Lists and tuples are alike, and so are numbers of NumPy and of Python. What
    has no contents that can be read (a session, a handle) equals only itself, in this process.
    """
    sink = hashlib.sha256()
    _feed(sink, thing, (), {})
    return sink.hexdigest()


def _feed(
    sink: Any, thing: Any, above: tuple[int, ...], known: dict[int, tuple[bytes, Any]]
) -> int:
    """Enter a thing into a digest; how far up (a position in `above`) its cycles reach.

    What was entered before is not walked again, unless it is part of a larger cycle: objects of
    libraries share parts so often that every way to each of them could not be gone in a lifetime.
    """
    if isinstance(thing, np.generic) and not isinstance(thing, np.void):
        thing = thing.item()
    if isinstance(thing, str | bytes | bytearray):
        raw = thing.encode("utf-8", "surrogatepass") if isinstance(thing, str) else bytes(thing)
        _put(sink, "str" if isinstance(thing, str) else "bytes", raw)
    elif isinstance(thing, PLAIN):
        _put(sink, f"plain {type(thing).__qualname__}", repr(thing).encode())
    elif isinstance(thing, Tensor | np.ndarray) and not _is_table(thing):
        _numbers(sink, thing)
    elif id(thing) in above:
        _put(sink, "again", str(above[::-1].index(id(thing))).encode())  # a cycle: how far up
        return above.index(id(thing))
    elif id(thing) in known:
        sink.update(known[id(thing)][0])
    else:
        tag, parts = _parts(thing)
        own = hashlib.sha256(f"{tag} {len(parts)};".encode())
        within = (*above, id(thing))
        reach = min((_feed(own, part, within, known) for part in parts), default=len(above))
        sink.update(own.digest())
        if reach < len(above):
            return reach
        known[id(thing)] = own.digest(), (thing, parts)  # kept alive, so that ids stay theirs
    return len(above)


def _put(sink: Any, tag: str, raw: bytes) -> None:
    sink.update(f"{tag} {len(raw)};".encode() + raw)


def _is_table(thing: Any) -> bool:
    """Numbers that do not lie in memory as they are: objects, sparse tensors."""
    if isinstance(thing, np.ndarray):
        return bool(thing.dtype.hasobject)
    strided: bool = thing.layout == torch.strided
    return not strided


def _numbers(sink: Any, thing: Tensor | np.ndarray[Any, Any]) -> None:
    if isinstance(thing, np.ndarray):
        _put(sink, f"array {thing.dtype.str} {thing.shape}", np.ascontiguousarray(thing).tobytes())
        return
    flat = thing.detach().cpu().resolve_conj().resolve_neg().contiguous()
    sink.update(f"tensor {flat.dtype} {tuple(flat.shape)};".encode())
    if flat.numel():
        sink.update(flat.reshape(-1).view(torch.uint8).numpy().tobytes())


def _parts(thing: Any) -> tuple[str, list[Any]]:
    """What a thing is and the simpler things that it is made of."""
    found: tuple[str, list[Any]] | None = None
    if isinstance(thing, Mapping):
        found = "map", [x for k in sorted(thing, key=_order) for x in (k, thing[k])]
    elif isinstance(thing, Set):
        found = "set", sorted(digest(x) for x in thing)
    elif isinstance(thing, Sequence):
        found = "list", list(thing)
    elif isinstance(thing, Tensor):
        sparse = thing.detach().cpu().to_sparse_coo().coalesce()
        found = "sparse", [list(sparse.shape), sparse.indices(), sparse.values()]
    elif isinstance(thing, np.ndarray):
        found = "objects", [list(thing.shape), thing.ravel().tolist()]
    return found or _made_of(thing)


def _made_of(thing: Any) -> tuple[str, list[Any]]:
    """The same for modules, objects and functions."""
    own = getattr(thing, "__dict__", None)
    if isinstance(thing, nn.Module):
        found = "module", module_parts(thing)
    elif isinstance(thing, types.ModuleType):
        found = "import", [thing.__name__, str(getattr(thing, "__version__", ""))]
    elif is_dataclass(thing) and not isinstance(thing, type):
        own = {f.name: getattr(thing, f.name) for f in fields(thing)}
        found = "object", [name_of(type(thing)), own]
    elif isinstance(thing, partial):
        found = "partial", [thing.func, list(thing.args), thing.keywords]
    elif isinstance(thing, types.CodeType):
        found = "code", [thing.co_code, list(thing.co_consts), list(thing.co_names)]
    elif callable(thing) and hasattr(thing, "__qualname__"):
        found = "callable", _callable(thing)
    elif own:
        found = "object", [name_of(type(thing)), dict(own)]
    else:
        found = "opaque", [name_of(type(thing)), _opaque(thing)]
    return found


def _order(key: Any) -> tuple[str, str]:
    return type(key).__qualname__, str(key)


def _opaque(thing: Any) -> str:
    """What a thing without contents prints, if that does not tell where it lies in memory."""
    text = repr(thing)
    return f"{_PROCESS} {id(thing)}" if " at 0x" in text else text


def _callable(thing: Any) -> list[Any]:
    """A function, method or class."""
    if isinstance(thing, types.MethodType):
        return [name_of(thing.__func__), thing.__func__, thing.__self__]
    parts: list[Any] = [name_of(thing)]
    owner = getattr(thing, "__self__", None)
    if owner is not None and not isinstance(owner, types.ModuleType | type):
        parts.append(owner)
    cells = list(_cells(thing))
    if isinstance(thing, types.FunctionType) and (cells or not name_of(thing).startswith(OURS)):
        parts += [thing.__code__, thing.__defaults__, thing.__kwdefaults__, cells]
    return parts


def _cells(thing: Any) -> Iterator[Any]:
    closure = getattr(thing, "__closure__", None)  # of a class it would be a descriptor
    for cell in closure if isinstance(closure, tuple) else ():
        try:
            yield cell.cell_contents
        except ValueError:  # not yet filled
            yield "empty"
