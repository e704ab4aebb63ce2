"""How layers with constant weights become nodes: dense, convolutions, batch norm, resampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from holdfast.certify.network.along import Along, Stacked
from holdfast.certify.network.matrices import Resample, Transposed
from holdfast.certify.network.operators import Convolution, Dense, Operator, Scale
from holdfast.certify.reading.layout import Placed
from holdfast.certify.reading.moves import Args, Named, only
from holdfast.certify.reading.recorder import Recorder
from holdfast.certify.reading.refusals import unsupported

CHUNK = 256  # pixels whose weights are found at once


def weight(value: Tensor) -> Tensor:
    """A constant in float64."""
    return value.detach().double()


def dense(r: Recorder, x: Tensor, matrix: Tensor, bias: Tensor | None, out: Tensor) -> Placed:
    """`x matrix + bias` over the last axis, wherever the rows are."""
    placed = r.placed(x)
    if placed is None or r.position(matrix) is not None or r.position(bias) is not None:
        raise unsupported("weights that depend on the input")
    if placed.layout.axis == x.dim() - 1:
        raise unsupported("a product over the rows")
    fixed = None if bias is None else r.constant(bias, out, placed.layout)
    op = Dense(weight(matrix).T.contiguous(), fixed)
    shape = placed.layout.shape(tuple(out.shape))
    return Placed(r.add(op, [placed.node], out, shape=shape), placed.layout, tuple(out.shape))


def from_left(r: Recorder, matrix: Tensor, x: Tensor, out: Tensor) -> Placed:
    """`matrix x` for two matrices, the rows being columns of x."""
    placed = r.placed(x)
    if placed is None or placed.layout.axis != 1:
        raise unsupported("a product over the rows")
    shape = placed.layout.shape(tuple(out.shape))
    node = r.add(Along(weight(matrix), 1), [placed.node], out, shape=shape)
    return Placed(node, placed.layout, tuple(out.shape))


def stacked(r: Recorder, x: Tensor, matrices: Tensor, out: Tensor, left: bool) -> Placed:
    """Products of a batch of matrices with constant ones."""
    placed = r.placed(x)
    if placed is None or placed.layout.axis == (1 if left else 2):
        raise unsupported("a product over the rows")
    fixed = weight(matrices)
    if placed.layout.axis == 0:
        fixed = r.constant(matrices, matrices, placed.layout)
    shape = placed.layout.shape(tuple(out.shape))
    node = r.add(Stacked(fixed, left), [placed.node], out, shape=shape)
    return Placed(node, placed.layout, tuple(out.shape))


def linear(r: Recorder, args: Args, named: Named, out: Tensor) -> Placed:
    """`x W^T + b`."""
    only(r, *args)
    return dense(r, args[0], args[1].T, args[2] if len(args) > 2 else None, out)


def convolution(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    """A convolution, transposed or not."""
    x, kernel, bias, stride, padding, dilation, transposed, extra, groups = args[:9]
    spatial = tuple(x.shape[2:])
    fixed = None if bias is None else weight(bias).reshape(-1, *[1] * len(spatial))

    def each(v: Sequence[int]) -> tuple[int, ...]:
        return tuple(v) if len(v) == len(spatial) else tuple(v) * len(spatial)

    steps = each(stride), each(padding), each(dilation), groups, spatial
    operator: Operator = Convolution(weight(kernel), fixed, *steps)
    if transposed:
        operator = Transposed(weight(kernel), fixed, *steps, each(extra))
    return r.add(operator, [only(r, x, kernel, bias)], out)


def batch_norm(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    """Batch normalisation by constants."""
    x, factor, bias, mean, variance = args[:5]
    axes = [1] * (x.dim() - 2)
    position = only(r, x, factor, bias, mean, variance)
    scale = 1 / (weight(variance) + args[-1]).sqrt()
    if factor is not None:
        scale = scale * weight(factor)
    shift = None if bias is None else weight(bias).reshape(-1, *axes)
    # Two nodes: folding the mean into the bias would lose digits where they cancel.
    one = torch.ones((), dtype=torch.float64, device=x.device)
    middle = r.add(Scale(one, -weight(mean).reshape(-1, *axes)), [position], out)
    return r.add(Scale(scale.reshape(-1, *axes), shift), [middle], out)


_POOL = ((), (), (0,), False, True, None)


def average_pool(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    """Average pooling: a convolution, or the matrix that it is where windows differ."""
    x = args[0]
    rest: list[Any] = [*args[1:], *_POOL[len(args) - 1 :]]
    spatial = tuple(x.shape[2:])
    kernel, stride, padding = (
        tuple(v) * (len(spatial) // len(v)) for v in (rest[0], rest[1] or rest[0], rest[2])
    )
    ceil, counted, divisor = rest[3:]
    if ceil or divisor is not None or (any(padding) and not counted):
        return resampled(r, args, named, out)
    ones = torch.full((x.shape[1], 1, *kernel), 1.0, dtype=torch.float64, device=x.device)
    operator = Convolution(
        ones / ones[0].numel(), None, stride, padding, (1,) * len(spatial), x.shape[1], spatial
    )
    return r.add(operator, [only(r, x)], out)


def resampled(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    """A linear map of the pixels of each channel, found by trying each pixel."""
    return _resampled(r, args[0], lambda x: r.func(x, *args[1:], **named), out)


def grid_sample(r: Recorder, args: Args, named: Named, out: Tensor) -> int:
    """Sampling at constant places, the same for every row."""
    x, grid = args[:2]
    only(r, x, grid)
    r.constant(grid, grid)  # refuses places that differ between rows

    def sample(pixels: Tensor) -> Tensor:
        places = grid[:1].expand(len(pixels), *grid.shape[1:])
        found: Tensor = r.func(pixels, places, *args[2:])
        return found

    return _resampled(r, x, sample, out)


def _resampled(r: Recorder, x: Tensor, sample: Callable[[Tensor], Tensor], out: Tensor) -> int:
    pixels, parts = x[0, 0].numel(), []
    for start in range(0, pixels, CHUNK):
        stop = min(start + CHUNK, pixels)
        one = x.new_zeros(stop - start, pixels)
        one[torch.arange(stop - start), torch.arange(start, stop)] = 1
        found = sample(one.reshape(stop - start, 1, *x.shape[2:]))
        parts.append(found.reshape(stop - start, -1).double().to_sparse())
    matrix = torch.cat(parts).t().coalesce()
    most = int(torch.bincount(matrix.indices()[0], minlength=1).max())
    op = Resample(matrix, tuple(x.shape[1:]), tuple(out.shape[1:]), most)
    return r.add(op, [only(r, x)], out, extra=8)
