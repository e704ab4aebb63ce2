"""An ONNX network as sums of matrices and ReLUs, read from its file for one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from holdfast.certify.checker.convolution import averaging, convolution, overall
from holdfast.certify.checker.rejected import Rejected

Array = np.ndarray[Any, Any]
Matrix = Any  # None: identity; (n,): diagonal; (n, m): dense; or a sparse matrix


@dataclass(eq=False)
class Value:
    """One value of the network, flat: `sum of matrix @ parent + offset`, or a ReLU of its parent.

    Entries of matrices may be wrong by a few roundings of their own size; the offset by `error`.
    """

    parts: list[tuple[int, Matrix]]
    offset: Array
    error: Array | None = None
    layer: int = -1  # number of the ReLU

    def __post_init__(self) -> None:
        """For each part what takes its parent forward, and the same without signs."""
        turned = [m if m is None or m.ndim == 1 else m.T for _, m in self.parts]
        self.forward = [(m, None if m is None else abs(m)) for m in turned]


@dataclass(frozen=True, eq=False)
class Known:
    """A value while the file is read: its number and its shape."""

    number: int
    shape: tuple[int, ...]


class Network:
    """The values in order; value 0 is the input, `output` the number of the last.

    Args:
        raw: the bytes of the file.
    """

    def __init__(self, raw: bytes) -> None:
        import onnx
        from onnx import numpy_helper

        self.values: list[Value] = []
        self.layers: list[int] = []  # for each ReLU the value that goes into it
        graph = onnx.load_model_from_string(raw).graph
        found: dict[str, Any] = {"": None}
        for weight in graph.initializer:
            if weight.data_location == onnx.TensorProto.EXTERNAL:
                raise Rejected("the network keeps weights outside of its file")
            found[weight.name] = numpy_helper.to_array(weight)
        inputs = [i for i in graph.input if i.name not in found]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise Rejected("the network has several inputs or outputs")
        shape = tuple(d.dim_value or 1 for d in inputs[0].type.tensor_type.shape.dim)
        size = int(np.prod(shape))
        found[inputs[0].name] = self.add([], np.zeros(size), shape)
        for node in graph.node:
            settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            for key, value in settings.items():
                if isinstance(value, onnx.TensorProto):
                    settings[key] = numpy_helper.to_array(value)
            own = READ.get(node.op_type) if node.domain in ("", "ai.onnx") else None
            if own is None:
                raise Rejected(f"the checker does not read the operator {node.op_type}")
            given = [found[name] for name in node.input]
            out = own(self, settings, given, len(node.output))
            found.update(zip(node.output, out if isinstance(out, list) else [out], strict=False))
        last = found[graph.output[0].name]
        if not isinstance(last, Known):
            raise Rejected("the outputs of the network do not depend on its input")
        self.output = last.number

    def add(
        self, parts: list[tuple[int, Matrix]], offset: Array, shape: Sequence[int],
        error: Array | None = None, layer: int = -1,
    ) -> Known:  # fmt: skip
        """A new value."""
        flat = np.asarray(offset, dtype=np.float64).reshape(-1)
        self.values.append(Value(parts, flat, error, layer))
        return Known(len(self.values) - 1, tuple(int(n) for n in shape))

    def size(self, number: int) -> int:
        """How many entries a value has."""
        return len(self.values[number].offset)


Settings = dict[str, Any]


def _moved(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operator that only moves entries, given as a function of arrays: applied to positions."""

    def operator(net: Network, settings: Settings, given: list[Any], count: int) -> Any:
        if not isinstance(given[0], Known):
            return function(given[0], settings, given[1:], count)
        if any(isinstance(g, Known) for g in given[1:]):
            raise Rejected("an operator on shapes takes a shape that depends on the input")
        places = np.arange(net.size(given[0].number)).reshape(given[0].shape)
        out = function(places, settings, given[1:], count)
        chosen = [
            _picked(net, given[0].number, p) for p in (out if isinstance(out, list) else [out])
        ]
        return chosen if isinstance(out, list) else chosen[0]

    return operator


def _picked(net: Network, parent: int, places: Array) -> Known:
    flat, size = places.reshape(-1), net.size(parent)
    if len(flat) == size and (flat == np.arange(size)).all():
        return Known(parent, tuple(places.shape))
    ones = (np.ones(len(flat)), (np.arange(len(flat)), flat))
    matrix = sparse.csr_matrix(ones, shape=(len(flat), size))
    return net.add([(parent, matrix)], np.zeros(len(flat)), places.shape)


def _axes(settings: Settings, rest: list[Any]) -> list[int] | None:
    axes = settings.get("axes", rest[0] if rest and rest[0] is not None else None)
    return None if axes is None else [int(a) for a in np.asarray(axes).reshape(-1)]


def _reshape(x: Array, settings: Settings, rest: list[Any], count: int) -> Array:
    wanted = [int(n) for n in (settings.get("shape") or np.asarray(rest[0]).reshape(-1))]
    if not settings.get("allowzero"):
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    return x.reshape(wanted)


def _flatten(x: Array, settings: Settings, rest: list[Any], count: int) -> Array:
    axis = settings.get("axis", 1)
    axis += x.ndim if axis < 0 else 0
    return x.reshape(int(np.prod(x.shape[:axis])), -1)


def _squeeze(x: Array, settings: Settings, rest: list[Any], count: int) -> Array:
    axes = _axes(settings, rest)
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def _unsqueeze(x: Array, settings: Settings, rest: list[Any], count: int) -> Array:
    return np.expand_dims(x, tuple(_axes(settings, rest) or ()))


def _transpose(x: Array, settings: Settings, rest: list[Any], count: int) -> Array:
    return x.transpose(settings.get("perm"))


def _slice(x: Array, settings: Settings, rest: list[Any], count: int) -> Array:
    def listed(key: str, place: int) -> list[int] | None:
        value = settings.get(key, rest[place] if len(rest) > place else None)
        return None if value is None else [int(v) for v in np.asarray(value).reshape(-1)]

    starts, ends = listed("starts", 0) or [], listed("ends", 1) or []
    axes = listed("axes", 2) or list(range(len(starts)))
    steps = listed("steps", 3) or [1] * len(starts)
    if any(step < 1 for step in steps):
        raise Rejected("the checker does not read slices that go backward")
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        x = x[(*[slice(None)] * (axis % x.ndim), slice(start, end, step))]
    return x


def _gather(x: Array, settings: Settings, rest: list[Any], count: int) -> Array:
    return np.take(x, np.asarray(rest[0]), settings.get("axis", 0))


def _concat(net: Network, settings: Settings, given: list[Any], count: int) -> Any:
    axis = settings["axis"]
    if not any(isinstance(g, Known) for g in given):
        return np.concatenate(given, axis)
    shapes = [g.shape for g in given]
    total = np.concatenate([np.full(s, i) for i, s in enumerate(shapes)], axis)
    parts, offset = [], np.zeros(total.size)
    for i, value in enumerate(given):
        rows = np.flatnonzero(total.reshape(-1) == i)
        if isinstance(value, Known):
            ones = (np.ones(len(rows)), (rows, np.arange(len(rows))))
            matrix = sparse.csr_matrix(ones, shape=(total.size, len(rows)))
            parts.append((value.number, matrix))
        else:
            offset[rows] = value.reshape(-1)
    return net.add(parts, offset, total.shape)


def _added(sign: float) -> Callable[..., Any]:
    def operator(net: Network, settings: Settings, given: list[Any], count: int) -> Any:
        a, b = given
        if not isinstance(a, Known) and not isinstance(b, Known):
            return a + sign * b
        shape = np.broadcast_shapes(a.shape, b.shape)
        offset, parts = np.zeros(shape), []
        for value, factor in ((a, 1.0), (b, sign)):
            if not isinstance(value, Known):
                offset = offset + factor * np.asarray(value, dtype=np.float64)
                continue
            spread = _spread(net, value, shape)
            scale = None if factor == 1.0 else np.full(int(np.prod(shape)), factor)
            parts.append((spread.number, scale))
        return net.add(parts, offset, shape)

    return operator


def _spread(net: Network, value: Known, shape: tuple[int, ...]) -> Known:
    """A value broadcast to a shape."""
    places = np.arange(net.size(value.number)).reshape(value.shape)
    return _picked(net, value.number, np.broadcast_to(places, shape))


def _scaled(net: Network, settings: Settings, given: list[Any], count: int, *, by: Any) -> Any:
    a, b = given
    if not isinstance(a, Known) and not isinstance(b, Known):
        return by(a, b)
    if isinstance(b, Known):
        a, b = b, a
        if isinstance(b, Known) or by is np.divide:
            raise Rejected("the checker does not read products or quotients of two values")
    shape = np.broadcast_shapes(a.shape, b.shape)
    factors = by(1.0, np.asarray(b, dtype=np.float64))
    own = np.broadcast_to(factors, shape).reshape(-1)
    return net.add([(_spread(net, a, shape).number, own)], np.zeros(len(own)), shape)


def _relu(net: Network, settings: Settings, given: list[Any], count: int) -> Any:
    if not isinstance(given[0], Known):
        return np.maximum(given[0], 0)
    net.layers.append(given[0].number)
    zero = np.zeros(net.size(given[0].number))
    return net.add([(given[0].number, None)], zero, given[0].shape, None, len(net.layers) - 1)


def _product(net: Network, x: Any, w: Any) -> Any:
    """`x @ w` where one of them is constant."""
    if not isinstance(x, Known) and not isinstance(w, Known):
        return x @ w
    known, fixed = (x, w) if isinstance(x, Known) else (w, x)
    if isinstance(fixed, Known) or fixed.ndim != 2:
        raise Rejected("the checker reads products with a constant matrix only")
    fixed = np.asarray(fixed, dtype=np.float64)
    if known is x:
        shape = (*known.shape[:-1], fixed.shape[1])
        rows = int(np.prod(known.shape[:-1]))
        matrix = fixed.T if rows == 1 else sparse.kron(sparse.eye(rows), fixed.T).tocsr()
    else:
        if len(known.shape) > 2:
            raise Rejected("the checker reads products with a constant matrix only")
        rows = int(np.prod(known.shape[1:]))
        shape = (fixed.shape[0], *known.shape[1:])
        matrix = fixed if rows == 1 else sparse.kron(fixed, sparse.eye(rows)).tocsr()
    return net.add([(known.number, matrix)], np.zeros(matrix.shape[0]), shape)


def _matmul(net: Network, settings: Settings, given: list[Any], count: int) -> Any:
    return _product(net, given[0], given[1])


def _gemm(net: Network, settings: Settings, given: list[Any], count: int) -> Any:
    x, w = given[0], given[1]
    if isinstance(w, Known) or settings.get("transA", 0):
        raise Rejected("the checker reads Gemm with a constant second factor only")
    w = np.asarray(w, dtype=np.float64).T if settings.get("transB", 0) else w
    found = _product(net, x, settings.get("alpha", 1.0) * np.asarray(w, dtype=np.float64))
    if len(given) < 3 or given[2] is None:
        return found
    beta = settings.get("beta", 1.0)
    own = beta * np.broadcast_to(np.asarray(given[2], dtype=np.float64), found.shape).reshape(-1)
    value = net.values[found.number]
    value.offset = own
    value.error = None if beta == 1.0 else np.abs(own) * 2.0**-50
    return found


def _batch(net: Network, settings: Settings, given: list[Any], count: int) -> Any:
    x, (w, b, mean, var) = given[0], (np.asarray(v, dtype=np.float64) for v in given[1:5])
    scale = w / np.sqrt(var + settings.get("epsilon", 1e-5))
    shift = b - mean * scale
    doubt = (np.abs(b) + np.abs(mean * scale)) * 2.0**-49
    wide = (1, -1, *[1] * (len(x.shape) - 2))
    own, offset, error = (
        np.broadcast_to(v.reshape(wide), x.shape).reshape(-1) for v in (scale, shift, doubt)
    )
    return net.add([(x.number, own)], offset, x.shape, error)


def _linear(build: Callable[..., Any]) -> Callable[..., Any]:
    def operator(net: Network, settings: Settings, given: list[Any], count: int) -> Any:
        if not isinstance(given[0], Known) or any(isinstance(g, Known) for g in given[1:]):
            raise Rejected("the checker reads convolutions with constant weights only")
        matrix, offset, shape = build(given[0].shape, settings, given[1:])
        return net.add([(given[0].number, matrix)], offset, shape)

    return operator


READ: dict[str, Callable[..., Any]] = {
    "Reshape": _moved(_reshape), "Flatten": _moved(_flatten), "Squeeze": _moved(_squeeze),
    "Unsqueeze": _moved(_unsqueeze), "Transpose": _moved(_transpose), "Slice": _moved(_slice),
    "Gather": _moved(_gather),
    "Identity": _moved(lambda x, *_: x), "Dropout": _moved(lambda x, *_: x),
    "Shape": lambda net, s, given, n: np.array(given[0].shape, dtype=np.int64),
    "Constant": lambda net, s, given, n: np.asarray(next(iter(s.values()))),
    "Concat": _concat, "Add": _added(1.0), "Sub": _added(-1.0), "Relu": _relu,
    "Mul": lambda *a: _scaled(*a, by=np.multiply), "Div": lambda *a: _scaled(*a, by=np.divide),
    "MatMul": _matmul, "Gemm": _gemm, "BatchNormalization": _batch,
    "Conv": _linear(convolution), "AveragePool": _linear(averaging),
    "GlobalAveragePool": _linear(overall),
}  # fmt: skip
