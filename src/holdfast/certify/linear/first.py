"""Rows of the matrix of an affine operator, read off instead of computed."""

from __future__ import annotations

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.certify.network.graph import Graph
from holdfast.certify.network.operators import Convolution, Dense


def rows_of(graph: Graph, i: int, unit: Tensor) -> Tensor | None:
    """`(B, m, *shape of the parent)`: coefficients of chosen coordinates on the only parent.

    Args:
        graph: the network.
        i: position of the node.
        unit: `(B, m)` coordinates, counted over the flattened row.

    Returns:
        None where they cannot be read off.
    """
    node = graph.nodes[i]
    op = node.operator
    if isinstance(op, Dense) and len(node.shape) == 1:
        return op.weight[unit]
    if isinstance(op, Convolution) and len(op.size) == 2 and op.groups == 1:
        return _windows(op, graph.nodes[node.parents[0]].shape, node.shape, unit)
    return None


def _windows(
    op: Convolution, before: tuple[int, ...], after: tuple[int, ...], unit: Tensor
) -> Tensor:
    """The kernel of each coordinate's channel, put where its window lies."""
    size, places = prod(before), prod(after[1:])
    # Positions count from 1, so that the padding is position 0, which is cut off at the end.
    image = torch.arange(1, size + 1, dtype=torch.float64, device=unit.device).reshape(1, *before)
    kernel = (op.weight.shape[2], op.weight.shape[3])
    at = F.unfold(image, kernel, op.dilation, op.padding, op.stride)[0].T.long()
    lines = op.weight.flatten(1)[unit // places]
    found = lines.new_zeros(*unit.shape, size + 1).scatter_(2, at[unit % places], lines)
    return found[:, :, 1:].reshape(*unit.shape, *before)
