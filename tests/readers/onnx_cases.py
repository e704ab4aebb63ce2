"""Networks of one operator each: nodes, weights, shape of the input, version of the operators."""

import numpy as np
import onnx

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def whole(*values):
    return np.array(values, dtype=np.int64)


def one(op, *more, weights=None, **settings):
    """A network of one operator on `x` and constants."""
    return [(op, ["x", *more], ["y"], settings)], weights or {}


IMAGE = [1, 4, 6, 6]
CASES = {
    **{
        op: (*one(op), [1, 7], 13)
        for op in (
            "Relu",
            "Sigmoid",
            "Tanh",
            "Exp",
            "Abs",
            "Neg",
            "Sign",
            "Floor",
            "Ceil",
            "Round",
            "Erf",
            "Sin",
            "Cos",
            "Softplus",
            "Softsign",
            "Elu",
            "Celu",
            "Selu",
            "LeakyRelu",
            "HardSigmoid",
            "Identity",
            "Reciprocal",
            "Atan",
            "Tan",
            "ThresholdedRelu",
            "Softmax",
            "LogSoftmax",
        )
    },
    **{op: (*one(op), [1, 7], 20) for op in ("HardSwish", "Mish", "Gelu")},
    "gelu tanh": (*one("Gelu", approximate="tanh"), [1, 7], 20),
    "elu .3": (*one("Elu", alpha=0.3), [1, 7], 13),
    "celu 2": (*one("Celu", alpha=2.0), [1, 7], 13),
    "selu own": (*one("Selu", alpha=1.5, gamma=0.8), [1, 7], 13),
    "hard sigmoid own": (*one("HardSigmoid", alpha=0.4, beta=0.3), [1, 7], 13),
    "prelu": (*one("PRelu", "s", weights={"s": draw(4, 1, 1)}), IMAGE, 13),
    "clip 13": (
        *one("Clip", "a", "b", weights={"a": np.float32(-0.3), "b": np.float32(0.4)}),
        [1, 7],
        13,
    ),
    "clip low": (*one("Clip", "a", weights={"a": np.float32(-0.3)}), [1, 7], 13),
    "clip 6": (*one("Clip", min=-0.2, max=0.5), [1, 7], 6),
    **{
        f"{op} constant": (*one(op, "c", weights={"c": draw(4, 1, 1)}), IMAGE, 13)
        for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean")
    },
    "pow": (*one("Pow", "c", weights={"c": np.float32(2)}), [1, 7], 13),
    "sqrt log": (
        [("Abs", ["x"], ["a"], {}), ("Sqrt", ["a"], ["b"], {}), ("Log", ["b"], ["y"], {})],
        {},
        [1, 7],
        13,
    ),
    "where": (
        [("Greater", ["x", "c"], ["m"], {}), ("Where", ["m", "x", "c"], ["y"], {})],
        {"c": np.float32(0.2)},
        [1, 7],
        13,
    ),
    "cast": (
        [("Greater", ["x", "c"], ["m"], {}), ("Cast", ["m"], ["y"], {"to": 1})],
        {"c": np.float32(0.2)},
        [1, 7],
        13,
    ),
    "flatten": (*one("Flatten"), IMAGE, 13),
    "flatten 0": (*one("Flatten", axis=0), IMAGE, 13),
    "reshape": (*one("Reshape", "s", weights={"s": whole(1, -1)}), IMAGE, 13),
    "reshape -1": (*one("Reshape", "s", weights={"s": whole(-1, 9, 16)}), IMAGE, 13),
    "reshape 0": (*one("Reshape", "s", weights={"s": whole(0, 2, -1)}), IMAGE, 13),
    "reshape attribute": (
        [
            ("Constant", [], ["s"], {"value": onnx.numpy_helper.from_array(whole(1, 144))}),
            ("Reshape", ["x", "s"], ["y"], {}),
        ],
        {},
        IMAGE,
        13,
    ),
    "transpose": (*one("Transpose", perm=[0, 2, 3, 1]), IMAGE, 13),
    "squeeze 11": (*one("Squeeze", axes=[2]), [1, 4, 1, 3], 11),
    "squeeze 13": (*one("Squeeze", "a", weights={"a": whole(2)}), [1, 4, 1, 3], 13),
    "unsqueeze": (*one("Unsqueeze", "a", weights={"a": whole(1, -1)}), [1, 4], 13),
    "concat": (*one("Concat", "x", axis=1), [1, 4], 13),
    "concat constant": (*one("Concat", "c", axis=1, weights={"c": draw(1, 2, 6, 6)}), IMAGE, 13),
    "slice 13": (
        *one(
            "Slice",
            "a",
            "b",
            "c",
            "d",
            weights={"a": whole(1, -1), "b": whole(3, -99), "c": whole(1, 3), "d": whole(1, -2)},
        ),
        IMAGE,
        13,
    ),
    "slice 9": (*one("Slice", axes=[2], starts=[1], ends=[2**31]), IMAGE, 9),
    "split 13": (
        [
            ("Split", ["x", "s"], ["a", "b"], {"axis": 1}),
            ("Concat", ["b", "a"], ["y"], {"axis": 1}),
        ],
        {"s": whole(1, 3)},
        IMAGE,
        13,
    ),
    "split 11": (
        [("Split", ["x"], ["a", "b"], {"axis": 1}), ("Sub", ["b", "a"], ["y"], {})],
        {},
        IMAGE,
        11,
    ),
    "gather": (*one("Gather", "i", axis=1, weights={"i": whole(2, 0, -1)}), IMAGE, 13),
    "gather scalar": (*one("Gather", "i", axis=2, weights={"i": np.int64(3)}), IMAGE, 13),
    "pad": (
        *one("Pad", "p", "v", weights={"p": whole(0, 0, 1, 2, 0, 1, 0, 3), "v": np.float32(0.5)}),
        IMAGE,
        13,
    ),
    "pad reflect": (
        *one("Pad", "p", mode="reflect", weights={"p": whole(0, 0, 1, 2, 0, 0, 2, 3)}),
        IMAGE,
        13,
    ),
    "pad 2": (*one("Pad", pads=[0, 0, 1, 2, 0, 0, 0, 3]), IMAGE, 10),
    "expand": (*one("Expand", "s", weights={"s": whole(1, 4, 3)}), [1, 4, 1], 13),
    "tile": (*one("Tile", "s", weights={"s": whole(1, 2)}), [1, 4], 13),
    "depth to space": (*one("DepthToSpace", blocksize=2), IMAGE, 13),
    "pixel shuffle": (*one("DepthToSpace", blocksize=2, mode="CRD"), IMAGE, 13),
    "space to depth": (*one("SpaceToDepth", blocksize=2), IMAGE, 13),
    "gemm": (
        *one(
            "Gemm", "w", "b", transB=1, alpha=0.5, beta=2.0, weights={"w": draw(3, 7), "b": draw(3)}
        ),
        [1, 7],
        13,
    ),
    "gemm plain": (*one("Gemm", "w", weights={"w": draw(7, 3)}), [1, 7], 13),
    "matmul": (*one("MatMul", "w", weights={"w": draw(6, 3)}), IMAGE, 13),
    "matmul self": (
        [("Transpose", ["x"], ["t"], {"perm": [0, 2, 1]}), ("MatMul", ["x", "t"], ["y"], {})],
        {},
        [1, 3, 5],
        13,
    ),
    "conv": (
        *one(
            "Conv",
            "w",
            "b",
            strides=[2, 1],
            pads=[1, 0, 2, 1],
            dilations=[1, 2],
            group=2,
            weights={"w": draw(6, 2, 3, 2), "b": draw(6)},
        ),
        IMAGE,
        13,
    ),
    "conv same": (
        *one("Conv", "w", auto_pad="SAME_UPPER", strides=[2, 2], weights={"w": draw(3, 4, 3, 3)}),
        IMAGE,
        13,
    ),
    "conv same lower": (
        *one("Conv", "w", auto_pad="SAME_LOWER", strides=[2, 2], weights={"w": draw(3, 4, 2, 2)}),
        IMAGE,
        13,
    ),
    "conv 1": (*one("Conv", "w", pads=[1, 1], weights={"w": draw(3, 4, 3)}), [1, 4, 8], 13),
    "conv 3": (*one("Conv", "w", weights={"w": draw(2, 2, 2, 2, 2)}), [1, 2, 3, 4, 3], 13),
    "conv transpose": (
        *one(
            "ConvTranspose",
            "w",
            strides=[2, 2],
            pads=[1, 0, 0, 1],
            output_padding=[1, 1],
            weights={"w": draw(4, 3, 3, 3)},
        ),
        IMAGE,
        13,
    ),
    "batch norm": (
        *one(
            "BatchNormalization",
            "a",
            "b",
            "m",
            "v",
            weights={"a": draw(4), "b": draw(4), "m": draw(4), "v": draw(4) ** 2 + 0.1},
        ),
        IMAGE,
        13,
    ),
    "instance norm": (
        *one("InstanceNormalization", "a", "b", weights={"a": draw(4), "b": draw(4)}),
        IMAGE,
        13,
    ),
    "layer norm": (
        *one("LayerNormalization", "a", "b", weights={"a": draw(6), "b": draw(6)}),
        IMAGE,
        17,
    ),
    "group norm": (
        *one("GroupNormalization", "a", "b", num_groups=2, weights={"a": draw(4), "b": draw(4)}),
        IMAGE,
        21,
    ),
    "softmax 11": (*one("Softmax"), IMAGE, 11),
    "softmax 13": (*one("Softmax", axis=1), IMAGE, 13),
    "max pool": (
        *one("MaxPool", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
        IMAGE,
        13,
    ),
    "max pool ceil": (*one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1), IMAGE, 13),
    "max pool 1": (*one("MaxPool", kernel_shape=[3], auto_pad="SAME_UPPER"), [1, 4, 8], 13),
    "average": (
        *one("AveragePool", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
        IMAGE,
        13,
    ),
    "average pads count": (
        *one(
            "AveragePool",
            kernel_shape=[3, 2],
            strides=[2, 2],
            pads=[1, 0, 1, 1],
            count_include_pad=1,
        ),
        IMAGE,
        13,
    ),
    "average ceil": (
        *one("AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        IMAGE,
        19,
    ),
    "global average": (*one("GlobalAveragePool"), IMAGE, 13),
    "global max": (*one("GlobalMaxPool"), IMAGE, 13),
    **{
        f"{op} 11": (*one(op, axes=[2, -1], keepdims=0), IMAGE, 11)
        for op in (
            "ReduceMean",
            "ReduceSum",
            "ReduceMax",
            "ReduceMin",
            "ReduceL1",
            "ReduceL2",
            "ReduceProd",
            "ReduceSumSquare",
            "ReduceLogSumExp",
        )
    },
    "reduce sum 13": (*one("ReduceSum", "a", weights={"a": whole(1)}), IMAGE, 13),
    "resize nearest": (
        *one(
            "Resize",
            "",
            "s",
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
            weights={"s": np.array([1, 1, 2, 1.5], np.float32)},
        ),
        IMAGE,
        13,
    ),
    "resize sizes": (
        *one(
            "Resize",
            "",
            "",
            "s",
            mode="linear",
            coordinate_transformation_mode="half_pixel",
            weights={"s": whole(1, 4, 9, 12)},
        ),
        IMAGE,
        13,
    ),
    "upsample": (
        *one("Upsample", "s", weights={"s": np.array([1, 1, 2, 3], np.float32)}),
        IMAGE,
        9,
    ),
    "dropout": (*one("Dropout"), [1, 7], 13),
    "grid sample": (
        *one("GridSample", "g", weights={"g": np.clip(draw(1, 3, 3, 2), -1, 1)}),
        IMAGE,
        16,
    ),
    "flatten by shape": (
        [
            ("Shape", ["x"], ["s"], {}),
            ("Gather", ["s", "z"], ["b"], {"axis": 0}),
            ("Unsqueeze", ["b", "zs"], ["bs"], {}),
            ("Concat", ["bs", "rest"], ["t"], {"axis": 0}),
            ("Reshape", ["x", "t"], ["y"], {}),
        ],
        {"z": np.int64(0), "zs": whole(0), "rest": whole(-1)},
        IMAGE,
        13,
    ),
    "ones of shape": (
        [
            ("Shape", ["x"], ["s"], {}),
            (
                "ConstantOfShape",
                ["s"],
                ["o"],
                {"value": onnx.numpy_helper.from_array(np.array([2.5], np.float32))},
            ),
            ("Add", ["x", "o"], ["y"], {}),
        ],
        {},
        IMAGE,
        13,
    ),
}
