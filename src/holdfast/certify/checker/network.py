"""An ONNX network as sums of matrices and ReLUs, read from its file for one row."""

from __future__ import annotations

from typing import Any

import numpy as np

from holdfast.certify.checker.operators import READ
from holdfast.certify.checker.rejected import Rejected
from holdfast.certify.checker.values import Known, Values


class Network(Values):
    """The values in order; value 0 is the input, `output` the number of the last.

    Args:
        raw: the bytes of the file.
    """

    def __init__(self, raw: bytes) -> None:
        import onnx
        from onnx import numpy_helper

        super().__init__()
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
