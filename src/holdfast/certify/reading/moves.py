"""Operations that only move numbers: any of them is read by running it on numbered tensors.

Each number of the tensors that depend on the input is replaced by its own number; what comes out
says where each went. Constants become zeros, so that their values can be read off the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from holdfast.certify.network.operators import Scale
from holdfast.certify.network.picks import Pick
from holdfast.certify.network.rearrange import Permute, Reshape
from holdfast.certify.reading.layout import Layout, Placed, layout_of, tags
from holdfast.certify.reading.recorder import Found, Recorder
from holdfast.certify.reading.refusals import unsupported

Args = Sequence[Any]
Named = Mapping[str, Any]
FILLS = {"constant_pad_nd": 2, "masked_fill": 2}  # arguments that are values, by position


def row(t: Tensor) -> tuple[int, ...]:
    """The shape of one row."""
    return tuple(t.shape[1:])


def only(recorder: Recorder, value: Any, *constants: Any) -> int:
    """The node of the one argument that may depend on the input."""
    position = recorder.position(value)
    if position is None or any(recorder.position(c) is not None for c in constants):
        raise unsupported("weights that depend on the input")
    return position


class _Numbers:
    """The numbers of the tensors of one operation."""

    def __init__(self, r: Recorder) -> None:
        self.r = r
        self.parents: list[int] = []
        self.shapes: list[tuple[int, ...]] = []
        self.firsts: dict[int, int] = {}
        self.total = 0

    def of(self, value: Any) -> Any:
        """An argument with numbers in place of values."""
        if isinstance(value, list | tuple):
            return type(value)(self.of(v) for v in value)
        if not isinstance(value, Tensor):
            return value
        placed = self.r.placed(value)
        if placed is None:
            return value.double() * 0 if value.is_floating_point() else value
        if placed.node not in self.firsts:
            self.firsts[placed.node] = self.total
            self.parents.append(placed.node)
            self.shapes.append(placed.layout.shape(placed.shape))
            self.total += placed.size
        return tags(placed, self.r.rows, 1 + self.firsts[placed.node]).to(value.device)


def traced(r: Recorder, move: Callable[..., Any], args: Args, named: Named, out: Any) -> Any:
    """Nodes for the results of a function that only moves numbers.

    Raises:
        Unsupported: if it moves them between rows, or rows differently.
    """
    numbers = _Numbers(r)
    numbered = [numbers.of(a) for a in args]
    found = move(*numbered, **{k: numbers.of(v) for k, v in named.items()})
    if isinstance(out, Tensor):
        return _placed(r, numbers, found, out)
    return [_placed(r, numbers, f, o) for f, o in zip(found, out, strict=True)]


def _placed(r: Recorder, numbers: _Numbers, found: Tensor, out: Tensor) -> Found:
    place = (found // r.rows).long() - 1
    none = place < 0
    if bool(none.all()):
        return None
    layout = layout_of(torch.where(none, -1, (found % r.rows).long()).cpu(), r.rows)
    if layout is None:
        raise unsupported("an operation that moves numbers between rows")
    index = layout.turned(torch.where(none, numbers.total, place), r.rows).reshape(r.rows, -1)
    if not torch.equal(index[:1].expand_as(index), index):
        raise unsupported("an operation that moves the numbers of each row differently")
    index, empty = index[0], layout.turned(none, r.rows)[0]
    bias = None
    if bool(empty.any()):
        values = layout.turned(out.double(), r.rows)
        values = torch.where(empty, values, torch.zeros_like(values))
        if not torch.equal(values[:1].expand_as(values), values):
            raise unsupported("a constant that differs between rows")
        bias = values[0]
    after = layout.shape(tuple(out.shape))
    plain = bias is None and len(numbers.parents) == 1 and len(index) == numbers.total
    if plain and bool((index == torch.arange(len(index), device=index.device)).all()):
        node = numbers.parents[0]
        if numbers.shapes[0] != after:
            node = r.add(Reshape(numbers.shapes[0], after), [node], out, shape=after)
        return Placed(node, layout, tuple(out.shape))
    pick = Pick(index, tuple(numbers.shapes), after, bias)
    node = r.add(pick, numbers.parents, out, shape=after, rounded=False)
    return Placed(node, layout, tuple(out.shape))


def moved(r: Recorder, args: Args, named: Named, out: Any) -> Any:
    """The operation that is being recorded, which only moves numbers."""
    name = str(r.func.overloadpacket).removeprefix("aten.").removesuffix("_")
    kept = list(args)
    if name in FILLS and len(kept) > FILLS[name]:
        kept[FILLS[name]] = 0
    # In place, as far as numbers go, is the same as out of place on a copy.
    found = traced(r, r.func, kept, named, out)
    if name in FILLS and len(kept) > FILLS[name] and r.position(args[FILLS[name]]) is not None:
        raise unsupported("a filling value that depends on the input")
    return found


def reshaped(r: Recorder, args: Args, named: Named, out: Tensor) -> Any:
    """The same numbers in another shape; views of memory do not matter here."""
    if out.dtype != args[0].dtype:
        raise unsupported("a tensor read as another type")
    return traced(r, lambda t: t.reshape(out.shape), args[:1], {}, out)


def permute(r: Recorder, args: Args, named: Named, out: Tensor) -> Any:
    """The axes in another order."""
    return _permuted(r, args, tuple(i % out.dim() for i in args[1]), out)


def transpose(r: Recorder, args: Args, named: Named, out: Tensor) -> Any:
    """Two axes exchanged."""
    order = list(range(out.dim()))
    i, j = args[1], args[2]
    order[i], order[j] = order[j], order[i]
    return _permuted(r, args, tuple(order), out)


def _permuted(r: Recorder, args: Args, order: tuple[int, ...], out: Tensor) -> Any:
    placed = r.placed(args[0])
    if placed is None or not placed.layout.first or order[0] != 0:
        return moved(r, args, {}, out)
    return r.add(Permute(order), [placed.node], out)


def constant(r: Recorder, args: Args, named: Named, out: Tensor) -> None:
    """A tensor of the shape of another one, with constant numbers."""
    r.fresh(out)


def cast(r: Recorder, args: Args, named: Named, out: Tensor) -> Found:
    """A copy, in a wider type the same node; a shorter type rounds."""
    placed = r.placed(args[0])
    if placed is None or not out.dtype.is_floating_point:
        raise unsupported(f"a cast to {out.dtype}")
    if torch.promote_types(args[0].dtype, out.dtype) == out.dtype:
        return placed
    one = torch.ones((), dtype=torch.float64, device=out.device)
    shape = placed.layout.shape(placed.shape)
    return Placed(r.add(Scale(one), [placed.node], out, shape=shape), placed.layout, placed.shape)


def aligned(r: Recorder, values: Sequence[Any], out: Tensor) -> tuple[list[Any], Layout]:
    """Arguments of an elementwise operation: nodes of the result's shape, or constants.

    Returns:
        Per value an int for a node or a float64 tensor, and where the rows stand.
    """
    places = []
    for value in values:
        placed = r.placed(value)
        if placed is not None and placed.shape != tuple(out.shape):
            shape = tuple(out.shape)
            placed = traced(r, lambda t, s=shape: t.expand(s), [value], {}, value.expand(shape))
        places.append(placed)
    layouts = [p.layout for p in places if p is not None]
    if any(layout != layouts[0] for layout in layouts):
        raise unsupported("an operation on two values whose rows are different axes")
    return [
        r.constant(v, out, layouts[0]) if p is None else p.node
        for v, p in zip(values, places, strict=True)
    ], layouts[0]
