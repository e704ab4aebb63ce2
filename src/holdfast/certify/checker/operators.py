"""The operators of ONNX that the checker reads, each as matrices or a ReLU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from holdfast.certify.checker.convolution import averaging, convolution, overall
from holdfast.certify.checker.moves import MOVES, Settings, picked
from holdfast.certify.checker.rejected import Rejected
from holdfast.certify.checker.values import Known, Values


def _concat(net: Values, settings: Settings, given: list[Any], count: int) -> Any:
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
    def operator(net: Values, settings: Settings, given: list[Any], count: int) -> Any:
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


def _spread(net: Values, value: Known, shape: tuple[int, ...]) -> Known:
    """A value broadcast to a shape."""
    places = np.arange(net.size(value.number)).reshape(value.shape)
    return picked(net, value.number, np.broadcast_to(places, shape))


def _scaled(net: Values, settings: Settings, given: list[Any], count: int, *, by: Any) -> Any:
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


def _relu(net: Values, settings: Settings, given: list[Any], count: int) -> Any:
    if not isinstance(given[0], Known):
        return np.maximum(given[0], 0)
    number, shape = given[0].number, given[0].shape
    if (number, shape) not in net.rectified:  # several ReLUs of one value are one layer
        net.layers.append(number)
        zero, layer = np.zeros(net.size(number)), len(net.layers) - 1
        net.rectified[number, shape] = net.add([(number, None)], zero, shape, None, layer)
    return net.rectified[number, shape]


def _product(net: Values, x: Any, w: Any) -> Any:
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


def _matmul(net: Values, settings: Settings, given: list[Any], count: int) -> Any:
    return _product(net, given[0], given[1])


def _gemm(net: Values, settings: Settings, given: list[Any], count: int) -> Any:
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


def _batch(net: Values, settings: Settings, given: list[Any], count: int) -> Any:
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
    def operator(net: Values, settings: Settings, given: list[Any], count: int) -> Any:
        if not isinstance(given[0], Known) or any(isinstance(g, Known) for g in given[1:]):
            raise Rejected("the checker reads convolutions with constant weights only")
        matrix, offset, shape = build(given[0].shape, settings, given[1:])
        return net.add([(given[0].number, matrix)], offset, shape)

    return operator


READ: dict[str, Callable[..., Any]] = {
    **MOVES,
    "Shape": lambda net, s, given, n: np.array(given[0].shape, dtype=np.int64),
    "Constant": lambda net, s, given, n: np.asarray(next(iter(s.values()))),
    "Concat": _concat, "Add": _added(1.0), "Sub": _added(-1.0), "Relu": _relu,
    "Mul": lambda *a: _scaled(*a, by=np.multiply), "Div": lambda *a: _scaled(*a, by=np.divide),
    "MatMul": _matmul, "Gemm": _gemm, "BatchNormalization": _batch,
    "Conv": _linear(convolution), "AveragePool": _linear(averaging),
    "GlobalAveragePool": _linear(overall),
}  # fmt: skip
