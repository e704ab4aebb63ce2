"""The table of tensor operations that are read; what is not listed here is refused."""

from __future__ import annotations

from typing import Any

import torch

from holdfast.certify.network.functions import CURVES, reciprocal
from holdfast.certify.network.steps import Step
from holdfast.certify.network.waves import COSINE, SINE
from holdfast.certify.reading.affine import (
    average_pool,
    batch_norm,
    convolution,
    grid_sample,
    linear,
    resampled,
)
from holdfast.certify.reading.arithmetic import (
    celu,
    divide,
    elementwise,
    exponential_unit,
    gated,
    multiply,
    multiply_add,
    negate,
    raised,
    reversed_difference,
    smooth_relu,
    sum_of,
)
from holdfast.certify.reading.clamps import clamp, clamp_max, clamp_min, hardtanh
from holdfast.certify.reading.kinks import (
    absolute,
    hard_sigmoid,
    leaky,
    relu,
    soft_shrink,
    threshold,
)
from holdfast.certify.reading.maxima import along, pairwise, sort
from holdfast.certify.reading.moves import (
    Args,
    Named,
    cast,
    constant,
    moved,
    permute,
    reshaped,
    transpose,
)
from holdfast.certify.reading.norms import group_norm, instance_norm, layer_norm
from holdfast.certify.reading.pools import adaptive_max_pool, max_pool
from holdfast.certify.reading.recorder import Found, Handler, Recorder
from holdfast.certify.reading.refusals import unsupported
from holdfast.certify.reading.softmax import log_softmax, logsumexp, softmax
from holdfast.certify.reading.sums import (
    addmm,
    baddbmm,
    bmm,
    cumulated,
    mm,
    norm,
    summed,
    variance,
)


def _gelu(approximate: str = "none") -> Any:
    return CURVES["gelu" if approximate == "none" else "gelu tanh"]


def _normalisation(r: Recorder, args: Args, named: Named, out: Any) -> Found:
    if not args[5]:
        placed = r.placed(args[0])
        if placed is None or not placed.layout.first:
            raise unsupported("batch normalisation on rows that are not the first axis")
        return batch_norm(r, args, named, out[0])
    return instance_norm(r, args, named, out)


def _running(r: Recorder, args: Args, named: Named, out: Any) -> Found:
    return batch_norm(r, args, named, out[0])


_SMOOTH = (
    "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "square", "sigmoid", "tanh", "atan", "erf",
    "silu", "mish", "hardswish",
)  # fmt: skip
_MOVES = (
    "expand", "slice", "select", "index", "index_select", "gather", "flip", "roll", "repeat",
    "cat", "stack", "split", "split_with_sizes", "unsafe_split", "unbind", "where", "masked_fill",
    "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d",
    "replication_pad1d", "replication_pad2d", "replication_pad3d", "pixel_shuffle",
    "pixel_unshuffle", "channel_shuffle", "upsample_nearest1d", "upsample_nearest2d",
    "upsample_nearest3d", "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "im2col",
    "unfold", "diagonal", "tril", "triu", "t", "unsqueeze", "squeeze", "clone", "detach", "alias",
    "contiguous", "narrow", "take_along_dim", "rot90", "swapaxes", "movedim",
)  # fmt: skip
_PIXELS = (
    "upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d",
    "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "_adaptive_avg_pool2d",
    "_adaptive_avg_pool3d", "adaptive_avg_pool1d",
)  # fmt: skip

# Wherever the rows stand.
ANYWHERE: dict[str, Handler] = {
    **{name: elementwise(lambda n=name: CURVES[n]) for name in _SMOOTH},
    **dict.fromkeys(_MOVES, moved),
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "flatten", "_reshape_alias"), reshaped),
    **dict.fromkeys(("ones_like", "zeros_like", "full_like"), constant),
    **dict.fromkeys(("new_zeros", "new_ones", "new_full"), constant),
    "gelu": elementwise(_gelu),
    "log_sigmoid_forward": elementwise(lambda: CURVES["log_sigmoid"]),
    "reciprocal": elementwise(reciprocal),
    "sin": elementwise(lambda: SINE), "cos": elementwise(lambda: COSINE),
    "sign": elementwise(lambda: Step(torch.sign)), "sgn": elementwise(lambda: Step(torch.sign)),
    "floor": elementwise(lambda: Step(torch.floor)), "ceil": elementwise(lambda: Step(torch.ceil)),
    "softplus": smooth_relu, "elu": exponential_unit, "celu": celu, "glu": gated,
    "relu": relu, "abs": absolute, "leaky_relu": leaky, "_prelu_kernel": leaky, "prelu": leaky,
    "hardsigmoid": hard_sigmoid, "threshold": threshold, "softshrink": soft_shrink,
    "clamp": clamp, "clamp_min": clamp_min, "clamp_max": clamp_max, "hardtanh": hardtanh,
    "maximum": pairwise(1.0), "minimum": pairwise(-1.0), "fmax": pairwise(1.0),
    "fmin": pairwise(-1.0),
    "add": sum_of(1.0), "sub": sum_of(-1.0), "mul": multiply, "div": divide, "neg": negate,
    "rsub": reversed_difference, "addcmul": multiply_add, "pow": raised,
    "mean": summed(True), "sum": summed(False), "cumsum": cumulated,
    "addmm": addmm, "mm": mm, "bmm": bmm, "baddbmm": baddbmm, "linear": linear,
    "linalg_vector_norm": norm, "var": variance(False), "std": variance(True),
    "_softmax": softmax, "_safe_softmax": softmax, "_log_softmax": log_softmax,
    "logsumexp": logsumexp, "native_layer_norm": layer_norm,
    "native_batch_norm": _normalisation, "cudnn_batch_norm": _normalisation,
    "miopen_batch_norm": _normalisation,
    "permute": permute, "transpose": transpose, "_to_copy": cast,
}  # fmt: skip

# Only where the rows are the first axis.
HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_PIXELS, resampled),
    "convolution": convolution, "_convolution": convolution,  # the second one in traced programs
    "_native_batch_norm_legit_no_training": _running,
    "avg_pool1d": average_pool, "avg_pool2d": average_pool, "avg_pool3d": average_pool,
    "grid_sampler_2d": grid_sample, "grid_sampler_3d": grid_sample,
    "native_group_norm": group_norm,
    "max_pool2d_with_indices": max_pool, "max_pool3d_with_indices": max_pool,
    "max_pool2d": max_pool, "adaptive_max_pool2d": adaptive_max_pool,
    "adaptive_max_pool3d": adaptive_max_pool,
    "amax": along(1.0), "amin": along(-1.0), "max": along(1.0),
    "min": along(-1.0), "sort": sort,
}  # fmt: skip
