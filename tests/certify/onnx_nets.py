"""Small ONNX files for tests."""

import itertools

import numpy as np


def save(path, nodes, weights, shape, outputs, *, opset=13, dtype=None):
    """Write a network with input `x` and output `y`; weights are arrays by name."""
    from onnx import TensorProto, helper, numpy_helper

    kind = dtype or TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(op, ins, outs, **settings) for op, ins, outs, settings in nodes],
        "net",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, outputs)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    return path


def mlp(path, sizes=(3, 8, 8, 2), seed=0):
    """Gemm and Relu in turn."""
    rng = np.random.default_rng(seed)
    nodes, weights, current = [], {}, "x"
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        weights[f"w{i}"] = rng.normal(size=(b, a)).astype(np.float32)
        weights[f"b{i}"] = rng.normal(size=b).astype(np.float32)
        last = i == len(sizes) - 2
        nodes.append(
            ("Gemm", [current, f"w{i}", f"b{i}"], ["y" if last else f"z{i}"], {"transB": 1})
        )
        if not last:
            nodes.append(("Relu", [f"z{i}"], [f"v{i}"], {}))
            current = f"v{i}"
    return save(path, nodes, weights, [1, sizes[0]], [1, sizes[-1]])


def residual(path, seed=0):
    """Convolutions with a shortcut, batch norm, average pooling, and a linear layer."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return (rng.normal(size=shape) / 2).astype(np.float32)

    weights = {
        "m": draw(1, 2, 1, 1), "k0": draw(4, 2, 3, 3), "c0": draw(4), "k1": draw(4, 2, 3, 3),
        "g": draw(4), "h": draw(4), "mean": draw(4), "var": draw(4) ** 2 + 0.5,
        "w": draw(3, 16), "b": draw(3),
    }  # fmt: skip
    nodes = [
        ("Sub", ["x", "m"], ["s"], {}),
        ("Conv", ["s", "k0", "c0"], ["z0"], {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}),
        ("Relu", ["z0"], ["v0"], {}),
        ("Conv", ["v0", "k1"], ["z1"], {"pads": [2, 2, 2, 2], "dilations": [2, 2], "group": 2}),
        ("BatchNormalization", ["z1", "g", "h", "mean", "var"], ["n1"], {}),
        ("Add", ["n1", "v0"], ["a1"], {}),
        ("Relu", ["a1"], ["v1"], {}),
        ("AveragePool", ["v1"], ["p"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Flatten", ["p"], ["f"], {}),
        ("Gemm", ["f", "w", "b"], ["y"], {"transB": 1}),
    ]
    return save(path, nodes, weights, [1, 2, 4, 4], [1, 3])


def shared(path, inputs=24, width=10, seed=0):
    """One value that goes into two ReLUs, of which one is used twice."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return (rng.normal(size=shape) / 2).astype(np.float32)

    weights = {"w0": draw(width, inputs), "b0": draw(width), "w1": draw(width, width),
               "b1": draw(width), "w2": draw(2, width), "w3": draw(2, width), "b3": draw(2),
               "w4": draw(2, width)}  # fmt: skip
    nodes = [
        ("Gemm", ["x", "w0", "b0"], ["z0"], {"transB": 1}),
        ("Relu", ["z0"], ["v0"], {}),
        ("Relu", ["z0"], ["u0"], {}),
        ("Gemm", ["v0", "w1", "b1"], ["z1"], {"transB": 1}),
        ("Relu", ["z1"], ["v1"], {}),
        ("Gemm", ["v1", "w3", "b3"], ["y0"], {"transB": 1}),
        ("Gemm", ["v0", "w2"], ["y1"], {"transB": 1}),
        ("Gemm", ["u0", "w4"], ["y2"], {"transB": 1}),
        ("Add", ["y0", "y1"], ["y3"], {}),
        ("Add", ["y3", "y2"], ["y"], {}),
    ]
    return save(path, nodes, weights, [1, inputs], [1, 2])


def specification(path, low, high, *outputs, count):
    """A box and assertions about the outputs."""
    lines = [f"(declare-const X_{i} Real)" for i in range(len(low))]
    lines += [f"(declare-const Y_{j} Real)" for j in range(count)]
    for i, (a, b) in enumerate(zip(low, high, strict=True)):
        lines += [f"(assert (>= X_{i} {float(a)!r}))", f"(assert (<= X_{i} {float(b)!r}))"]
    lines += [f"(assert {text})" for text in outputs]
    path.write_text("\n".join(lines) + "\n")
    return path
