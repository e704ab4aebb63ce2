"""What each ONNX operator computes, in operations of torch.

An operator takes a `Step` (its attributes) and its inputs: tensors that depend on the network's
input, or constants as numpy arrays, such as shapes. What only concerns shapes stays in numpy, so
that no number ever leaves a tensor.
"""

from __future__ import annotations

from holdfast.readers.onnx_operators.step import Operator, Step, Value

from holdfast.readers.onnx_operators import (  # isort: skip
    elementwise, layers, movement, normalisation, pooling, reductions, resizing, shapes,
)  # fmt: skip

__all__ = ["OPERATORS", "Operator", "Step", "Value"]

OPERATORS: dict[str, Operator] = {
    **elementwise.OPERATORS, **layers.OPERATORS, **movement.OPERATORS,
    **normalisation.OPERATORS, **pooling.OPERATORS, **reductions.OPERATORS,
    **resizing.OPERATORS, **shapes.OPERATORS,
}  # fmt: skip
